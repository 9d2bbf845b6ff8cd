"""What goes on the link, and when: a token bucket under the profile's ceiling, and two queues for each receiver. Pure:
`now` is given.

    urgent    epochs and bundles, in order. Old bundles are dropped when the link cannot carry them: motion that is
              seconds old is worth nothing, and what is new must not wait behind it.
    bulk      pivot slices. They get what the keypoints leave over, and never make a bundle wait.

Tokens are bytes on the wire, headers and acknowledgements included (link.cost.wire_bytes); what the kernel counted
beyond that is taken out afterwards (`TokenBucket.settle`).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from facewire.link.cost import wire_bytes
from facewire.types import Bundle, Epoch, Message, PivotSlice
from facewire.wire.packets import Packer, pack

MARGIN = 0.94
"""Part of the ceiling that is filled up again each second."""
BURST_SECONDS = 2.5
"""How much unused rate is saved up (at least a slice's worth): with MARGIN, what a minute may hold. How fast it goes
out is the link's business: see flow.WINDOW_SECONDS."""
KEEP_SECONDS = 2.0
"""Bundles that waited longer are dropped, except the newest."""
STARVED_SECONDS = 8.0
"""A slice that waited this long goes before the bundles: keypoints without their pivot are worth nothing either."""
MAX_URGENT = 64
CREDIT = 1500
"""Bytes by which estimates may lie above what was counted before the difference is given back: what is still on the
way, and what was not acknowledged yet, has not been counted."""


class TokenBucket:
    """Bytes that may be sent now. `rate` and `burst` in bytes (a second); may go into debt by one message."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self.level = 0.0
        self._at: float | None = None
        self._estimated = 0.0
        self._counted = 0

    def refill(self, now: float) -> None:
        """Let time pass. A clock that runs back gives nothing."""
        if self._at is not None:
            self.level = min(self.burst, self.level + max(0.0, now - self._at) * self.rate)
        self._at = now

    def spend(self, count: float) -> None:
        """Take bytes out."""
        self.level -= count
        self._estimated += count

    def settle(self, counted: int) -> None:
        """What has really passed since the start, as counted: handshakes, repetitions, reports. The level follows."""
        excess = counted - self._counted - self._estimated
        if excess > 0:
            self.level -= excess
        elif excess < -CREDIT:
            self.level = min(self.burst, self.level - excess - CREDIT)
            excess += CREDIT
        else:
            return
        # From here on the two agree again, but for the credit.
        self._counted, self._estimated = counted, CREDIT if excess < 0 else 0.0


@dataclass(frozen=True)
class Waiting:
    """A message that waits for the link, packed. since: when it was queued; cost: bytes on the wire; part: which slice
    of which pivot it is, None for urgent ones; length: bytes of picture in it."""

    since: float
    message: Message
    data: bytes
    cost: int
    part: tuple[bytes, int] | None = None
    length: int = 0

    @property
    def is_bundle(self) -> bool:
        return isinstance(self.message, Bundle)


@dataclass
class Books:
    """Where keypoint frames went: queued = sent + stale + left + what waits. left: their receiver went."""

    queued: int = 0
    sent: int = 0
    stale: int = 0
    left: int = 0

    def add(self, other: Books) -> None:
        """Count another's frames as well."""
        self.queued += other.queued
        self.sent += other.sent
        self.stale += other.stale
        self.left += other.left


class Outbox:
    """Messages that wait for one receiver."""

    def __init__(self, cost: Callable[[int], int] = wire_bytes) -> None:
        self._cost = cost
        self._packer = Packer()
        self._urgent: deque[Waiting] = deque()
        self._bulk: OrderedDict[tuple[bytes, int], Waiting] = OrderedDict()
        self._slice_at: float | None = None
        self.dropped = 0
        """Bundles that were too old to be sent."""
        self.books = Books()

    def put(self, messages: Iterable[Message], now: float) -> None:
        """Queue messages. A slice that waits already keeps its place."""
        for message in messages:
            data = pack(message)
            cost = self._cost(len(data))
            if isinstance(message, PivotSlice):
                part = (message.pivot_id, message.offset)
                self._bulk.setdefault(part, Waiting(now, message, data, cost, part, len(message.data)))
            else:
                self._urgent.append(Waiting(now, message, data, cost))
                self.books.queued += _frames(message)
        while len(self._urgent) > MAX_URGENT:
            self._drop_oldest()

    def begin(self, epoch: Epoch) -> None:
        """The epoch is on its way already."""
        self._packer.went(epoch)

    def start_over(self) -> None:
        """What comes next must be understood by who has got nothing of what went before."""
        self._packer.refresh()

    def holds(self, pivot_id: bytes) -> bool:
        """Whether slices of this pivot still wait."""
        return any(key[0] == pivot_id for key in self._bulk)

    def forget(self, wanted: Iterable[bytes]) -> None:
        """Drop the slices of all pivots but these."""
        keep = set(wanted)
        for key in [key for key in self._bulk if key[0] not in keep]:
            del self._bulk[key]

    def __len__(self) -> int:
        return len(self._urgent) + len(self._bulk)

    def waited(self, now: float) -> float:
        """Seconds that the oldest bundle has waited."""
        return next((now - item.since for item in self._urgent if item.is_bundle), 0.0)

    def next(self, now: float, level: float, slices: bool = True) -> Waiting | None:
        """What may be sent first, with `level` tokens there; it stays until `sent`. slices: there is room for one."""
        self._drop_stale(now)
        if not self._bulk or self._slice_at is None:
            self._slice_at = now
        starved = now - self._slice_at > STARVED_SECONDS
        if level >= 0 and (self._urgent or (starved and slices)):
            return next(iter(self._bulk.values())) if starved and slices and self._bulk else self._first_urgent()
        # Only out of savings: the next bundle finds the bucket at zero or above and does not wait.
        if slices and not self._urgent and self._bulk:
            first = next(iter(self._bulk.values()))
            return first if level >= first.cost else None
        return None

    def sent(self, item: Waiting, now: float) -> None:
        """`item`, as `next` gave it, is on its way."""
        if item.part is None:
            self._urgent.popleft()
            self._packer.went(item.message)
            self.books.sent += _frames(item.message)
        else:
            self._slice_at = now
            del self._bulk[item.part]

    def freshen(self) -> None:
        """Drop all bundles but the newest: its link was dark, and what comes first afterwards is to be now."""
        for _ in range(sum(item.is_bundle for item in self._urgent) - 1):
            self._drop_oldest()

    def drain(self) -> list[tuple[Message, bytes]]:
        """All urgent messages at once, with their bytes: the stream is over."""
        out = [(item.message, self._packer.pack(item.message)) for item in self._urgent]
        self.books.sent += self.waiting
        self._urgent.clear()
        return out

    @property
    def waiting(self) -> int:
        """Keypoint frames that wait."""
        return sum(_frames(item.message) for item in self._urgent)

    def closed(self) -> Books:
        """The books when the receiver has gone."""
        return replace(self.books, left=self.books.left + self.waiting)

    def _first_urgent(self) -> Waiting:
        # Packed only now: what a bundle leaves out depends on which ones went before.
        item = self._urgent[0]
        data = self._packer.peek(item.message)
        return replace(item, data=data, cost=self._cost(len(data)))

    def _drop_stale(self, now: float) -> None:
        bundles = sum(item.is_bundle for item in self._urgent)
        while bundles > 1 and any(item.is_bundle and now - item.since > KEEP_SECONDS for item in self._urgent):
            self._drop_oldest()
            bundles -= 1

    def _drop_oldest(self) -> None:
        for index, item in enumerate(self._urgent):
            if item.is_bundle:
                del self._urgent[index]
                self.dropped += 1
                self.books.stale += _frames(item.message)
                return
        self._urgent.popleft()


def _frames(message: Message) -> int:
    return len(message.frames) if isinstance(message, Bundle) else 0
