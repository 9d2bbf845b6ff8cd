"""Messages that tests share, made without random numbers so that golden files can hold them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from facewire.types import Between, Bundle, Epoch, GridPoints, KeypointFrame, PivotSlice, Points
from facewire.wire.keypoints import to_grid
from facewire.wire.pivot import content_id

PIVOT = bytes(range(256)) * 3


def head(frame: int) -> Points:
    """Ten points that nod and sway like a head; float32 [10, 2]."""
    index = np.arange(10)
    rest = np.stack([np.cos(index * 0.63) * 0.4, np.sin(index * 0.63) * 0.5 + 0.05], 1)
    sway = np.array([0.08 * np.sin(frame / 9), 0.05 * np.sin(frame / 5)])
    return np.asarray(rest + sway + 0.01 * np.sin(frame + index[:, None]), np.float32)


def epoch(step: float = 1.0, with_reference: bool = True, number: int = 3) -> Epoch:
    return Epoch(
        stream=0xDEADBEEF,
        number=number,
        first_frame=1000,
        pivot_id=content_id(PIVOT),
        pivot_bytes=len(PIVOT),
        coded_size=256,
        fps=29.97,
        skip=1,
        network=b"\x01\x02\x03\x04",
        step=step,
        reference=to_grid(head(0), step) if with_reference else None,
    )


def points(frame: int, step: float = 1.0) -> GridPoints:
    return to_grid(head(frame), step, to_grid(head(0), step))


def bundle(count: int = 6, gap: int = 2, first: int = 1000, low: tuple[int, ...] = (), step: float = 1.0) -> Bundle:
    frames: list[KeypointFrame] = []
    for i in range(count):
        seen = points(gap * i, step) if i not in low else frames[-1].points if frames else np.zeros((10, 2), np.int16)
        frames.append(KeypointFrame(first + gap * i, seen, i in low))
    return Bundle(3, tuple(frames))


def raw_bundle(count: int = 2, first: int = 1000, low: tuple[int, ...] = ()) -> Bundle:
    nothing = np.zeros((10, 2), np.float32)
    frames = (KeypointFrame(first + 2 * i, nothing if i in low else head(2 * i), i in low) for i in range(count))
    return Bundle(3, tuple(frames))


def slices() -> list[PivotSlice]:
    name = content_id(PIVOT)
    return [PivotSlice(name, at, len(PIVOT), PIVOT[at : at + 300]) for at in range(0, len(PIVOT), 300)]


def deformed(plain: Bundle, nodes: int = 6) -> Bundle:
    """The same, each sure frame with a deformation that grows from the middle."""
    rows, columns = np.mgrid[0:nodes, 0:nodes] - (nodes - 1) // 2
    frames = []
    for at, frame in enumerate(plain.frames):
        bend = (np.stack([columns * (at + 1), rows * at - columns]) // 2).astype(np.int16)
        frames.append(frame if frame.low_confidence else replace(frame, deformation=bend))
    return Bundle(plain.epoch, tuple(frames))


def speaking(plain: Bundle, amounts: tuple[int, ...] = (0, 3, 5, -4, -4, 12)) -> Bundle:
    """The same with mouths."""
    return replace(plain, frames=tuple(replace(f, mouth=a) for f, a in zip(plain.frames, amounts, strict=True)))


def between(plain: Bundle, *said: tuple[Between, ...]) -> Bundle:
    """The same, and something is said of the frames between."""
    return replace(plain, frames=tuple(replace(f, between=one) for f, one in zip(plain.frames, said, strict=True)))


def with_a_bit_flipped(data: bytes) -> Iterator[bytes]:
    """The bytes, each time with another of their bits changed."""
    for flip in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[flip // 8] ^= 1 << flip % 8
        yield bytes(damaged)


def blinking(plain: Bundle, shut: tuple[int, ...] = (2, 3)) -> Bundle:
    """The same with shut eyes in some of its frames."""
    return replace(plain, frames=tuple(replace(f, shut=at in shut) for at, f in enumerate(plain.frames)))
