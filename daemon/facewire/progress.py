"""One line on a terminal that says how far a long command is; silence where nobody watches."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

_INTERVAL = 0.2


class Progress:
    """`with Progress("compress", 25.0) as progress: progress.step(frames, bytes)`; writes to a terminal only."""

    def __init__(self, what: str, fps: float, out: TextIO | None = None) -> None:
        self._what = what
        self._fps = fps
        self._out = sys.stderr if out is None else out
        self._shows = self._out.isatty()
        self._begin = self._last = time.monotonic()
        self._width = 0
        self._done = (0, 0)

    def step(self, frames: int, size: int) -> None:
        """So many frames are done, which take `size` bytes of the .fw file."""
        now = time.monotonic()
        self._done = (frames, size)
        if self._shows and now - self._last >= _INTERVAL:
            self._last = now
            self._write()

    def _write(self) -> None:
        frames, size = self._done
        seconds = frames / self._fps
        speed = seconds / max(time.monotonic() - self._begin, 1e-3)
        line = f"{self._what}: {frames} frames, {seconds:.1f} s, {size / 1000:.1f} kB, {speed:.1f} x real time"
        self._out.write(f"\r{line.ljust(self._width)}")
        self._out.flush()
        self._width = len(line)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shows and self._done[0]:
            self._write()
            self._out.write("\n")
            self._out.flush()
