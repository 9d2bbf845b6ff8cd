"""A small picture for who joins late: a face within seconds, the sharp one while it moves already.

A preview is the running pivot coded again in PREVIEW_BYTES: with its own content id it is a pivot like any other, so a
decoder needs to know nothing of it. Its receiver is told the running epoch with the preview's id in the pivot's place,
gets the preview, keypoints at once, the true pivot's slices between them, and at last the epoch as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from facewire.types import Epoch, PivotSlice
from facewire.wire.pivot import decode_pivot, encode_pivot, slices

PREVIEW_BYTES = 1100
"""A face that one knows again; at 800 it is blurred, and 1,500 look hardly better."""
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


class Previews:
    """Makes them when they are asked for; keeps the last. rate: the ceiling, bytes a second; slice_bytes: of a slice at
    most. coded: a pivot in use by its id, None for others."""

    def __init__(self, rate: float, slice_bytes: int, coded: Callable[[bytes], bytes | None]) -> None:
        self._rate, self._slice_bytes, self._coded = rate, slice_bytes, coded
        self._last: Preview | None = None

    def of(self, pivot_id: bytes) -> Preview | None:
        """The preview of a pivot in use, None where it is not worth it. Takes 0.1 s the first time."""
        if self._last is not None and self._last.stands_for == pivot_id:
            return self._last
        data = self._coded(pivot_id)
        if data is None or len(data) < max(WORTH_PART * PREVIEW_BYTES, WORTH_SECONDS * self._rate):
            return None
        small = encode_pivot(decode_pivot(data), PREVIEW_BYTES)
        self._last = Preview(pivot_id, tuple(slices(small, self._slice_bytes)))
        return self._last
