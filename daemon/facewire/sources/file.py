"""A video file as a source: any rate and size, rotated by its own metadata, looped and paced like a camera if asked."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from facewire.errors import SourceError
from facewire.sources.clock import Pacer
from facewire.sources.steady import SteadyRate
from facewire.sources.video import Video
from facewire.types import Frame


class FileSource:
    """`file:PATH[?loop]`."""

    def __init__(self, path: str, fps: float, pace: bool = True, loop: bool = False) -> None:
        """Open `path`. Raises SourceError when it is no video file."""
        self.name = f"file:{path}"
        self.live = pace
        self.ended = False
        self._path, self._fps, self._loop = path, fps, loop
        self._pacer = Pacer(fps) if pace else None
        self._number = 0
        self._check_path()
        self._video = self._open()
        self._frames = self._decode()
        self._next: Frame | None = None

    def _check_path(self) -> None:
        try:
            mode = Path(self._path).stat().st_mode
        except (OSError, ValueError) as error:
            raise SourceError(f"{self.name}: {getattr(error, 'strerror', None) or error}; check the path") from error
        if not stat.S_ISREG(mode):
            raise SourceError(f"{self.name}: is not a file")

    def _open(self) -> Video:
        # A play list that somebody left here must not make us call other machines or read other files.
        return Video(str(Path(self._path).absolute()), self.name, {"protocol_whitelist": "file"})

    def _decode(self) -> Iterator[Frame]:
        while True:
            rate = SteadyRate(self._fps)
            duration = 0.0
            for timed in self._video.pictures():
                yield from rate.push(timed.picture, timed.time)
                duration = timed.duration
            yield from rate.finish(duration or 1.0 / self._video.rate)
            self._video.close()
            if not self._loop:
                return
            self._video = self._open()

    def read(self, timeout: float) -> Frame | None:
        """See Source.read. Frame.time counts from 0 without pacing, else it is the clock's time at which it was due."""
        if self._next is None:
            self._next = next(self._frames, None)
            # A file that is longer in coming than the clock allows loses frames, as a camera's reader would.
            while self._next is not None and self._pacer is not None and self._pacer.late(self._number):
                self._next = next(self._frames, None)
                self._number += 1
        if self._next is None:
            self.ended = True
            return None
        if self._pacer is not None and not self._pacer.wait(self._number, timeout):
            return None
        time = self._number / self._fps if self._pacer is None else self._pacer.due(self._number)
        frame = Frame(self._next.picture, time)
        self._next = None
        self._number += 1
        return frame

    def close(self) -> None:
        """Close the file."""
        self._video.close()
