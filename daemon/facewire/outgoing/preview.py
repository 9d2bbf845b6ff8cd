"""A small picture for who joins late: a face within seconds, the sharp one while it moves already.

A preview is the running pivot coded again in PREVIEW_BYTES: with its own content id it is a pivot like any other, so a
decoder needs to know nothing of it. Its receiver is told the running epoch with the preview's id in the pivot's place,
gets the preview, keypoints at once, the true pivot's slices between them, and at last the epoch as it is. Where the
pivot goes on behind a coarse one (finer), that comes in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from facewire.types import Epoch, PivotSlice
from facewire.wire.pivot import add_mouth, coarsest, decode_whole, encode_pivot, slices

PREVIEW_BYTES = 1100
"""A face that one knows again; at 800 it is blurred, and 1,500 look hardly better."""
LONGER_SLICES = 2
"""Times as long as others: no keypoints wait behind them yet, and each costs 75 B."""
WORTH_SECONDS = 1.0
"""Where a pivot takes less than this under the ceiling it comes as it is..."""
WORTH_PART = 2
"""... and also where it is not so many times longer than its preview."""


@dataclass(frozen=True)
class Preview:
    """What stands in for pivot `stands_for`, and its slices."""

    stands_for: bytes
    parts: tuple[PivotSlice, ...]

    @property
    def pivot_id(self) -> bytes:
        """The preview's own content id."""
        return self.parts[0].pivot_id

    def epoch(self, epoch: Epoch) -> Epoch:
        """The epoch as it is told to who has the preview only; others' epochs stay as they are."""
        if epoch.pivot_id != self.stands_for:
            return epoch
        return replace(epoch, pivot_id=self.pivot_id, pivot_bytes=self.parts[0].total)


Coded = Callable[[bytes], "bytes | None"]


class Previews:
    """Makes them when they are asked for; keeps the last. rate: the ceiling, bytes a second; slice_bytes: of a slice at
    most. coded: a pivot in use by its id, None for others."""

    def __init__(self, rate: float, slice_bytes: int, coded: Coded) -> None:
        self._rate, self._slice_bytes, self._coded = rate, slice_bytes, coded
        self._last: tuple[Preview, ...] = ()

    def of(self, pivot_id: bytes) -> tuple[Preview, ...]:
        """The previews of a pivot in use, the coarsest first; none where it is not worth it. Takes 0.1 s the first
        time."""
        if self._last and self._last[0].stands_for == pivot_id:
            return self._last
        data = self._coded(pivot_id)
        if data is None or len(data) < max(WORTH_PART * PREVIEW_BYTES, WORTH_SECONDS * self._rate):
            return ()
        shown, first = decode_whole(data), coarsest(data)
        small = add_mouth(encode_pivot(shown.picture, PREVIEW_BYTES), shown.mouth)
        coded = [(small, LONGER_SLICES * self._slice_bytes)]
        if first != data:
            coded.append((first, self._slice_bytes))
        self._last = tuple(Preview(pivot_id, tuple(slices(*one))) for one in coded)
        return self._last
