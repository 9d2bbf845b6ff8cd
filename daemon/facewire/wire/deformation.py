"""Deformations on the wire: what the sender adds to the movement that keypoints describe.

A deformation is a free-form deformation (Rueckert et al., IEEE TMI 18(8), 1999): displacements at the nodes of a coarse
grid over the crop, cubic in between. It says what ten points cannot: a camera that pans, hair that falls, cheeks. Nodes
are whole numbers of steps. A kind of deformation is a number of nodes on a side and a step, and a code holds one kind:

    kind 0    none                        kind 2    6 x 6, 2 pixels of 256
    kind 1    4 x 4, 2 pixels of 256      kind 3    8 x 8, 1 pixel of 256

    code      for each frame, for each value (x of all nodes, row by row, then y of all): its change since the frame
              before in the same code (since 0 in the first), by the tables of wire.rangecoder

A change is expected to be as large as changes were lately at this value, and as those of its neighbours in the same
frame that are known: left, above, and x for y. Whole numbers only, so every machine expects the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facewire.errors import PacketError
from facewire.types import GridDeformation
from facewire.wire.rangecoder import RangeDecoder, RangeEncoder, get_difference, put_difference, size_class


@dataclass(frozen=True)
class Kind:
    """nodes: on a side. step: pixels of a 256-pixel crop."""

    nodes: int
    step: float

    @property
    def values(self) -> int:
        """Whole numbers that one deformation takes."""
        return 2 * self.nodes * self.nodes


KINDS = (Kind(0, 0.0), Kind(4, 2.0), Kind(6, 2.0), Kind(8, 1.0))
KIND_BITS = 2
LIMIT = 32
"""Largest displacement in steps. A change is 64 at most, which the tables hold, so no value takes more than 16 bits."""
MAX_VALUES = 64 * 72
"""In one code: a packet's worst case stays below its limit. 64 frames of kind 2, 36 of kind 3."""

_LEVEL_FIRST, _LEVEL_NEXT = 24, 8
"""Expected changes in sixteenths of a step, in the first frame and before anything is known in the second."""


def kind_of(deformation: GridDeformation | None) -> int:
    """Its place in KINDS; raises ValueError if it is of no kind."""
    nodes = 0 if deformation is None else deformation.shape[-1]
    for place, kind in enumerate(KINDS):
        if kind.nodes == nodes and (deformation is None or deformation.shape == (2, nodes, nodes)):
            return place
    raise ValueError(f"deformation of shape {None if deformation is None else deformation.shape}: of no known kind")


def most_frames(kind: int) -> int:
    """Frames of this kind that one code may hold."""
    return MAX_VALUES // max(1, KINDS[kind].values)


class _Expectation:
    """Expected sizes of changes, value by value."""

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._level = [_LEVEL_FIRST] * (2 * nodes * nodes)
        self._begun = False
        self._sizes: list[int] = []

    def next(self) -> int:
        """Class of the next change."""
        at, nodes, sizes = len(self._sizes), self._nodes, self._sizes
        near = count = 0
        if at % nodes:
            near, count = sizes[at - 1], 1
        if at % (nodes * nodes) >= nodes:
            near, count = near + sizes[at - nodes], count + 1
        if at >= nodes * nodes:
            near, count = near + sizes[at - nodes * nodes], count + 1
        level = self._level[at]
        return size_class((level * count + 16 * near) // (2 * count) if count else level)

    def learn(self, change: int) -> None:
        """Take it."""
        self._sizes.append(abs(change))

    def end_frame(self) -> None:
        if self._begun:
            pairs = zip(self._level, self._sizes, strict=True)
            self._level = [level + ((16 * size - level) >> 2) for level, size in pairs]
        else:
            self._begun = True
            self._level = [_LEVEL_NEXT] * len(self._level)
        self._sizes = []


def put_deformations(out: RangeEncoder, frames: Sequence[GridDeformation | None]) -> None:
    """Code the deformations of a bundle's frames; raises ValueError if they are not of one kind, or out of range."""
    kinds = {kind_of(frame) for frame in frames}
    if len(kinds) > 1:
        raise ValueError("deformations of several kinds in one bundle")
    kind = kinds.pop() if kinds else 0
    out.put_plain(kind, KIND_BITS)
    if not kind:
        return
    if len(frames) > most_frames(kind):
        raise ValueError(f"{len(frames)} deformations of kind {kind} in one bundle: allowed are {most_frames(kind)}")
    expectation = _Expectation(KINDS[kind].nodes)
    before = [0] * KINDS[kind].values
    for frame in frames:
        assert frame is not None
        values = [int(value) for value in frame.reshape(-1)]
        if max(values) > LIMIT or min(values) < -LIMIT:
            raise ValueError("deformation beyond its limit")
        for value, old in zip(values, before, strict=True):
            put_difference(out, expectation.next(), value - old)
            expectation.learn(value - old)
        expectation.end_frame()
        before = values


def get_deformations(source: RangeDecoder, count: int) -> list[GridDeformation | None]:
    """Inverse of put_deformations; raises PacketError."""
    kind = source.get_plain(KIND_BITS)
    if not kind:
        return [None] * count
    if count > most_frames(kind):
        raise PacketError("more deformations in packet than one may hold")
    nodes = KINDS[kind].nodes
    expectation = _Expectation(nodes)
    before = [0] * KINDS[kind].values
    frames: list[GridDeformation | None] = []
    for _ in range(count):
        values = []
        for old in before:
            change = get_difference(source, expectation.next())
            if abs(old + change) > LIMIT:
                raise PacketError("deformation in packet beyond its limit")
            expectation.learn(change)
            values.append(old + change)
        expectation.end_frame()
        before = values
        frames.append(np.array(values, np.int16).reshape(2, nodes, nodes))
    return frames
