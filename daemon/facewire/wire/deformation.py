"""Deformations on the wire: what the sender adds to the movement that keypoints describe.

A deformation is a free-form deformation (Rueckert et al., IEEE TMI 18(8), 1999): displacements at the nodes of a coarse
grid over the crop, cubic in between. It says what ten points cannot: a camera that pans, hair that falls, cheeks. Nodes
are whole numbers of steps. A kind of deformation is a number of nodes on a side and a step, and a code holds one kind:

    kind 0    none                          kind 2    6 x 6, 1.5 pixels of 256
    kind 1    4 x 4, 1.5 pixels of 256      kind 3    8 x 8, 1 pixel of 256

    code      for each frame, for each value (x of all nodes, row by row, then y of all): in the first frame of a code
              what it differs by from what its neighbours left, above and between suggest (the median edge detector of
              LOCO-I: Weinberger, Seroussi, Sapiro, IEEE Trans. IP 9(8), 2000), in the others its change since the
              frame before: a size, and a sign unless that is 0

Nodes change together, and the same way: sizes are coded by models that are chosen by the sizes at neighbouring nodes,
signs by theirs. Models begin as most clips have it (wire.deformation_tables) and learn from there, anew in each code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from facewire.errors import PacketError
from facewire.types import GridDeformation
from facewire.wire.adaptive import Model
from facewire.wire.deformation_tables import SIGNS, SIGNS_FIRST, SIZES, SIZES_FIRST
from facewire.wire.rangecoder import RangeDecoder, RangeEncoder


@dataclass(frozen=True)
class Kind:
    """nodes: on a side. step: pixels of a 256-pixel crop."""

    nodes: int
    step: float

    @property
    def values(self) -> int:
        """Whole numbers that one deformation takes."""
        return 2 * self.nodes * self.nodes


KINDS = (Kind(0, 0.0), Kind(4, 1.5), Kind(6, 1.5), Kind(8, 1.0))
KIND_BITS = 2
LIMIT = 32
"""Largest displacement in steps."""
MAX_VALUES = 64 * 72
"""In one code: a packet's worst case stays below its limit. 64 frames of kind 2, 36 of kind 3."""

ESCAPE, _ESCAPE_BITS = 15, 6
"""The size from which on what is beyond it is coded plainly. No difference is beyond 2 * LIMIT."""
_ROWS = (0, 1, 2, 3, 4, 5, 5, 6, 6, 6)
"""Which model of sizes for how much changed nearby; the last for more."""


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


class _Walk:
    """What both ends know before each value of a code: `next`, then `learn`; `end_frame` after each frame's values."""

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._sizes = [Model(counts) for counts in SIZES_FIRST]
        self._signs = [Model(counts) for counts in SIGNS_FIRST]
        self._before: list[int] | None = None
        self._values: list[int] = []
        self._found: list[int] = []

    def next(self) -> tuple[int, Model, Model, int]:
        """The value that is expected; the models of how far it is off and of whether that is in the way given last
        (1 or -1)."""
        at, square = len(self._values), self._nodes**2
        left, above, between, beyond = self._around(self._found)
        partner = self._found[at - square] if at >= square else 0
        busy = 2 * abs(left) + 2 * abs(above) + abs(between) + abs(beyond) + 2 * abs(partner)
        tendency = (left > 0) - (left < 0) + (above > 0) - (above < 0)
        expected = self._suggested() if self._before is None else self._before[at]
        sizes = self._sizes[_ROWS[busy] if busy < len(_ROWS) else -1]
        return expected, sizes, self._signs[abs(tendency)], 1 if tendency >= 0 else -1

    def learn(self, value: int, difference: int) -> None:
        """Take the next value and how far it was off."""
        self._values.append(value)
        self._found.append(difference)

    def end_frame(self) -> None:
        if self._before is None:
            self._sizes = [Model(counts) for counts in SIZES]
            self._signs = [Model(counts) for counts in SIGNS]
        self._before, self._values, self._found = self._values, [], []

    def _around(self, known: Sequence[int]) -> tuple[int, int, int, int]:
        """Left, above, above left, above right of the next place; 0 where there is none."""
        at, nodes = len(known), self._nodes
        row, column = at // nodes % nodes, at % nodes
        return (
            known[at - 1] if column else 0,
            known[at - nodes] if row else 0,
            known[at - nodes - 1] if row and column else 0,
            known[at - nodes + 1] if row and column < nodes - 1 else 0,
        )

    def _suggested(self) -> int:
        """The median edge detector's value of the next place; at the edges that of the one neighbour, 0 at first."""
        left, above, between, _ = self._around(self._values)
        at, nodes = len(self._values), self._nodes
        if not at % nodes or not at // nodes % nodes:
            return left + above
        return sorted((left, above, left + above - between))[1]


