"""For measuring a link: a daemon writes down when it took, sent and showed what, one JSON object a line.

$FACEWIRE_TRACE=FILE. Times are of the machine's monotonic clock, so that two daemons on one machine can be compared.
Lines: {"at": s, "frame": number, "stream": id} (the encoder: taken; the decoder: shown), {"at": s, "slice": pivot id,
"offset": n, "bytes": n, "to": receiver} (sent), {"at": s, "status": {...}}. At most 4 million lines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

MOST = 4_000_000


class Trace:
    """Appends to `path`; never raises once open, a full disk must not stop a stream."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._left = MOST

    def frame(self, at: float, number: int, stream: int) -> None:
        """A frame was taken or shown."""
        self._write({"at": round(at, 4), "frame": number, "stream": stream})

    def slice(self, at: float, pivot_id: bytes, offset: int, length: int, receiver: str) -> None:
        """A part of a pivot was sent: `length` bytes of picture."""
        self._write({"at": round(at, 4), "slice": pivot_id.hex(), "offset": offset, "bytes": length, "to": receiver})

    def status(self, at: float, fields: Mapping[str, object]) -> None:
        """A status line's fields."""
        self._write({"at": round(at, 4), "status": dict(fields)})

    def _write(self, line: Mapping[str, object]) -> None:
        if self._left <= 0:
            return
        self._left -= 1
        try:
            self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
        except OSError:
            self._left = 0


def trace(environ: Mapping[str, str] | None = None) -> Trace | None:
    """What $FACEWIRE_TRACE asks for; None if it is not set or cannot be written."""
    path = (os.environ if environ is None else environ).get("FACEWIRE_TRACE", "")
    try:
        return Trace(Path(path)) if path else None
    except OSError:
        return None
