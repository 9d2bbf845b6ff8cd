"""Our own points: a clip through `compress`, played once, shown in as many ways as are asked for."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facewire.coding.encoding import Encoding, open_encoding
from facewire.coding.lookahead import Lookahead, open_lookahead
from facewire.coding.pivots import Limits
from facewire.errors import FacewireError
from facewire.networks import Networks, load_manifest
from facewire.profiles import Profile
from facewire.profiles import profile as profile_by_name
from facewire.showing.planes import Planes, to_picture
from facewire.showing.upscale import Upscaler
from facewire.types import Frame, Message, Picture, PivotSlice
from facewire.wire.container import read_packets
from facewire.wire.pivot import beginnings, behind
from facewire.wire.tally import Tally
from facewire_export.evaluation.footage import Footage
from facewire_export.evaluation.points import MAIN, SHOWN, Ours
from facewire_export.evaluation.scoring import Reference, Scored, Scoring
from facewire_export.evaluation.transport import Cost, zeromq
from facewire_export.machine import cpu_seconds
from facewire_export.networks.tiers import TIERS
from facewire_export.networks.upscaler import Upscaler as UpscalerModule
from facewire_export.playback import Pivots, Played, enlarged, play
from facewire_export.sheets import SheetRow

SHEET_AT = (0.2, 0.5, 0.8)
"""Where in a clip the contact sheet's frames are taken."""
STRIP_AT = tuple((index + 0.5) / 6 for index in range(6))
"""Where those of the strip are, source above shown."""


@dataclass(frozen=True)
class Stream:
    """A coded clip: its messages, the report of `compress`, what a link adds, and its pivots.

    epochs: (first frame, content id, bytes sent for it: 0 where it was there already).
    """

    messages: tuple[Message, ...]
    rate: dict[str, Any]
    link: Cost
    epochs: tuple[tuple[int, str, int], ...]
    pivots: Mapping[str, Picture]


@dataclass
class Shown:
    """What became of one point. seconds: CPU time for showing and for scoring it."""

    scored: Scored
    frames: int
    seconds: dict[str, float]
    sheet: list[SheetRow] = field(default_factory=list)
    strip: list[tuple[Picture, Picture]] = field(default_factory=list)


def profile_of(point: Ours) -> Profile:
    """The profile with the point's skip."""
    return replace(profile_by_name(point.profile), skip=point.skip)


def limits_of(point: Ours) -> Limits:
    """The point's pivot thresholds; the background's keeps its proportion to the head's."""
    usual = Limits()
    turn = point.turn or usual.yaw
    return Limits(turn, turn, turn, usual.background * turn / usual.yaw)


class OneReceiver:
    """A camera's encoding (files.Encoder) as it is sent to one receiver, who has all that went before (sending)."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._has: set[bytes] = set()

    def push(self, frame: Frame) -> list[Message]:
        """Its messages for the next frame."""
        return self._lacked(self._encoding.push(frame))

    def flush(self) -> list[Message]:
        """Those of the end."""
        return self._lacked(self._encoding.flush())

    def _lacked(self, messages: list[Message]) -> list[Message]:
        begun = {taken.pivot_id: beginnings(taken.data) for taken in self._encoding.in_use}
        lacked: list[Message] = []
        for message in messages:
            if isinstance(message, PivotSlice):
                known = (length for name, length in begun[message.pivot_id] if name in self._has)
                rest = behind(message, next(known, 0))
                lacked += [rest] if rest is not None else []
            else:
                lacked.append(message)
        self._has |= set(begun)
        return lacked


def code(footage: Footage, point: Ours, folder: Path, networks: Networks) -> Stream:
    """The clip as a .fw file: by `facewire compress`, or by a camera's steps where the point is live. Raises
    FacewireError. networks: a sender's."""
    from facewire.files import compress

    coded, report = folder / "clip.fw", folder / "report.json"
    pivots = "adaptive" if point.turn else "first"

    def encoder(profile: Profile, fps: float) -> OneReceiver | Lookahead:
        if point.live:
            limits = limits_of(point)
            return OneReceiver(open_encoding(profile, fps=fps, pivots=pivots, limits=limits, networks=networks))
        return open_lookahead(profile, fps=fps, pivots=pivots, networks=networks)

    keypoints = "bare" if point.bare else "coded"
    compress(
        footage.source, coded, point.profile, point.skip, pivots, report, encoder=encoder, keypoints=keypoints
    )
    return stream_of(tuple(read_packets(coded)), json.loads(report.read_text("utf-8")), profile_of(point))


def stream_of(messages: Sequence[Message], rate: dict[str, Any], profile: Profile) -> Stream:
    """What is to be known of a stream besides its messages."""
    tally, pivots = Tally(), Pivots()
    sent: Counter[bytes] = Counter()
    for message in messages:
        if isinstance(message, PivotSlice):
            sent[message.pivot_id] += len(message.data)
        tally.add(message, 0, 0)
        pivots.push(message)
    epochs = tuple(
        (line.first_frame, line.pivot_id.hex(), 0 if line.reused else sent[line.pivot_id]) for line in tally.epochs
    )
    pictures = {name.hex(): picture for name, picture in pivots.pictures.items()}
    link = zeromq(messages, profile, float(rate["seconds"]))
    return Stream(tuple(messages), rate, link, epochs, pictures)


