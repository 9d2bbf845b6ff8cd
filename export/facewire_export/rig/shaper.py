"""One direction of a link as arithmetic: rate, queue, delay, loss, outages. Pure: the caller brings the time.

What netem does with `rate`, `delay`, `loss` and `limit`, for kernels that lack it: a packet waits its turn behind
those before it (a queue of so many seconds, drop-tail), takes its length over the rate to go out, and arrives a fixed
delay later, or never. During an outage nothing goes in and nothing comes out.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """rate_kbps: kbit/s of IP packets (0: no limit); delay: seconds one way; loss: 0 to 1; queue: seconds of packets
    that wait at most."""

    rate_kbps: float = 0.0
    delay: float = 0.0
    loss: float = 0.0
    queue: float = 5.0


class Shaper:
    """Says when a packet arrives. Same seed, same packets, same losses."""

    def __init__(self, shape: Shape, seed: int = 1) -> None:
        self.shape = shape
        self.lost = 0
        """Packets that did not arrive: random loss, full queue, outage."""
        self._random = random.Random(seed)
        self._free = float("-inf")
        self._dark_from = self._dark_until = float("-inf")

    def outage(self, begin: float, seconds: float) -> None:
        """Nothing passes from `begin` on for so long. One outage at a time."""
        self._dark_from, self._dark_until = begin, begin + seconds

    def offer(self, now: float, length: int) -> float | None:
        """When a packet of `length` bytes that is sent now arrives; None: it does not. `now` never runs back."""
        arrival = self._passes(now, length)
        if arrival is None or self._is_dark(now) or self._is_dark(arrival):
            self.lost += 1
            return None
        return arrival

    def _passes(self, now: float, length: int) -> float | None:
        start = max(now, self._free)
        if start - now > self.shape.queue:
            return None
        if self.shape.rate_kbps > 0:
            self._free = start = start + length * 8 / (self.shape.rate_kbps * 1000)
        lost = self._random.random() < self.shape.loss
        return None if lost else start + self.shape.delay

    def _is_dark(self, at: float) -> bool:
        return self._dark_from <= at < self._dark_until
