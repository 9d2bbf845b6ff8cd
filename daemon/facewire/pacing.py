"""What goes on the link, and when: a token bucket under the profile's ceiling, and two queues. Pure: `now` is given.

    urgent    epochs and bundles, in order. Old bundles are dropped when the link cannot carry them: motion that is
              seconds old is worth nothing, and what is new must not wait behind it.
    bulk      pivot slices. They get what the keypoints leave over, and never make a bundle wait.

Tokens are bytes on the wire, headers and acknowledgements included (transport.wire_bytes).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from facewire.profiles import Profile
from facewire.transport import wire_bytes
from facewire.types import Bundle, Message, PivotSlice
from facewire.wire.packets import pack

BURST_SECONDS = 0.2
"""How much unused rate is saved up (at least a slice's worth). What is sent faster than the link carries it waits in a
modem's queue, and the next keypoints behind it."""
MARGIN = 0.93
"""Part of the ceiling that is used. The rest is for what is not counted here: heartbeats, retransmissions, connecting
(a heartbeat takes 0.13 kbit/s: 5 % of the slowest profile)."""
KEEP_SECONDS = 2.0
"""Bundles that waited longer are dropped, except the newest."""
STARVED_SECONDS = 8.0
"""A slice that waited this long goes before the bundles: keypoints without their pivot are worth nothing either."""
MAX_URGENT = 64


class TokenBucket:
    """Bytes that may be sent now. `rate` and `burst` in bytes (a second); may go into debt by one message."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self.level = 0.0
        self._at: float | None = None

    def refill(self, now: float) -> None:
        """Let time pass. A clock that runs back gives nothing."""
        if self._at is not None:
            self.level = min(self.burst, self.level + max(0.0, now - self._at) * self.rate)
        self._at = now

    def spend(self, count: float) -> None:
        """Take bytes out."""
        self.level -= count


@dataclass(frozen=True)
class _Waiting:
    since: float
    data: bytes
    cost: int
    is_bundle: bool


class Outbox:
    """Messages that wait for the link."""

    def __init__(self, profile: Profile, cost: Callable[[int], int] = wire_bytes) -> None:
        rate = profile.ceiling_kbps * 1000 / 8 * MARGIN
        # A slice must fit into the bucket, or it would never go.
        self._bucket = TokenBucket(rate, max(rate * BURST_SECONDS, cost(profile.slice_bytes + 20)))
        self._cost = cost
        self._urgent: deque[_Waiting] = deque()
        self._bulk: OrderedDict[tuple[bytes, int], _Waiting] = OrderedDict()
        self._slice_at: float | None = None
        self.dropped = 0
        """Bundles that were too old to be sent."""

    def put(self, messages: Iterable[Message], now: float) -> None:
        """Queue messages. A slice that waits already keeps its place."""
        for message in messages:
            data = pack(message)
            item = _Waiting(now, data, self._cost(len(data)), isinstance(message, Bundle))
            if isinstance(message, PivotSlice):
                self._bulk.setdefault((message.pivot_id, message.offset), item)
            else:
                self._urgent.append(item)
        while len(self._urgent) > MAX_URGENT:
            self._drop_oldest()

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

    def due(self, now: float) -> list[bytes]:
        """What may be sent now, in order."""
        self._bucket.refill(now)
        self._drop_stale(now)
        out: list[bytes] = []
        while (item := self._choose(now)) is not None:
            self._bucket.spend(item.cost)
            out.append(item.data)
        return out

    def drain(self) -> list[bytes]:
        """All urgent messages at once: the stream is over."""
        out = [item.data for item in self._urgent]
        self._urgent.clear()
        return out

    def _choose(self, now: float) -> _Waiting | None:
        if not self._bulk or self._slice_at is None:
            self._slice_at = now
        starved = now - self._slice_at > STARVED_SECONDS
        if self._bucket.level >= 0 and (self._urgent or starved):
            if starved:
                return self._take_slice(now)
            return self._urgent.popleft()
        # Only out of savings: the next bundle finds the bucket at zero or above and does not wait.
        if not self._urgent and self._bulk and self._bucket.level >= next(iter(self._bulk.values())).cost:
            return self._take_slice(now)
        return None

    def _take_slice(self, now: float) -> _Waiting:
        self._slice_at = now
        return self._bulk.popitem(last=False)[1]

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
                return
        self._urgent.popleft()
