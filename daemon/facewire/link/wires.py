"""The encoder's TCP connections as the kernel counts them (facewire.link.tcp): what each has cost, who is silent yet.

Strangers have few places: where one too many comes, the oldest goes, for a good decoder is done within seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from facewire.link import tcp
from facewire.link.door import Door

log = logging.getLogger(__name__)

MAX_STRANGERS = 64
"""Connections that have said nothing yet."""
MAX_STRANGERS_EACH = 24
"""... of one address: many receivers may come through one gateway, and come back together."""
SPARE_SECONDS = 0.15
"""What an acknowledgement may take longer than the link needs."""
HANDSHAKE_SECONDS = 30
"""How long a handshake may take: three round trips and 1.8 kB, on the slowest link 10 s when nothing is lost."""


@dataclass
class Wire:
    """One TCP connection: what it has cost so far. known: somebody behind it has said who he is."""

    fd: int
    address: str
    since: float
    sent: int = 0
    received: int = 0
    known: bool = False


@dataclass(frozen=True)
class Totals:
    """All bytes on the wire since the start: to receivers, from them, and both ways with those who never became one."""

    sent: int = 0
    received: int = 0
    strangers: int = 0

    def plus(self, wire: Wire) -> Totals:
        """With what a connection has cost."""
        if wire.known:
            return Totals(self.sent + wire.sent, self.received + wire.received, self.strangers)
        return Totals(self.sent, self.received, self.strangers + wire.sent + wire.received)


class Wires:
    """port: that the encoder listens on (0: no TCP). rate: the ceiling, bytes a second (0: none); what an outage makes
    the kernel repeat stays below it. gone: told the number of each connection that has ended."""

    def __init__(self, port: int, rate: float, gone: Callable[[int], None]) -> None:
        self._port, self._rate, self._gone = port, rate, gone
        self._door = Door(port, rate)
        self._open: dict[int, Wire] = {}
        self._ended = Totals()
        self._quick = True
        self._free_at = 0.0
        """When a link of that rate has sent off all that the kernel gave it."""
        self.accepted = 0
        """Connections that came."""
        self.refused = 0
        """Those that were ended because of a limit."""

    @property
    def totals(self) -> Totals:
        """What all connections have cost, as of the last sample."""
        totals = self._ended
        for wire in self._open.values():
            totals = totals.plus(wire)
        return totals

    @property
    def strangers(self) -> list[Wire]:
        """Those that have said nothing yet, the oldest first."""
        return [wire for wire in self._open.values() if not wire.known]

    def get(self, fd: int) -> Wire | None:
        """The connection of this number, None if there is none."""
        return self._open.get(fd)

    def know(self, fd: int, address: str, now: float) -> None:
        """Somebody behind it has said who he is."""
        self._open.setdefault(fd, Wire(fd, address, now)).known = True
        self._door.known(fd)

    def listens(self, fd: int) -> None:
        """The encoder's listener has this number from now on."""
        self._door.opened(fd)

    def accept(self, fd: int, now: float) -> None:
        """A connection has come."""
        self.end(fd)  # its number was used before
        self.accepted += 1
        self._door.entered(fd)
        wire = self._open[fd] = Wire(fd, tcp.remote_address(fd), now)
        tcp.prepare(fd, self._port)
        strangers = self.strangers
        alike = [other for other in strangers if other.address == wire.address]
        if len(alike) > MAX_STRANGERS_EACH:
            self._refuse(alike[0])
        elif len(strangers) > MAX_STRANGERS:
            self._refuse(strangers[0])

    def end(self, fd: int) -> None:
        """A connection has ended."""
        wire = self._open.pop(fd, None)
        if wire is not None:
            self._ended = self._ended.plus(wire)
            self._door.left(fd)
            self._gone(fd)

    def guard(self, now: float) -> None:
        """End those that have been strangers for too long; keep more of them out while there are many."""
        self._door.look(now)
        for wire in self.strangers:
            if now - wire.since > HANDSHAKE_SECONDS + 5:
                self._refuse(wire)

    def sample(self, now: float) -> None:
        """Read the kernel's counters; say how long the kernel may wait for acknowledgements: what is lost is repeated
        soon, and what lies on a link that is dark no more often than it can carry."""
        states = [(wire, tcp.look(wire.fd, self._port)) for wire in self._open.values()]
        there = [(wire, state) for wire, state in states if state is not None]
        if self._rate:
            given = sum(state.sent - wire.sent for wire, state in there)
            self._free_at = max(now, self._free_at) + given / self._rate
        for wire, state in there:
            wire.sent, wire.received = state.sent, state.received
            if state.probes:
                tcp.hold_on(wire.fd, self._port)
                continue
            queue = max(0.0, self._free_at - now)
            can = tcp.limit_backoff(wire.fd, self._port, _patience(state, self._rate, queue))
            if not can and state.timeouts >= 2 and self._quick:
                self._quick = False
                log.info("this kernel may sleep through the link's return (Linux 6.15 and later do not)")

    def state(self, fd: int) -> tcp.Connection | None:
        """A connection at this moment; None where the kernel tells nothing (ipc)."""
        return tcp.look(fd, self._port) if self._port else None

    def cut(self, fd: int) -> None:
        """End a connection; libzmq notices, and `end` follows."""
        wire, state = self._open.get(fd), self.state(fd)
        if wire is not None and state is not None:
            wire.sent, wire.received = state.sent, state.received
        tcp.cut(fd, self._port)

    def _refuse(self, wire: Wire) -> None:
        self.refused += 1
        self.cut(wire.fd)
        self.end(wire.fd)


def _patience(state: tcp.Connection, rate: float, queue: float) -> float:
    """Seconds after which what is not acknowledged is lost. The kernel's own guess is several times that where
    keypoints and slices take turns, and doubles each time.

    The link is taken for one of the ceiling's rate; queue: seconds until that has sent off what was given to it. What
    the kernel has not sent yet goes before as well, and then the segment itself, which takes others in once it is
    repeated; a slower link shows in the round trips. What was lost twice may be lost because the link is dark: then it
    must not be filled."""
    segment = min(state.on_the_way, tcp.SEGMENT) if state.timeouts else state.segment
    waits = (state.unsent + segment + tcp.IPV6_HEADERS) / rate if rate else 0.0
    longest = max(state.shortest_rtt + queue + waits, state.rtt) + SPARE_SECONDS
    return max(longest, 1.5 * state.rtt) if state.timeouts >= 2 else longest
