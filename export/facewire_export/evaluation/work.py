"""What one worker process does: a unit is one clip with a few points that belong together. The clip stays open for the
units after it, which are of the same clip as a rule."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facewire.errors import FacewireError
from facewire.networks import DECODER, ENCODER, Networks, open_networks
from facewire.types import Picture
from facewire_export.dataset import ClipEntry
from facewire_export.evaluation import codecs, footage, frechet, ours
from facewire_export.evaluation.points import MAIN, SHOWN, Codec, Ours, Point
from facewire_export.evaluation.records import REAL, save_features
from facewire_export.evaluation.scoring import Reference, Scored, Scoring, as_json
from facewire_export.evaluation.transport import rtp
from facewire_export.judge import Judge
from facewire_export.machine import cpu_seconds
from facewire_export.sheets import contact_sheet, save_png, strip

ROLES = tuple(dict.fromkeys((*ENCODER, *DECODER)))
"""What cameras, files and receivers need."""


@dataclass(frozen=True)
class Setup:
    """What all units share. seconds: only so much of each clip (0: all); pictures: write players, sheets, pivots."""

    out: Path
    weights: Path | None
    models: str = ""
    seconds: float = 0.0
    pictures: bool = True


@dataclass(frozen=True)
class Unit:
    """Points of one clip: ours of one stream, or one codec at one size."""

    entry: ClipEntry
    points: tuple[Point, ...]


@dataclass
class Done:
    """What a unit gave: records with their features; failed: point -> why."""

    records: list[tuple[dict[str, Any], frechet.Features]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


class Worker:
    """Keeps the judge, the networks and the open clip."""

    def __init__(self, setup: Setup, judge: Judge | None = None, networks: Networks | None = None) -> None:
        self._setup = setup
        self._judge = judge or Judge(setup.weights)
        self._networks = networks
        self._reference: Reference | None = None

    def close(self) -> None:
        """Let go of the clip."""
        if self._reference is not None:
            self._reference.footage.close()
            self._reference = None

    def do(self, unit: Unit) -> Done:
        """All points of a unit. A point that fails is named and the others go on."""
        done = Done()
        try:
            reference = self._open(unit.entry)
            mine = [point for point in unit.points if isinstance(point, Ours)]
            if mine:
                self._ours(reference, mine, done)
        except FacewireError as error:
            done.failed.update({point.name: str(error) for point in unit.points})
            return done
        for point in unit.points:
            if isinstance(point, Codec):
                try:
                    done.records.append(self._codec(reference, point))
                except FacewireError as error:
                    done.failed[point.name] = str(error)
        return done

    def _open(self, entry: ClipEntry) -> Reference:
        if self._reference is None or self._reference.footage.entry != entry:
            self.close()
            self._reference = Reference(footage.open_footage(entry, self._setup.seconds), self._judge)
            save_features(self._setup.out, REAL, entry.name, self._reference.features())
        return self._reference

    def _player(self, name: str, clip: str, fps: float) -> footage.Player | None:
        path = player_path(self._setup.out, name, clip)
        return footage.Player(path, fps) if self._setup.pictures else None

    def _ours(self, reference: Reference, points: Sequence[Ours], done: Done) -> None:
        if self._networks is None:
            self._networks = open_networks(self._setup.models, 1, ROLES)
        clip, fps = reference.footage.entry.name, reference.footage.fps
        with tempfile.TemporaryDirectory(prefix="facewire-evaluate-") as folder, contextlib.ExitStack() as stack:
            began = cpu_seconds()
            stream = ours.code(reference.footage, points[0], Path(folder), self._networks)
            coding = (cpu_seconds() - began) / len(points)
            players = {}
            for point in points:
                if point.every_frame and (player := self._player(point.name, clip, fps)):
                    players[point.name] = stack.enter_context(player)

            def keep(name: str, picture: Picture) -> None:
                if name in players:
                    players[name].add(picture)

            shown = ours.show_all(stream, points, reference, self._networks, self._setup.models, keep)
        if self._setup.pictures:
            self._pictures(reference, points, stream, shown)
        for point in points:
            result = shown[point.name]
            seconds = float(stream.rate["seconds"])
            record = self._record(reference, point, result.scored) | {
                "shown_frames": result.frames,
                "bytes": {**stream.rate["bytes"], "link": stream.link.bytes},
                "packets": stream.link.packets,
                "kbps": {
                    "stream": stream.rate["kbps"],
                    "all_in": 8 * stream.link.bytes / 1000 / seconds if seconds else None,
                },
                "bpp": stream.rate["bpp"],
                "epochs": stream.epochs,
                "cpu_seconds": {"code": coding, **result.seconds},
            }
            done.records.append((record, result.scored.features))

    def _pictures(
        self, reference: Reference, points: Sequence[Ours], stream: ours.Stream, shown: dict[str, ours.Shown]
    ) -> None:
        out, clip = self._setup.out, reference.footage.entry.name
        for point in points:
            if not point.every_frame:
                continue
            for name, picture in stream.pivots.items():
                save_png(out / "pivots" / point.name / clip / f"{name}.png", footage.small(picture, 128))
        main = shown.get(MAIN)
        if main is not None:
            scores = main.scored.scores
            said = "  ".join(
                f"{name} {scores[name]:.3f}" for name in ("psnr", "lpips", "pose", "lips") if name in scores
            )
            title = f"{clip}  {8 * stream.link.bytes / 1000 / reference.footage.seconds:.2f} kbit/s all-in  {said}"
            save_png(out / "sheets" / f"{clip}.png", contact_sheet(main.sheet, title))
            save_png(out / "strips" / f"{clip}.png", strip(main.strip, f"source above, shown below: {title}"))
            if player := self._player(REAL, clip, reference.footage.fps):
                with player:
                    for picture in reference.footage.real:
                        player.add(np.asarray(picture))

    def _codec(self, reference: Reference, point: Codec) -> tuple[dict[str, Any], frechet.Features]:
        clip = reference.footage
        step = 2 if point.half_rate else 1
        began = cpu_seconds()
        coded = codecs.encode(point, clip.coded(point.size, step), clip.fps / step)
        coding = cpu_seconds() - began
        began = cpu_seconds()
        player = self._player(point.name, clip.entry.name, clip.fps) if point.player else None
        scoring = Scoring(reference, player is not None, thin=True)
        count = 0
        with player or contextlib.nullcontext():
            for show in codecs.decode(coded):
                count += 1
                for _ in range(min(step, len(reference) - scoring.frames)):
                    picture = scoring.add(show)
                    if player is not None and picture is not None:
                        player.add(picture)
        if count != len(range(0, len(reference), step)):
            raise FacewireError(f"{point.name}: {count} pictures came back out of {len(reference)}")
        scored = scoring.result()
        link = rtp(point.codec, coded.payloads, clip.seconds)
        record = self._record(reference, point, scored) | {
            "shown_frames": scoring.frames,
            "bytes": {"first": len(coded.frames[0]), "total": coded.bytes, "link": link.bytes},
            "packets": link.packets,
            "kbps": {
                "stream": 8 * coded.bytes / 1000 / clip.seconds,
                "all_in": 8 * link.bytes / 1000 / clip.seconds,
            },
            "bpp": 8 * coded.bytes / (len(reference) * SHOWN * SHOWN),
            "cpu_seconds": {"code": coding, "score": cpu_seconds() - began},
        }
        return record, scored.features

    def _record(self, reference: Reference, point: Point, scored: Scored) -> dict[str, Any]:
        return {
            "clip": reference.footage.entry.name,
            "point": point.name,
            "frames": len(reference),
            "fps": reference.footage.fps,
            **as_json(scored),
        }


def player_path(out: Path, name: str, clip: str) -> Path:
    """Where a point's pictures of a clip are kept for the page."""
    return out / "players" / clip / f"{name}.mp4"
