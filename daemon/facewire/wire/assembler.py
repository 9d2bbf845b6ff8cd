"""Where the slices of coded pivots come together. What is unfinished outlives a restart: on a slow link it has cost
minutes, and a decoder says in its hello what is missing of it (wire.returns).

A file of an unfinished pivot, beside the whole ones: total u32 | then for each slice: offset u32 | length u16 | bytes.
It is written as slices come and read once, at the start; damage costs the slices behind it, and what is put together is
checked against its content id like any other pivot.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from facewire.types import PivotSlice
from facewire.wire.packets import MAX_PIVOT_BYTES, MAX_SLICE_BYTES
from facewire.wire.pivot_store import PivotCache, content_id

SUFFIX = ".unfinished"
MOST_FILE = 2
"""A file grows up to so many times its pivot's length: slices that overlap say little that is new."""
_HEAD, _SLICE = struct.Struct(">I"), struct.Struct(">IH")


class _Partial:
    def __init__(self, total: int) -> None:
        self.data = bytearray(total)
        self.have = bytearray(total)
        self.written = 0
        """Bytes of its file."""

    def add(self, offset: int, data: bytes) -> bool:
        """Take some bytes that lie in it; returns whether they say anything new."""
        end = offset + len(data)
        is_new = 0 in self.have[offset:end]
        self.data[offset:end] = data
        self.have[offset:end] = b"\1" * len(data)
        return is_new

    def missing(self) -> int:
        return self.have.count(0)

    def missing_up_to(self) -> int:
        """Where the last byte that is missing ends."""
        return self.have.rfind(0) + 1


class PivotAssembler:
    """Puts pivots together from slices in any order, repeated or overlapping. kept: a pivot that begins with the bytes
    of one in there, and says more behind them (shut eyes), is whole when that has come; what is unfinished is written
    to its folder. A folder that cannot be written is no error: what is unfinished then ends with the process.

    Holds at most `most` unfinished pivots of at most MAX_PIVOT_BYTES each; the one that was touched longest ago is
    dropped first. A pivot whose bytes do not have its id is thrown away and counted in `rejected`.
    """

    def __init__(self, most: int = 4, kept: PivotCache | None = None) -> None:
        self._most = most
        self._kept = kept
        self._folder = None if kept is None else kept.folder
        self._partial: OrderedDict[bytes, _Partial] = OrderedDict()
        self.rejected = 0
        if self._folder is not None:
            self._resume(self._folder)

    def add(self, part: PivotSlice) -> bytes | None:
        """Take one slice; returns the whole pivot when this slice completes it, else None."""
        if part.offset < 0 or part.offset + len(part.data) > part.total or not 0 < part.total <= MAX_PIVOT_BYTES:
            self.rejected += 1
            return None
        partial = self._partial.get(part.pivot_id)
        if partial is None or len(partial.data) != part.total:
            self._drop(part.pivot_id)
            partial = self._partial[part.pivot_id] = _Partial(part.total)
        self._partial.move_to_end(part.pivot_id)
        while len(self._partial) > self._most:
            self._drop(next(iter(self._partial)))
        is_new = partial.add(part.offset, part.data)
        if partial.missing():
            whole = self._begun(part.pivot_id, partial)
            if whole is not None:
                self._drop(part.pivot_id)
            elif is_new:
                self._write(part, partial)
            return whole
        self._drop(part.pivot_id)
        whole = bytes(partial.data)
        if content_id(whole) != part.pivot_id:
            self.rejected += 1
            return None
        return whole

    def _begun(self, pivot_id: bytes, partial: _Partial) -> bytes | None:
        """The pivot, if it begins with a kept one, and that has all that is missing."""
        total = len(partial.data)
        found = () if self._kept is None else self._kept.beginnings(partial.missing_up_to(), total)
        wholes = (beginning + bytes(partial.data[len(beginning) :]) for beginning in found)
        return next((whole for whole in wholes if content_id(whole) == pivot_id), None)

    @property
    def latest(self) -> bytes | None:
        """The unfinished pivot that a slice came for last."""
        names = list(self._partial)  # another thread may add slices meanwhile
        return names[-1] if names else None

    def missing(self, pivot_id: bytes) -> int | None:
        """Bytes still missing of a pivot, None if no slice of it has come."""
        partial = self._partial.get(pivot_id)
        return None if partial is None else partial.missing()

    def gaps(self, pivot_id: bytes, most: int = 8) -> list[tuple[int, int]]:
        """What is missing of a pivot of which slices have come: (offset, length), at most `most`, the last one reaching
        over all that is left. Empty if no slice has come."""
        partial = self._partial.get(pivot_id)
        if partial is None:
            return []
        have, total = bytes(partial.have), len(partial.have)
        out: list[tuple[int, int]] = []
        begin = have.find(0)
        while begin >= 0:
            end = have.find(1, begin)
            end = total if end < 0 or len(out) == most - 1 else end
            out.append((begin, end - begin))
            begin = have.find(0, end)
        return out

    def _path(self, pivot_id: bytes) -> Path | None:
        return None if self._folder is None else self._folder / (pivot_id.hex() + SUFFIX)

    def _drop(self, pivot_id: bytes) -> None:
        partial, path = self._partial.pop(pivot_id, None), self._path(pivot_id)
        if partial is not None and path is not None and partial.written:
            with contextlib.suppress(OSError):
                path.unlink()

    def _write(self, part: PivotSlice, partial: _Partial) -> None:
        path = self._path(part.pivot_id)
        said = _SLICE.pack(part.offset, len(part.data)) + part.data
        if path is None or partial.written + len(said) > MOST_FILE * part.total:
            return
        head = b"" if partial.written else _HEAD.pack(part.total)
        try:
            with path.open("ab" if partial.written else "wb") as file:
                file.write(head + said)
            partial.written += len(head) + len(said)
        except OSError:
            self._folder = None

    def _resume(self, folder: Path) -> None:
        """What an earlier process left unfinished, what was touched last coming last; what is too much is deleted."""
        found: list[tuple[int, Path]] = []
        with contextlib.suppress(OSError):
            found = sorted((path.stat().st_mtime_ns, path) for path in folder.glob("*" + SUFFIX))
        for _, path in found:
            partial = _read(path)
            try:
                pivot_id = bytes.fromhex(path.stem)
            except ValueError:
                continue
            if partial is not None and partial.missing() and len(pivot_id) == 8 and pivot_id not in (self._kept or ()):
                self._partial[pivot_id] = partial
            else:
                with contextlib.suppress(OSError):
                    path.unlink()
        while len(self._partial) > self._most:
            self._drop(next(iter(self._partial)))


def _read(path: Path) -> _Partial | None:
    """A file as far as it can be believed; None: not at all."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_FILE * MAX_PIVOT_BYTES + 1)
    except OSError:
        return None
    if len(data) < _HEAD.size or not 0 < (total := _HEAD.unpack_from(data)[0]) <= MAX_PIVOT_BYTES:
        return None
    partial = _Partial(total)
    partial.written = _HEAD.size
    for offset, said in _slices(data):
        if offset + len(said) > total:
            break
        partial.add(offset, said)
        partial.written += _SLICE.size + len(said)
    with contextlib.suppress(OSError):
        os.truncate(path, partial.written)  # what follows would be read as the end of a slice that was cut
    return partial


def _slices(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = _HEAD.size
    while at + _SLICE.size <= len(data):
        offset, length = _SLICE.unpack_from(data, at)
        at += _SLICE.size
        if not 0 < length <= MAX_SLICE_BYTES or at + length > len(data):
            return
        yield offset, data[at : at + length]
        at += length
