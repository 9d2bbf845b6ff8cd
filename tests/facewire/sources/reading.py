"""Reading a source to its bitter end."""

from __future__ import annotations

from typing import Protocol

from facewire.types import Frame


class Readable(Protocol):
    def read(self, timeout: float) -> Frame | None: ...


def read_on(source: Readable, times: int = 200, timeout: float = 2.0) -> None:
    """Read `times` pictures; for use where the source is to raise before that."""
    for _ in range(times):
        source.read(timeout)
