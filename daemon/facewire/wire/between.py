"""Interpolated frames on the wire. What lies between two keypoint frames is made up by the receiver; but lips shut and
open again in three frames, and eyes in four, so half way is often wrong.

    in a bundle    after the mouths in the arithmetic code: a plain bit, 0 where nothing is said; after 1 two plain
                   bits, how many interpolated frames lie before each frame, less 1 (3 is not used); then for each
                   frame, for each of those: the amount of its mouth, a size by one model (beyond wire.mouth.ESCAPE as
                   there), and unless that is 0 a sign by another, 1 for less than 0; and where the frame is the
                   bundle's first one, or its eyes are not as those of the frame before it, a plain bit, 1 for shut
                   eyes. Where that is not said they are as in both

An interpolated frame's displacement is what lies at its place between those of its neighbours, stretches included
(wire.mouth), and is then stretched by its own amount.
"""

from __future__ import annotations

from collections.abc import Sequence

from facewire.errors import PacketError
from facewire.types import MAX_BETWEEN, Between
from facewire.wire.adaptive import Model
from facewire.wire.mouth import LIMIT, get_size, put_size
from facewire.wire.rangecoder import RangeDecoder, RangeEncoder

_SIZES, _SIGNS = (56, 12, 5, 2, 1, 1, 1, 1, 1), (16, 16)
"""How the models begin."""


def put_between(out: RangeEncoder, said: Sequence[Sequence[Between]], shut: Sequence[bool]) -> None:
    """Code what is said of the frames between a bundle's; shut: its frames' own eyes. Raises ValueError if an amount is
    beyond LIMIT, if there are not as many before each frame, or if eyes do what cannot be said."""
    count = max((len(mine) for mine in said), default=0)
    out.put_plain(int(count > 0), 1)
    if not count:
        return
    if count > MAX_BETWEEN or any(len(mine) != count for mine in said):
        raise ValueError(f"not as many frames between all, or more than {MAX_BETWEEN}")
    out.put_plain(count - 1, 2)
    sizes, signs = Model(_SIZES), Model(_SIGNS)
    for mine, before, after in zip(said, [None, *shut], shut, strict=False):
        for one in mine:
            if abs(one.mouth) > LIMIT or (before == after != one.shut):
                raise ValueError("mouth beyond its limit, or a blink that nobody saw")
            put_size(out, sizes, abs(one.mouth))
            if one.mouth:
                signs.put(out, int(one.mouth < 0))
            if before != after:
                out.put_plain(int(one.shut), 1)


def get_between(source: RangeDecoder, shut: Sequence[bool]) -> list[tuple[Between, ...]]:
    """Inverse of put_between for as many frames as `shut` has; raises PacketError."""
    if not source.get_plain(1):
        return [()] * len(shut)
    count = source.get_plain(2) + 1
    if count > MAX_BETWEEN:
        raise PacketError("more frames between two than are interpolated")
    sizes, signs = Model(_SIZES), Model(_SIGNS)
    found = []
    for before, after in zip([None, *shut], shut, strict=False):
        mine = []
        for _ in range(count):
            size = get_size(source, sizes)
            if size > LIMIT:
                raise PacketError("mouth in packet beyond its limit")
            mouth = -size if size and signs.get(source) else size
            mine.append(Between(mouth, bool(source.get_plain(1)) if before != after else after))
        found.append(tuple(mine))
    return found
