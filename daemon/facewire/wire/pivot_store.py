"""Coded pivots: their names, their slices, and where they stay (PivotCache)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from facewire.types import PivotSlice
from facewire.wire.packets import MAX_PIVOT_BYTES

SUFFIX = ".pivot"
RECENT = 8
"""Kept pivots, the last ones used, that are tried as the beginning of another one."""


def content_id(data: bytes) -> bytes:
    """8-byte BLAKE2b (RFC 7693) of a coded pivot."""
    return hashlib.blake2b(data, digest_size=8).digest()


def slices(data: bytes, slice_bytes: int) -> Iterator[PivotSlice]:
    """The slices of a coded pivot, each of at most `slice_bytes` bytes of data."""
    name = content_id(data)
    for offset in range(0, len(data), slice_bytes):
        yield PivotSlice(name, offset, len(data), data[offset : offset + slice_bytes])


def behind(part: PivotSlice, length: int) -> PivotSlice | None:
    """What of a slice lies behind the first `length` bytes of its pivot; None: nothing."""
    inside = length - part.offset
    if inside >= len(part.data):
        return None
    return part if inside <= 0 else replace(part, offset=length, data=part.data[inside:])


class PivotCache:
    """Coded pivots by content id, in memory and (with a folder) on disk, so that they survive a restart.

    Bounded by `max_bytes`; the pivot used longest ago goes first. Files are written whole or not at all, and checked
    against their id when read. A folder that cannot be written is no error: the cache then lives in memory, and
    `fault` says why (None while all is well).
    """

    def __init__(self, folder: Path | None, max_bytes: int = 16 << 20) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._lengths: OrderedDict[bytes, int] = OrderedDict()
        self._memory: OrderedDict[bytes, bytes] = OrderedDict()
        self.fault: str | None = None
        if folder is not None:
            self._scan(folder)

    @property
    def folder(self) -> Path | None:
        """Where they are kept; None: in memory alone."""
        return self._folder

    def get(self, pivot_id: bytes) -> bytes | None:
        """The pivot's bytes, or None if it is not held (or was damaged on disk, and is then forgotten)."""
        data = self._memory.get(pivot_id)
        if data is None and pivot_id in self._lengths:
            data = self._read(pivot_id)
            if data is None:
                self._forget(pivot_id)
                return None
        if data is None:
            return None
        self._touch(pivot_id, data)
        return data

    def put(self, data: bytes) -> bytes:
        """Keep a pivot; returns its content id."""
        name = content_id(data)
        if name not in self._lengths and self._folder is not None:
            self._write(self._folder, name, data)
        self._touch(name, data)
        while len(self._lengths) > 1 and sum(self._lengths.values()) > self._max_bytes:
            self._forget(next(iter(self._lengths)))
        return name

    def latest(self, most: int) -> list[bytes]:
        """Content ids of the pivots that were used last, the newest first."""
        return list(self._lengths)[: -most - 1 : -1]

    def beginnings(self, least: int, below: int) -> list[bytes]:
        """Those with which one of `below` bytes may begin whose first `least` bytes are missing: such of just so many
        bytes, and longer ones among the RECENT ones; no more than RECENT of each."""
        names = [name for name in self.latest(len(self._lengths)) if self._lengths[name] == least][:RECENT]
        names += [name for name in self.latest(RECENT) if least < self._lengths[name] < below]
        found = (self.get(name) for name in names)
        return [data for data in found if data is not None]

    def __contains__(self, pivot_id: bytes) -> bool:
        return pivot_id in self._lengths

    def __len__(self) -> int:
        return len(self._lengths)

    def _scan(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = []
            for path in folder.glob("*" + SUFFIX):
                with contextlib.suppress(ValueError, OSError):
                    status = path.stat()
                    name = bytes.fromhex(path.stem)
                    if len(name) == 8 and 0 < status.st_size <= MAX_PIVOT_BYTES:
                        found.append((status.st_mtime_ns, name, status.st_size))
            for _, name, length in sorted(found):
                self._lengths[name] = length
        except OSError as error:
            self.fault = f"pivot cache {folder}: {error.strerror or error}"

    def _path(self, pivot_id: bytes) -> Path | None:
        return None if self._folder is None else self._folder / (pivot_id.hex() + SUFFIX)

    def _read(self, pivot_id: bytes) -> bytes | None:
        path = self._path(pivot_id)
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                data = file.read(MAX_PIVOT_BYTES + 1)
            os.utime(path)
        except OSError:
            return None
        return data if content_id(data) == pivot_id else None

    def _write(self, folder: Path, pivot_id: bytes, data: bytes) -> None:
        temporary: str | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=folder, suffix=".part")
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(folder / (pivot_id.hex() + SUFFIX))
            self.fault = None
        except OSError as error:
            self.fault = f"pivot cache {folder}: {error.strerror or error}"
            if temporary is not None:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()

    def _touch(self, pivot_id: bytes, data: bytes) -> None:
        self._lengths[pivot_id] = len(data)
        self._lengths.move_to_end(pivot_id)
        self._memory[pivot_id] = data
        self._memory.move_to_end(pivot_id)
        while len(self._memory) > 1 and sum(map(len, self._memory.values())) > self._max_bytes // 4:
            if self._folder is None or self.fault is not None:
                break  # memory is all there is: put() bounds it
            self._memory.popitem(last=False)

    def _forget(self, pivot_id: bytes) -> None:
        self._lengths.pop(pivot_id, None)
        self._memory.pop(pivot_id, None)
        path = self._path(pivot_id)
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink()
