"""When a decoder says something, and what: a hello on each new connection, a request when a pivot is lacking, a report
now and then. Pure: the caller brings time, counters and cache.

Reports are seldom, since each costs about 136 B on the wire: REPORT_SHARE of what comes in, and no more often than
LEAST_SECONDS.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from facewire.incoming.patience import Patience
from facewire.wire.pivot_store import PivotCache
from facewire.wire.returns import MAX_HAVE, Report, Want

REPORT_COST = 136
REPORT_SHARE = 0.012
"""Part of the received bytes that reports may take."""
LEAST_SECONDS, MOST_SECONDS = 10.0, 120.0


@dataclass(frozen=True)
class Reading:
    """What the decoder knows now. connections: handshakes so far; received: messages; wire: bytes; newest: frame shown;
    undone: keypoint frames dropped for want of their pivot or epoch; epoch's pivot: its id, None before the first;
    lack, unfinished: as Animator's."""

    connections: int
    received: int
    wire: int
    newest: int
    missing: int
    generated: int
    undone: int
    waiting: int
    delay: float
    pivot_id: bytes | None
    lack: tuple[bytes, list[tuple[int, int]]] | None
    unfinished: tuple[bytes, list[tuple[int, int]]] | None = None


class Reporting:
    """Call `due` often; it returns a report when one is due."""

    def __init__(self, device: bytes, cache: PivotCache, now: float) -> None:
        self._device, self._cache = device, cache
        self._patience = Patience(now)
        self._connections = 0
        self._named: set[bytes] = set()
        self._complete = True
        self._answered: bytes | None = None
        self._reported_at, self._reported_wire = now, 0
        self.asked = 0
        """Requests for a pivot or an epoch."""

    def due(self, now: float, reading: Reading) -> Report | None:
        """The report that is to be sent now, or None."""
        if reading.connections != self._connections:
            self._connections = reading.connections
            return self._hello(now, reading)
        if reading.pivot_id is not None and reading.pivot_id != self._answered:
            self._answered = reading.pivot_id
            if not self._complete and reading.pivot_id[:4] not in self._named:
                # The encoder cannot know from our hello whether we keep this one.
                return self._report(now, reading, have=(reading.pivot_id[:4],) if reading.lack is None else ())
        if self._patience.lost(now, reading.generated, reading.undone):
            self.asked += 1
            return self._hello(now, reading) if reading.lack is None else self._report(now, reading)
        if self._connections and now - self._reported_at >= self._interval(now, reading):
            return self._report(now, reading, wants=False)
        return None

    def _hello(self, now: float, reading: Reading) -> Report:
        latest = self._cache.latest(MAX_HAVE)
        self._named = {name[:4] for name in latest}
        self._complete = len(self._cache) <= MAX_HAVE
        self._answered = None
        reading = replace(reading, lack=reading.lack or reading.unfinished)
        report = self._report(now, reading, have=tuple(name[:4] for name in latest))
        return Report(**{**report.__dict__, "hello": True, "complete": self._complete})

    def _report(self, now: float, reading: Reading, have: tuple[bytes, ...] = (), wants: bool = True) -> Report:
        self._reported_at, self._reported_wire = now, reading.wire
        lack = reading.lack if wants else None
        return Report(
            self._device,
            newest=reading.newest,
            received=reading.received,
            missing=reading.missing,
            waiting=reading.waiting,
            delay=reading.delay,
            have=have,
            wants=() if lack is None else (Want(lack[0], tuple(lack[1])),),
        )

    def _interval(self, now: float, reading: Reading) -> float:
        rate = (reading.wire - self._reported_wire) / max(1.0, now - self._reported_at)
        return min(MOST_SECONDS, max(LEAST_SECONDS, REPORT_COST / max(1e-9, rate * REPORT_SHARE)))
