"""Real streams of clips through the decoder: what its networks are fed, and the pictures that come out.

Quantisation calibrates on the first, parity judges by the second. Nothing here names a network: whatever the
manifest's networks are, they are met as the decoder meets them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from facewire.errors import FacewireError
from facewire.networks import DECODER, Networks, Session
from facewire.networks.manifest import Shape
from facewire.networks.session import host
from facewire.showing.decoding import Decoding
from facewire.types import Message, Picture
from facewire_export.pipelines import pictures_of, stream_of

Feed = dict[str, NDArray[Any]]
REHEARSED = (*DECODER, "motion")
"""What there are inputs of: a decoder's networks, and a sender's motion (see `record`)."""
SUFFIXES = frozenset({".mp4", ".mkv", ".webm", ".avi", ".mov"})


def answers(data: bytes, feed: Feed) -> list[NDArray[Any]]:
    """What a network says on ONNX Runtime's CPU provider."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, feed))


def clips_in(place: Path | None, most: int) -> list[str]:
    """Source specs of at most so many clips of a folder, evenly spread over it; the sample where there is no folder."""
    if place is None:
        return ["sample:"]
    if place.is_file():
        return [f"file:{place}"]
    found = sorted(path for path in place.glob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise FacewireError(f"{place}: no clips (.mp4, .mkv, .webm, .avi, .mov) in this folder")
    count = min(most, len(found))
    return [f"file:{found[index * len(found) // count]}" for index in range(count)]


def streams(networks: Networks, clips: list[str], frames: int, large: bool = False) -> list[list[Message]]:
    """What an encoder with these networks sends for the first frames of each clip: one pivot, skip 1. large: of the
    last clip once more with a large pivot."""
    once_more = clips[-1:] if large else []
    return [
        *(stream_of(networks, pictures_of(clip, frames)) for clip in clips),
        *(stream_of(networks, pictures_of(clip, frames), large=True) for clip in once_more),
    ]


def shown(networks: Networks, messages: list[Message], size: int) -> Iterator[Picture]:
    """The pictures that a decoder with these networks shows for one stream, in order."""
    decoding = Decoding(networks, size)
    for message in messages:
        for frame in decoding.push(message):
            yield frame.picture


@dataclass
class Recorder:
    """A session that keeps copies of at most `limit` of its inputs, evenly spread over all runs so far."""

    inner: Session
    limit: int
    runs: int = 0
    kept: list[Feed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inputs: Mapping[str, Shape] = self.inner.inputs
        self.outputs: Mapping[str, Shape] = self.inner.outputs
        self._stride = 1

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """As the inner session's."""
        if self.runs % self._stride == 0:
            if len(self.kept) == self.limit:
                self.kept = self.kept[::2]
                self._stride *= 2
            if self.runs % self._stride == 0:
                self.kept.append({name: np.array(host(inputs[name])) for name in self.inputs})
        self.runs += 1
        return self.inner.run(inputs)


@dataclass(frozen=True)
class Recording:
    """What each network was fed while `frames` pictures were shown, and how often it ran."""

    frames: int
    feeds: Mapping[str, list[Feed]]
    runs: Mapping[str, int]

    def busy(self) -> list[str]:
        """The networks that run for shown frames, and not once for each pivot."""
        return [name for name, runs in self.runs.items() if runs >= self.frames / 4]


def record(networks: Networks, messages: list[list[Message]], size: int, limit: int = 48) -> Recording:
    """Play streams and keep up to `limit` inputs of each network. The sender's motion, where it is among them, is fed
    what the generator is, which has a copy of it."""
    recorders = {name: Recorder(session, limit) for name, session in networks.sessions.items()}
    watched = Networks(networks.id, recorders)
    frames = sum(1 for stream in messages for _ in shown(watched, stream, size))
    feeds = {name: recorder.kept for name, recorder in recorders.items() if recorder.kept}
    runs = {name: recorder.runs for name, recorder in recorders.items() if recorder.runs}
    motion = networks.get("motion")
    if motion is not None and set(motion.inputs) <= set(networks["generator"].inputs):
        feeds["motion"] = [{name: feed[name] for name in motion.inputs} for feed in feeds["generator"]]
        runs["motion"] = runs["generator"]
    return Recording(frames, feeds, runs)
