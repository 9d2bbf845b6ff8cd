"""For measuring a link: a daemon writes down when it took, sent and showed what, one JSON object a line.

$FACEWIRE_TRACE=FILE. Times are of the machine's monotonic clock, so that two daemons on one machine can be compared.
Lines: {"at": s, "frame": number, "stream": id} (the encoder: taken; the decoder: shown); {"at": s, "sent" or "got":
kind, "of": stream or pivot, "name": frame, epoch or offset, "count": keypoint frames or bytes of picture, "to":
device}; {"at": s, "status": {...}}; {"at": s, "books": {...}}. At most 4 million lines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from facewire.types import Bundle, Message, PivotSlice

MOST = 4_000_000


class Trace:
    """Appends to `path`; never raises once open, a full disk must not stop a stream."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._left = MOST

    def frame(self, at: float, number: int, stream: int) -> None:
        """A frame was taken or shown."""
        self._write({"at": round(at, 4), "frame": number, "stream": stream})

    def message(self, at: float, way: str, message: Message, stream: int, device: str) -> None:
        """A message of a stream was "sent" to a device, or a device "got" it."""
        of: int | str = stream
        if isinstance(message, PivotSlice):
            kind, of, name, count = "slice", message.pivot_id.hex(), message.offset, len(message.data)
        elif isinstance(message, Bundle):
            kind, name, count = "bundle", message.frames[0].number if message.frames else 0, len(message.frames)
        else:
            kind, name, count = "epoch", message.number, 0
        self._write({"at": round(at, 4), way: kind, "of": of, "name": name, "count": count, "to": device})

    def named(self, at: float, before: str, device: str) -> None:
        """What was sent to `before` so far went to this device, which has just said its name."""
        self._write({"at": round(at, 4), "named": before, "is": device})

    def books(self, at: float, counts: Mapping[str, int]) -> None:
        """What became of keypoint frames so far."""
        self._write({"at": round(at, 4), "books": dict(counts)})

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
