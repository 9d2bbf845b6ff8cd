"""Keeps a source open: a thread opens it, reads it, and opens it again with growing pauses when it breaks.

Opening a network camera can take seconds and a broken one can hang; the daemon's loop must not hang with it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from facewire.errors import FacewireError, MissingDependency, SourceError
from facewire.sources import Source, open_source, parse_spec
from facewire.sources.watch import FreezeWatch
from facewire.types import Frame

QUEUE = 12
"""Frames that wait for the encoder (a pivot takes it 0.1 s to code, a bundle's deformations up to as long as the bundle
lasts); the oldest is dropped. 33 MB at 1280x720."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds before a broken source is opened again; doubles each time until it gives a picture."""
_CAMERAS = ("picamera2", "v4l2", "rtsp")

Opener = Callable[[str, float], Source]


class SourceKeeper:
    """`trouble` says what is wrong with the source, None while it gives pictures. `ended`: a file is at its end.

    Raises SourceError or MissingDependency where only a person can help: no source is meant, a file does not exist, a
    library is not installed. A camera that is not there yet is waited for.
    """

    def __init__(self, spec: str, fps: float, opener: Opener = open_source) -> None:
        kind = parse_spec(spec).kind
        self.name = spec
        self.trouble: str | None = None
        self.ended = False
        self.dropped = 0
        """Frames that the encoder was too slow for."""
        self._spec, self._fps, self._open = spec, fps, opener
        self._frames: deque[Frame] = deque()
        self._ready = threading.Condition()
        self._closing = threading.Event()
        self._source: Source | None = None
        try:
            self._source = opener(spec, fps)
            self.name = self._source.name
        except MissingDependency:
            raise
        except SourceError as error:
            if kind not in _CAMERAS:
                raise
            self.trouble = str(error)
        self._thread = threading.Thread(target=self._run, name="facewire-source", daemon=True)
        self._thread.start()

    def read(self, timeout: float) -> Frame | None:
        """The next frame, None if none came within `timeout` seconds."""
        with self._ready:
            if not self._frames and not self.ended:
                self._ready.wait(timeout)
            frame = self._frames.popleft() if self._frames else None
            self._ready.notify_all()
            return frame

    @property
    def is_empty(self) -> bool:
        """The source has ended and each of its frames was read."""
        return self.ended and not self._frames

    def close(self) -> None:
        """Stop, and give the device back. A source that hangs is left behind."""
        self._closing.set()
        with self._ready:
            self._ready.notify_all()
        self._thread.join(3.0)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._closing.is_set():
            try:
                if self._source is None:
                    self._source = self._open(self._spec, self._fps)
                    self.name = self._source.name
                if self._read_until_broken(self._source):
                    pause = FIRST_PAUSE
            except FacewireError as error:
                if self.trouble is None:
                    pause = FIRST_PAUSE
                self.trouble = str(error)
            finally:
                if self._source is not None:
                    self._source.close()
                    self._source = None
            if self.ended:
                return
            self._closing.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _read_until_broken(self, source: Source) -> bool:
        """Returns when the source has ended or we are closing; raises what it broke of."""
        freeze = FreezeWatch() if source.name.startswith(_CAMERAS) else None
        while not self._closing.is_set():
            frame = source.read(0.5)
            if frame is None:
                if source.ended:
                    with self._ready:
                        self.ended = True
                        self._ready.notify_all()
                    return True
                continue
            if freeze is not None and freeze.update(frame.picture, frame.time):
                raise SourceError(f"{source.name}: the picture is frozen; opening the camera again")
            self.trouble = None
            with self._ready:
                if len(self._frames) >= QUEUE:
                    self._frames.popleft()
                    self.dropped += 1
                self._frames.append(frame)
                self._ready.notify_all()
        return True
