"""What of a pivot one receiver is to be sent: all of it, what was asked for, or the rest of what it has begun with."""

from __future__ import annotations

from facewire.outgoing.preview import Coded
from facewire.outgoing.receivers import Receiver
from facewire.types import PivotSlice
from facewire.wire.pivot import beginnings, behind, slices
from facewire.wire.returns import Want


class Portions:
    """coded: see Sending; slice_bytes: length of a slice."""

    def __init__(self, coded: Coded, slice_bytes: int) -> None:
        self._coded, self._slice_bytes = coded, slice_bytes
        self._begun: tuple[bytes, list[tuple[bytes, int]]] = (b"", [])
        """What was found last of how a pivot begins."""

    def all_of(self, receiver: Receiver, pivot_id: bytes) -> list[PivotSlice]:
        """All slices of a pivot, or of the receiver's preview of that name; none of what is not known."""
        for preview in receiver.previews:
            if preview.pivot_id == pivot_id:
                return list(preview.parts)
        data = self._coded(pivot_id)
        return [] if data is None else list(slices(data, self._slice_bytes))

    def lacked(self, one: Receiver, part: PivotSlice) -> PivotSlice | None:
        """What the receiver lacks of a slice, as far as is known."""
        return self._rest(one, part) if one.lacks(part.pivot_id) else None

    def asked(self, one: Receiver, part: PivotSlice, want: Want) -> PivotSlice | None:
        """What of a slice was asked for."""
        end = part.offset + len(part.data)
        if want.gaps and not any(offset < end and part.offset < offset + length for offset, length in want.gaps):
            return None
        length = self._begun_with(one, part.pivot_id)
        # Who lacks nothing but what the beginning has, and has that, would have put them together; who asks a second
        # time was not helped by the rest.
        has_tried = want.gaps and all(offset + gap <= length for offset, gap in want.gaps)
        return part if has_tried or one.asked_for == want.pivot_id else self._rest(one, part)

    def _rest(self, one: Receiver, part: PivotSlice) -> PivotSlice | None:
        """A slice, but for who has what its pivot begins with, or is sent that just now, only what lies behind."""
        return behind(part, self._begun_with(one, part.pivot_id))

    def _begun_with(self, one: Receiver, pivot_id: bytes) -> int:
        """Length of what a pivot begins with and a receiver has, or is sent just now (wire.pivot.beginnings)."""
        data = self._coded(pivot_id)
        if data is None:
            return 0
        if self._begun[0] != pivot_id:
            self._begun = (pivot_id, beginnings(data))
        coming = {preview.pivot_id for preview in one.previews}

        def will_have(begun: bytes) -> bool:
            return not one.lacks(begun) or begun in coming or one.outbox.holds(begun)

        return next((length for begun, length in self._begun[1] if will_have(begun)), 0)