class TorchPatches:
    """The shipped upscaler's weights on windows of another side (a Session for facewire.showing.upscale)."""

    def __init__(self, models: str, side: int) -> None:
        manifest = load_manifest(models)
        path = manifest.directory / manifest.tier / "upscaler.pt"
        if not path.is_file():
            raise FacewireError(f"{path}: not there; windows of other sides need the weights beside the network")
        self._net = UpscalerModule(TIERS[manifest.tier])
        weights = torch.load(path, map_location="cpu", weights_only=True)["average"]
        torch.nn.ModuleDict({"upscaler": self._net}).load_state_dict(weights)
        self._net.eval()
        self.inputs: Mapping[str, tuple[int | None, ...]] = {"patch": (None, 3, side, side)}
        self.outputs: Mapping[str, tuple[int | None, ...]] = {"sharp": (None, 3, side, side)}

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        with torch.inference_mode():
            sharp = self._net(torch.from_numpy(np.ascontiguousarray(inputs["patch"]))).clamp(0, 1)
        return {"sharp": np.asarray(sharp.numpy(), np.float32)}


def shower(point: Ours, networks: Networks, models: str = "") -> Callable[[Played], Picture]:
    """How the point makes a shown picture; a held one is made once."""
    if point.show == "pivot":

        def pivot(played: Played) -> Picture:
            return enlarged(to_picture(played.planes) if played.pivot is None else played.pivot, SHOWN)

        return pivot
    session = {"network": networks.get("upscaler"), "bicubic": None}.get(point.show)
    composer = networks.get("composer") if point.show == "network" else None
    network = TorchPatches(models, point.patch) if point.show == "patch" else session
    upscaler = Upscaler(network, SHOWN, composer=composer)
    last: list[tuple[Planes, Picture]] = []

    def show(played: Played) -> Picture:
        if not last or last[0][0] is not played.planes:
            last[:] = [(played.planes, upscaler.show(played.planes, played.large))]
        return last[0][1]

    return show


def show_all(
    stream: Stream,
    points: Sequence[Ours],
    reference: Reference,
    networks: Networks,
    models: str = "",
    keep: Callable[[str, Picture], None] | None = None,
) -> dict[str, Shown]:
    """Play the stream once and score every point's way of showing it. Raises FacewireError where nothing can be seen.

    keep: is given each shown picture of points that show every frame, with the point's name (for players).
    """
    scorings = {point.name: Scoring(reference, point.every_frame, point.watched) for point in points}
    showers = {point.name: shower(point, networks, models) for point in points}
    spent = {point.name: {"show": 0.0, "score": 0.0} for point in points}
    count = len(reference)
    sheet_at, strip_at = ({round(share * (count - 1)) for share in shares} for shares in (SHEET_AT, STRIP_AT))
    sheet: list[SheetRow] = []
    strip: list[tuple[Picture, Picture]] = []
    started, others = time.process_time(), 0.0
    shown_frames = 0
    for played in play(stream.messages, networks, count):
        shown_frames += not played.held
        for point in points:
            began = time.process_time()
            made: list[float] = []

            def show(point: Ours = point, played: Played = played, made: list[float] = made) -> Picture:
                begun = time.process_time()
                picture = showers[point.name](played)
                made.append(time.process_time() - begun)
                return picture

            picture = scorings[point.name].add(show)
            if picture is not None and keep is not None and point.every_frame:
                keep(point.name, picture)
            if point.name == MAIN and picture is not None:
                if played.number in sheet_at:
                    sheet.append(_sheet_row(reference, played, picture))
                if played.number in strip_at:
                    strip.append((reference.picture(played.number), picture))
            took = time.process_time() - began
            others += took
            spent[point.name]["show"] += sum(made)
            spent[point.name]["score"] += took - sum(made)
    if not shown_frames:
        raise FacewireError(f"{reference.footage.entry.path}: nothing can be decoded from its stream")
    played_seconds = (time.process_time() - started - others) / len(points)
    for times in spent.values():
        times["play"] = played_seconds
    found = {}
    for name, scoring in scorings.items():
        begun = cpu_seconds()
        scored = scoring.result()
        spent[name]["score"] += cpu_seconds() - begun
        found[name] = Shown(scored, shown_frames, spent[name])
    if MAIN in found:
        found[MAIN].sheet, found[MAIN].strip = sheet, strip
    return found


def _sheet_row(reference: Reference, played: Played, picture: Picture) -> SheetRow:
    rebuilt = enlarged(to_picture(played.planes), SHOWN)
    pivot = rebuilt if played.pivot is None else enlarged(played.pivot, SHOWN)
    kind = "interpolated" if played.interpolated else "keypoints"
    four = (pivot, reference.picture(played.number), rebuilt, picture)
    return SheetRow(four, reference.landmarks(played.number), f"frame {played.number} ({kind})")