def change_bits(changes: NDArray[np.int64]) -> NDArray[np.float64]:
    """About how many bits each of the changes [frames, 2, n, n] from one frame to the next would take, were it another
    one and those around it as they are: float64 [frames, 2, n, n, 2 ESCAPE + 1], for -ESCAPE to ESCAPE, as the models
    begin."""
    padded = np.pad(changes, ((0, 0), (0, 0), (1, 0), (1, 1)))
    left, above = padded[..., 1:, :-2], padded[..., :-1, 1:-1]
    between, beyond = padded[..., :-1, :-2], padded[..., :-1, 2:]
    partner = np.zeros_like(changes)
    partner[:, 1] = changes[:, 0]
    busy = 2 * abs(left) + 2 * abs(above) + abs(between) + abs(beyond) + 2 * abs(partner)
    tendency = np.sign(left) + np.sign(above)
    other = np.arange(-ESCAPE, ESCAPE + 1)
    against = other * np.where(tendency >= 0, 1, -1)[..., np.newaxis] < 0
    rows = np.take(_ROWS, busy, mode="clip")[..., np.newaxis]
    signs = _bits(SIGNS)[abs(tendency)[..., np.newaxis], against.astype(np.int64)]
    return np.asarray(_bits(SIZES)[rows, abs(other)] + np.where(other, signs, 0.0))


@cache
def _bits(counts: tuple[tuple[int, ...], ...]) -> NDArray[np.float64]:
    return np.array([np.log2(sum(row) / np.array(row)) for row in counts])


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
    walk = _Walk(KINDS[kind].nodes)
    for frame in frames:
        assert frame is not None
        values = [int(value) for value in frame.reshape(-1)]
        if max(values) > LIMIT or min(values) < -LIMIT:
            raise ValueError("deformation beyond its limit")
        for value in values:
            expected, sizes, signs, way = walk.next()
            difference = value - expected
            size = abs(difference)
            sizes.put(out, min(size, ESCAPE))
            if size >= ESCAPE:
                out.put_plain(size - ESCAPE, _ESCAPE_BITS)
            if size:
                signs.put(out, int(difference * way < 0))
            walk.learn(value, difference)
        walk.end_frame()


def get_deformations(source: RangeDecoder, count: int) -> list[GridDeformation | None]:
    """Inverse of put_deformations; raises PacketError."""
    kind = source.get_plain(KIND_BITS)
    if not kind:
        return [None] * count
    if count > most_frames(kind):
        raise PacketError("more deformations in packet than one may hold")
    nodes = KINDS[kind].nodes
    walk = _Walk(nodes)
    frames: list[GridDeformation | None] = []
    for _ in range(count):
        values = []
        for _ in range(KINDS[kind].values):
            expected, sizes, signs, way = walk.next()
            size = sizes.get(source)
            if size == ESCAPE:
                size += source.get_plain(_ESCAPE_BITS)
            difference = size and (-way if signs.get(source) else way) * size
            if abs(expected + difference) > LIMIT:
                raise PacketError("deformation in packet beyond its limit")
            walk.learn(expected + difference, difference)
            values.append(expected + difference)
        walk.end_frame()
        frames.append(np.array(values, np.int16).reshape(2, nodes, nodes))
    return frames
