"""What both ways of encoding share, a camera's (encoding) and a file's (lookahead): numbers, keypoints, bundles."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from facewire.coding.still import settle
from facewire.networks import Session
from facewire.showing.planes import resized, to_planes
from facewire.types import KEYPOINTS, Bundle, Epoch, Frame, KeypointFrame, Picture, Points

CODED_SIZE = 256
MAX_GAP_SECONDS = 50.0
"""Longer pauses of a source are shortened to this, which receivers still believe."""


@dataclass(frozen=True)
class EncodingCounters:
    """What happened so far. held: keypoint frames sent without a face; finer: pivots coded once more."""

    frames: int = 0
    keypoint_frames: int = 0
    pivots: int = 0
    reuses: int = 0
    held: int = 0
    finer: int = 0


class Numbers:
    """Frame numbers out of the frames' times: the next one at least, further where a source paused."""

    def __init__(self, fps: float, first: int = 0) -> None:
        self.last = first - 1
        self._fps = fps
        self._time: float | None = None

    def of(self, frame: Frame) -> int:
        """The number of the next frame."""
        gap = 0.0 if self._time is None else min(max(frame.time - self._time, 0.0), MAX_GAP_SECONDS)
        self._time = frame.time
        self.last += max(1, round(gap * self._fps))
        return self.last


def find_points(network: Session, coded: Picture) -> Points:
    """Keypoints float32 [10, 2] of a coded picture."""
    planes = resized(to_planes(coded), network.inputs["picture"][-1] or CODED_SIZE)
    return np.asarray(network.run({"picture": planes})["keypoints"][0], np.float32)


def bundle(epoch: Epoch, frames: Sequence[tuple[int, Points | None]]) -> Bundle:
    """One message of keypoint frames: numbers with points float [10, 2], or None where there was no face."""
    found = [points for _, points in frames if points is not None]
    raw = epoch.reference is None
    settled: Iterator[Any] = iter(found if epoch.reference is None else settle(found, epoch.step, epoch.reference))
    points: Any = np.zeros((KEYPOINTS, 2), np.float32 if raw else np.int16)
    out = []
    for number, seen in frames:
        if seen is not None:
            points = next(settled)
        out.append(KeypointFrame(number, points, seen is None))
    return Bundle(epoch.number, tuple(out))


def blinking(message: Bundle, shut: Collection[int]) -> Bundle:
    """A bundle whose frames of these numbers have shut eyes."""
    frames = (replace(frame, shut=frame.number in shut and not frame.low_confidence) for frame in message.frames)
    return replace(message, frames=tuple(frames))
