"""Pivots at random over a lossy link in memory: whoever is told an epoch can show it, and soon."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import cache
from random import Random

import numpy as np
import pytest
from tests.facewire.outgoing.test_sending import Link

from facewire.incoming.reporting import Reading, Reporting
from facewire.link.cost import wire_bytes
from facewire.link.hub import Arrival, Peer
from facewire.link.tcp import Connection
from facewire.link.wires import Totals
from facewire.outgoing.sending import Sending
from facewire.profiles import profile
from facewire.types import Bundle, Epoch, KeypointFrame, Message, PivotSlice
from facewire.wire.assembler import PivotAssembler
from facewire.wire.extras import split
from facewire.wire.packets import Parser
from facewire.wire.pivot import PivotCache, add_difference, add_lids, content_id, encode_pivot, slices
from facewire.wire.returns import Report, pack_report

PROFILE = profile("bgan")
TICK, BUNDLE, REMINDER = 0.05, 0.5, 30.0
"""Seconds."""
LONGEST = 20.0
"""Seconds for which nothing of what is told can be shown; one who has lost nothing is never so long without."""


@cache
def portrait(seed: int, most: int = 4000) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), np.uint8)
    return encode_pivot(noise.repeat(8, 0).repeat(8, 1), most)


@cache
def finer(data: bytes, seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8)
    return add_difference(data, noise.repeat(4, 0).repeat(4, 1), 8000)


@cache
def with_lids(data: bytes, seed: int) -> bytes:
    patch = np.random.default_rng(seed).integers(0, 255, (16, 48, 3), np.uint8)
    return add_lids(data, 80, 80, patch, 800) or data


class Way:
    """A TCP connection: what is lost is there later, and what is behind it waits for it."""

    def __init__(self, random: Random, now: float) -> None:
        self._random, self._free, self._last = random, 0.0, 0.0
        self._flying: deque[tuple[float, bytes]] = deque()
        self._unacknowledged: deque[tuple[float, int]] = deque()
        self._heard = now

    def send(self, now: float, data: bytes) -> None:
        length = wire_bytes(len(data), True)
        self._free = max(self._free, now) + length / 1062
        late = 0.0
        while self._random.random() < 0.06:
            late += 1.2
        self._last = max(self._last, self._free + 0.3 + late)
        self._flying.append((self._last, data))
        self._unacknowledged.append((self._last + 0.3, length))

    def arrived(self, now: float) -> Iterator[bytes]:
        while self._flying and self._flying[0][0] <= now:
            yield self._flying.popleft()[1]

    def state(self, now: float) -> Connection:
        while self._unacknowledged and self._unacknowledged[0][0] <= now:
            self._heard = self._unacknowledged.popleft()[0]
        out = sum(length for _, length in self._unacknowledged)
        return Connection(0, 0, out, 0.75, 0.62, 0, now - self._heard if out else 0.0, 0)


class LossyLink(Link):
    """One decoder's connection at a time."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.now, self._random = 0.0, random
        self.way = Way(random, 0.0)

    def connect(self, number: int) -> None:
        self.peers = {bytes([number]): Peer(bytes([number]), 0, "key")}
        self.way = Way(self._random, self.now)

    def send(self, identity: bytes, data: bytes) -> bool:
        self.way.send(self.now, data)
        self.totals = Totals(self.totals.sent + wire_bytes(len(data), True))
        return True

    def state(self, peer: Peer) -> Connection:
        return self.way.state(self.now)


