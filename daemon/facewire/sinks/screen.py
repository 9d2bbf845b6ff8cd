"""Pictures onto a screen, by a child process of our own (screen_child.py).

Xlib ends the process when the X server goes away, and drivers crash; neither may take the decoder and its other
sinks with it. The child gets raw RGB pictures on its standard input, says `ready` or `error REASON` on its standard
output, and ends when its input does, so that it never outlives us.
"""

from __future__ import annotations

import collections
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import facewire
from facewire.errors import SinkError
from facewire.showing.planes import fitted
from facewire.sinks import gst
from facewire.sinks.base import SinkStats
from facewire.sinks.feed import QUEUED
from facewire.types import Picture

START_SECONDS = 15.0
"""The child loads Python and GStreamer: half a second on a PC, some on a loaded small board."""
STUCK_SECONDS = 10.0
CLOSE_SECONDS = 3.0


@dataclass(frozen=True)
class ScreenOrder:
    """What the child is to do."""

    video_sink: str
    """An element in gst-launch words."""
    size: int
    """Side of the pictures on its input, pixels."""
    fps: float
    area: tuple[int, int] | None
    """Width and height that the video sink must be given, black bars around the picture; None: the picture's own."""


class ScreenSink:
    """One child, one screen."""

    def __init__(self, name: str, order: ScreenOrder, lost: Callable[[], str] | None = None) -> None:
        """Start the child and wait until it shows a black picture.

        `lost` is asked once a second and says why the display is gone ("" while it is there).
        Raises SinkError, in the child's words, when the display does not start.
        """
        self.name = name
        self._size, self._lost = order.size, lost
        self._ask_each = max(1, round(order.fps))
        self._count = self._shown = self._dropped = 0
        self._queue: collections.deque[Picture] = collections.deque()
        self._wake = threading.Condition()
        self._writing_since = 0.0
        self._closed = False
        self._child = subprocess.Popen(
            [sys.executable, "-m", "facewire.sinks.screen_child", json.dumps(asdict(order))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if gst.debugging() else subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
        )
        trouble = self._first_word()
        if trouble:
            self.close()
            raise SinkError(f"{name}: {trouble}")
        self._writer = threading.Thread(target=self._write, name="facewire-screen", daemon=True)
        self._writer.start()

    @property
    def stats(self) -> SinkStats:
        """Counters at this moment."""
        return SinkStats(self._shown, self._dropped)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._child.pid

    def show(self, picture: Picture) -> None:
        """Show one picture soon. Raises SinkError when the display went away."""
        if self._closed:
            raise SinkError(f"{self.name} is closed; open it again")
        if self._child.poll() is not None:
            raise SinkError(f"{self.name}: {self._last_word()}")
        began = self._writing_since
        if began and time.monotonic() - began > STUCK_SECONDS:
            raise SinkError(f"{self.name}: took no picture for {STUCK_SECONDS:g} s")
        if self._lost is not None and self._count % self._ask_each == 0:
            why = self._lost()
            if why:
                raise SinkError(f"{self.name}: {why}")
        self._count += 1
        with self._wake:
            if len(self._queue) >= QUEUED:
                self._queue.popleft()
                self._dropped += 1
            self._queue.append(picture)
            self._wake.notify()

    def close(self) -> None:
        """Give the display back; a child that does not go by itself is killed."""
        with self._wake:
            if self._closed:
                return
            self._closed = True
            self._wake.notify()
        if self._writing_since:
            self._child.kill()
        writer = getattr(self, "_writer", None)
        if writer is not None:
            writer.join(CLOSE_SECONDS)
        for pipe in (self._child.stdin, self._child.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:
                pass
        try:
            self._child.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _write(self) -> None:
        """The writer's thread: the pipe holds less than a picture, so writing waits for the child."""
        pipe = self._child.stdin
        assert pipe is not None
        while True:
            with self._wake:
                while not self._queue and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
                picture = self._queue.popleft()
            self._writing_since = time.monotonic()
            try:
                pipe.write(fitted(picture, self._size).tobytes())
                pipe.flush()
            except (OSError, ValueError):
                return
            finally:
                self._writing_since = 0.0
            self._shown += 1

    def _first_word(self) -> str:
        """Wait for `ready`. Returns "" then, else what is wrong."""
        pipe = self._child.stdout
        assert pipe is not None
        readable, _, _ = select.select([pipe], [], [], START_SECONDS)
        if not readable:
            return f"it did not start within {START_SECONDS:g} s"
        line = pipe.readline()
        return "" if line == b"ready\n" else _reason(line)

    def _last_word(self) -> str:
        """Why a child that has ended did so."""
        pipe = self._child.stdout
        assert pipe is not None
        return _reason(pipe.read())


def _reason(said: bytes) -> str:
    words = " ".join(said.decode("utf-8", "replace").removeprefix("error ").split())
    return words or "the display's process ended without a word (the X server went away, or a driver crashed)"


def _environment() -> dict[str, str]:
    """The child's: ours, with this very package on its path, without the service manager's socket."""
    environment = {key: value for key, value in os.environ.items() if key not in ("NOTIFY_SOCKET", "WATCHDOG_USEC")}
    here = str(Path(facewire.__file__).parents[1])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (here, environment.get("PYTHONPATH", ""))))
    return environment
