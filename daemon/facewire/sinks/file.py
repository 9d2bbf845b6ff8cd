"""Into a video file that can be played even if the power fails while it is written.

An .mp4 is written in fragments of a second (`moov` first, then `moof`/`mdat` pairs: ISO/IEC 14496-12, 8.8), an
.mkv in clusters of a second; what is on the disk plays, up to the last whole second.
"""

from __future__ import annotations

import collections
import importlib
import logging
import shutil
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

from facewire.errors import MissingDependency, SinkError
from facewire.showing.planes import fitted
from facewire.sinks.base import SinkStats, even
from facewire.types import Picture

log = logging.getLogger("facewire.sinks")

QUEUE_BYTES = 24_000_000
"""Pictures that wait for the encoder: 30 of 512x512, two of the largest."""
CRF = 20
"""x264 superfast: looks untouched, about 1 Mbit/s for a talking head of 512x512."""
FREE_BYTES = 100_000_000
"""The disk is never filled further than this: a device that cannot write its log cannot say what is wrong."""
CLOSE_SECONDS = 10.0


class FileSink:
    """H.264 at a steady rate: picture n stands at n / fps. A dropped picture leaves its place to the one before.

    An existing file is never overwritten: after a restart the recording goes on in `out-1.mp4`, `out-2.mp4`, ...
    """

    def __init__(self, path: str, size: int, fps: float) -> None:
        """Raises SinkError when the file cannot be made there, MissingDependency without PyAV."""
        try:
            self._av: Any = importlib.import_module("av")
        except ImportError:
            raise MissingDependency("file: needs PyAV; pip install facewire[decoder]") from None
        self.path = unused(Path(path))
        self.name = f"file:{self.path}"
        if str(self.path) != path:
            log.info("file: %s exists, writing to %s", path, self.path)
        self._size = even(size)
        self._rate = Fraction(round(fps * 1000), 1000)
        self._depth = max(2, QUEUE_BYTES // (self._size * self._size * 3))
        self._queue: collections.deque[tuple[int, Picture]] = collections.deque()
        self._wake = threading.Condition()
        self._count = self._shown = self._dropped = 0
        self._trouble = ""
        self._closed = False
        try:
            self._check_disk()
            self._open()
        except (OSError, ValueError) as error:
            raise SinkError(f"{self.name}: cannot be written: {_reason(error)}") from None
        self._worker = threading.Thread(target=self._run, name="facewire-file", daemon=True)
        self._worker.start()

    @property
    def stats(self) -> SinkStats:
        """Counters at this moment; `shown` counts pictures that went into the encoder."""
        return SinkStats(self._shown, self._dropped)

    def show(self, picture: Picture) -> None:
        """Queue one picture. Raises SinkError when the file cannot be written any more."""
        if self._closed:
            raise SinkError(f"{self.name} is closed; open it again")
        if self._trouble:
            raise SinkError(f"{self.name}: {self._trouble}")
        with self._wake:
            if len(self._queue) >= self._depth:
                self._queue.popleft()
                self._dropped += 1
            self._queue.append((self._count, picture))
            self._count += 1
            self._wake.notify()

    def close(self) -> None:
        """Write what waits, and the end of the file."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._worker.join(CLOSE_SECONDS)

    # -- the encoder's thread

    def _run(self) -> None:
        try:
            while (item := self._next()) is not None:
                number, picture = item
                frame = self._av.VideoFrame.from_ndarray(fitted(picture, self._size), format="rgb24")
                frame.pts, frame.time_base = number, 1 / self._rate
                self._write(self._stream.encode(frame))
                self._shown += 1
                if number % max(1, round(self._rate)) == 0:
                    self._check_disk()
            self._write(self._stream.encode(None))
        except (OSError, ValueError) as error:
            self._trouble = _reason(error)
        finally:
            try:
                self._container.close()
            except (OSError, ValueError) as error:
                self._trouble = self._trouble or _reason(error)

    def _next(self) -> tuple[int, Picture] | None:
        """The oldest picture that waits; None when the sink is closed and nothing does."""
        with self._wake:
            while not self._queue and not self._closed:
                self._wake.wait()
            return self._queue.popleft() if self._queue else None

    def _write(self, packets: Any) -> None:
        for packet in packets:
            self._container.mux(packet)

    def _open(self) -> None:
        seconds = round(self._rate)
        options = {"flush_packets": "1"}
        if self.path.suffix.lower() == ".mp4":
            options["movflags"] = "frag_keyframe+empty_moov+default_base_moof"
        else:
            options["cluster_time_limit"] = "1000"
        self._container = self._av.open(str(self.path), "w", options=options)
        self._stream = self._container.add_stream("libx264", rate=self._rate)
        self._stream.width = self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.thread_count = 1
        self._stream.codec_context.gop_size = max(1, seconds)
        # Latency does not matter here, but pictures inside the encoder are lost with the power.
        self._stream.options = {"preset": "superfast", "crf": str(CRF), "tune": "zerolatency"}

    def _check_disk(self) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if free < FREE_BYTES:
            raise OSError(f"only {free // 1_000_000} MB are free in {self.path.parent}; make room")


def unused(path: Path) -> Path:
    """The path itself when nothing is there (or an empty file), else the first free `name-N`. Raises SinkError."""
    for candidate in [path, *(path.with_stem(f"{path.stem}-{n}") for n in range(1, 1000))]:
        if not candidate.exists() or (candidate.is_file() and candidate.stat().st_size == 0):
            return candidate
    raise SinkError(f"file:{path}: a thousand recordings are there already; move them away")


def _reason(error: Exception) -> str:
    """PyAV's errors carry number, text and file name; only the text belongs into a line that names the file."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()).lower() if getattr(error, "strerror", None) else " ".join(text.split())