class Camera:
    """What an encoder sends, its choices left to chance: another picture, one that was used before, a finer one, shut
    eyes for the one that runs, another grid; and what is on its way may be dropped."""

    def __init__(self, random: Random, link: LossyLink) -> None:
        self._random, self._link = random, link
        self.current, self.pending = portrait(0), b""
        self.refines = self.is_sent = False
        self.before: list[bytes] = []
        self._number = self._frame = 0
        self._bundled = self._reminded = 0.0
        self.sending = Sending(link, PROFILE, self.coded)

    def coded(self, pivot_id: bytes) -> bytes | None:
        return next((data for data in (self.current, self.pending) if data and content_id(data) == pivot_id), None)

    @property
    def epoch(self) -> Epoch:
        return Epoch(1, self._number % 256, 0, content_id(self.current), len(self.current), 256, 25.0, 1, b"netw", 1.0)

    def tick(self, now: float) -> None:
        messages: list[Message] = []
        if not self.pending and self._random.random() < TICK / 6:
            messages += self._choose()
        elif self.refines and self._random.random() < TICK / 20:
            self.pending, self.refines = b"", False
        if now - self._bundled >= BUNDLE:
            self._bundled, self._frame = now, self._frame + 12
            frames = [KeypointFrame(self._frame + at, np.zeros((10, 2), np.int16)) for at in range(0, 12, 2)]
            messages.append(Bundle(self._number % 256, tuple(frames)))
        if now - self._reminded >= REMINDER:
            self._reminded = now
            messages.append(self.epoch)
        self._offer(messages, now)
        self.sending.listen(now)
        for one in self.sending.newcomers():
            parts = [part for data in (self.current, self.pending) if data for part in self._slices(data)]
            self.sending.greet(one, [self.epoch, *parts], now)
        self.sending.pump(now)
        if self.pending and (self.is_sent or self.sending.delivered(content_id(self.pending), self.refines)):
            self.before.append(self.current)
            self.current, self.pending, self.refines, self.is_sent = self.pending, b"", False, False
            self._number += 1
            self._offer([self.epoch], now)

    def _choose(self) -> list[PivotSlice]:
        what = self._random.choice(["picture", "again", "finer", "eyes", "grid"])
        if what == "grid":
            self.pending, self.is_sent = self.current, True
            return []
        if what == "picture":
            self.pending = portrait(self._random.randrange(6))
        elif what == "again":
            self.pending = self._random.choice([*self.before, self.current])
        elif what == "finer":
            better = finer(self._random.choice([self.current, portrait(10)]), self._random.randrange(3))
            self.pending = self._random.choice([better, with_lids(better, self._random.randrange(3))])
        elif not split(self.current).lids:
            self.pending = with_lids(self.current, self._random.randrange(3))
        self.refines = what in ("finer", "eyes") and bool(self.pending)
        return self._slices(self.pending)

    def _slices(self, data: bytes) -> list[PivotSlice]:
        return list(slices(data, PROFILE.slice_bytes))

    def _offer(self, messages: list[Message], now: float) -> None:
        if messages:
            wanted = [content_id(data) for data in (self.current, self.pending) if data]
            self.sending.offer(messages, content_id(self.current), wanted, now)


class Screen:
    """A decoder that makes no pictures."""

    def __init__(self, link: LossyLink) -> None:
        self._link = link
        self._cache = PivotCache(None)
        self._assembler = PivotAssembler(kept=self._cache)
        self._reporting = Reporting(b"devA", self._cache, 0.0)
        self._epochs: dict[int, Epoch] = {}
        self._told: Epoch | None = None
        self._shown = self._undone = self._connections = 0
        self._up: deque[tuple[float, Arrival]] = deque()
        self._parser = Parser()
        self.shown_at = 0.0

    def connect(self) -> None:
        self._connections += 1
        self._parser = Parser()
        self._link.connect(self._connections)

    def tick(self, now: float) -> None:
        for data in self._link.way.arrived(now):
            self._take(self._parser.parse(data), now)
        self._report(now)
        while self._up and self._up[0][0] <= now:
            arrival = self._up.popleft()[1]
            self._link.arrivals += [arrival] if arrival.peer.identity in self._link.peers else []

    def _take(self, message: Message, now: float) -> None:
        if isinstance(message, Epoch):
            self._epochs[message.number] = self._told = message
            self._cache.get(message.pivot_id)
        elif isinstance(message, PivotSlice):
            whole = None if message.pivot_id in self._cache else self._assembler.add(message)
            if whole is not None:
                self._cache.put(whole)
        elif (epoch := self._epochs.get(message.epoch)) is not None and epoch.pivot_id in self._cache:
            self._shown += len(message.frames)
            self.shown_at = now
        else:
            self._undone += len(message.frames)

    def _report(self, now: float) -> None:
        told, latest = self._told, self._assembler.latest
        lack = None if told is None or told.pivot_id in self._cache else told.pivot_id
        name = None if told is None else told.pivot_id
        report = self._reporting.due(
            now,
            Reading(self._connections, 1, 1000, 0, 0, self._shown, self._undone, 0, 0.1, name, self._gaps(lack),
                    self._gaps(latest)),
        )  # fmt: skip
        if report is not None:
            self._send(report, now)

    def _gaps(self, pivot_id: bytes | None) -> tuple[bytes, list[tuple[int, int]]] | None:
        return None if pivot_id is None else (pivot_id, self._assembler.gaps(pivot_id))

    def _send(self, report: Report, now: float) -> None:
        peer = next(iter(self._link.peers.values()))
        self._up.append((now + 0.35, Arrival(peer, pack_report(report))))


@pytest.mark.parametrize("seed", [1, 2, 3, 19])
def test_who_is_told_an_epoch_can_show_it(seed: int) -> None:
    random = Random(seed)
    link = LossyLink(random)
    camera, screen = Camera(random, link), Screen(link)
    longest = 0.0
    screen.connect()
    while link.now < 200.0:
        link.now += TICK
        if random.random() < TICK / 90:
            screen.connect()
        camera.tick(link.now)
        screen.tick(link.now)
        longest = max(longest, link.now - screen.shown_at)
    assert longest < LONGEST
