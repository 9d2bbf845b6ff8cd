"""Several sinks at once, each on its own feet."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from facewire.errors import FacewireError, MissingDependency
from facewire.logs import Fault
from facewire.sinks.base import Sink, SinkStats
from facewire.sinks.opening import open_sink
from facewire.sinks.spec import SinkSpecError, parse_spec
from facewire.types import Picture

log = logging.getLogger("facewire.sinks")

FIRST_WAIT = 1.0
LONGEST_WAIT = 10.0
"""Seconds between attempts to open a broken sink: 1, 2, 4, 8, 10, 10 ... A display is back soon after its plug is."""
PROVEN_SECONDS = 5.0
"""A re-opened sink must live this long before its fault is called over: flapping logs once, not each time."""
CLOSE_SECONDS = 5.0

Opener = Callable[[str, int, float], Sink]


@dataclass(frozen=True)
class SlotState:
    """One of the set's sinks at a moment."""

    spec: str
    name: str
    """The open sink's name; the specification while it is not open."""
    open: bool
    fault: str
    """Why it does not work, one line; "" when it does."""
    stats: SinkStats
    """Since the set was made, over all re-openings."""


class SinkSet:
    """Shows on every sink; a broken one is closed and opened again in the background while the others go on.

    A fault is logged once when it begins and once when it ends.
    """

    def __init__(
        self,
        specs: Sequence[str],
        size: int,
        fps: float,
        opener: Opener = open_sink,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open all. Raises SinkSpecError and MissingDependency, which waiting does not mend; other faults heal."""
        for spec in specs:
            parse_spec(spec)
        self._slots = [_Slot(spec, size, fps, opener, clock) for spec in specs]
        try:
            for slot in self._slots:
                slot.open_first()
        except FacewireError:
            self.close()
            raise

    def show(self, picture: Picture) -> None:
        """Show on every sink that works, uint8 [height, width, 3] RGB. Never raises, never waits for a sink to open."""
        for slot in self._slots:
            slot.show(picture)

    def states(self) -> tuple[SlotState, ...]:
        """One state for each specification, in order."""
        return tuple(slot.state() for slot in self._slots)

    def close(self) -> None:
        """Close all, side by side, and wait a few seconds for them."""
        closers = [threading.Thread(target=slot.close, daemon=True) for slot in self._slots]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join(CLOSE_SECONDS)


class _Slot:
    """One sink, or the absence of it. `show` is called by one thread; the opener runs in another."""

    def __init__(self, spec: str, size: int, fps: float, opener: Opener, clock: Callable[[], float]) -> None:
        self.spec = spec
        self._size, self._fps, self._opener, self._clock = size, fps, opener, clock
        self._lock = threading.Lock()
        self._sink: Sink | None = None
        self._worker: threading.Thread | None = None
        self._fault = Fault(log, "sink-lost")
        self._why = ""
        self._fault_began = 0.0
        self._opened_at = 0.0
        self._wait = FIRST_WAIT
        self._next_try = 0.0
        self._past = SinkStats()
        self._closed = False

    def open_first(self) -> None:
        try:
            self._take(self._opener(self.spec, self._size, self._fps))
        except (SinkSpecError, MissingDependency):
            raise
        except Exception as error:
            self._broken(error)

    def show(self, picture: Picture) -> None:
        sink = self._sink
        if sink is None:
            self._past = _sum(self._past, SinkStats(dropped=1))
            self._maybe_reopen()
            return
        try:
            sink.show(picture)
        except Exception as error:
            self._broken(error)
            return
        if self._fault.active and self._clock() - self._opened_at >= PROVEN_SECONDS:
            self._fault.end(f"sink {self.spec} works again after {self._clock() - self._fault_began:.0f} s")
            self._why, self._wait = "", FIRST_WAIT

    def state(self) -> SlotState:
        with self._lock:
            sink, past = self._sink, self._past
        stats = _sum(past, sink.stats) if sink else past
        return SlotState(self.spec, sink.name if sink else self.spec, sink is not None, self._why, stats)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            sink, self._sink, worker = self._sink, None, self._worker
        if worker is not None:
            worker.join(CLOSE_SECONDS)
        if sink is not None:
            _close(sink)

    def _take(self, sink: Sink) -> None:
        """Use a freshly opened sink, unless the set was closed meanwhile."""
        with self._lock:
            if not self._closed:
                self._sink, self._opened_at = sink, self._clock()
                return
        _close(sink)

    def _broken(self, error: Exception) -> None:
        """Log a fault that is new, count the waiting time, and get rid of the sink without waiting for it."""
        now = self._clock()
        self._why = _one_line(error)
        if self._fault.begin(f"sink {self.spec}: {self._why}; trying again until it works"):
            self._fault_began = now
        self._next_try = now + self._wait
        self._wait = min(self._wait * 2, LONGEST_WAIT)
        with self._lock:
            sink, self._sink = self._sink, None
            if sink is not None:
                self._past = _sum(self._past, sink.stats, clients=False)
                self._worker = _start(lambda: _close(sink))

    def _maybe_reopen(self) -> None:
        """Start an opener in the background when it is time and none (nor a closer) is at work."""
        if self._clock() < self._next_try or self._closed or (self._worker is not None and self._worker.is_alive()):
            return
        self._worker = _start(self._reopen)

    def _reopen(self) -> None:
        try:
            self._take(self._opener(self.spec, self._size, self._fps))
        except Exception as error:
            self._broken(error)


def _start(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="facewire-sink", daemon=True)
    thread.start()
    return thread


def _close(sink: Sink) -> None:
    try:
        sink.close()
    except Exception as error:
        log.warning("sink %s: could not be closed: %s", sink.name, _one_line(error))


def _one_line(error: Exception) -> str:
    """The message of an error; for one that is not ours, with its kind, because it may say nothing by itself."""
    text = " ".join(str(error).split())
    return text if isinstance(error, FacewireError) else f"{type(error).__name__}: {text}"


def _sum(a: SinkStats, b: SinkStats, clients: bool = True) -> SinkStats:
    return SinkStats(a.shown + b.shown, a.dropped + b.dropped, a.idle + b.idle, b.clients if clients else 0)
