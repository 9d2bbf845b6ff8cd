"""Who gets what, and when, over a link in memory whose windows the test sets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import pytest

from facewire.link.acquaintance import first_names, routing_name
from facewire.link.cost import Traffic, wire_bytes
from facewire.link.flow import DARK_SECONDS, WINDOW_SECONDS
from facewire.link.hub import Arrival, HubCounters, Peer
from facewire.link.tcp import Connection
from facewire.link.wires import Totals
from facewire.outgoing.preview import PREVIEW_BYTES
from facewire.outgoing.receivers import REPEAT_PIVOTS
from facewire.outgoing.sending import Sending
from facewire.profiles import Profile, profile
from facewire.types import Bundle, Epoch, KeypointFrame, Message, Picture, PivotSlice
from facewire.wire.assembler import PivotAssembler
from facewire.wire.packets import Parser, pack
from facewire.wire.pivot import (
    PivotCache,
    add_difference,
    add_lids,
    coarsest,
    content_id,
    decode_pivot,
    encode_pivot,
    slices,
)
from facewire.wire.returns import Report, Want, pack_report

QUIET = Connection(0, 0, 0, 0.6, 0.6, 0, 0.0, 0)


@dataclass
class Link:
    traffic: Traffic = field(default_factory=Traffic)
    totals: Totals = field(default_factory=Totals)
    peers: dict[bytes, Peer] = field(default_factory=dict)
    encrypted: bool = True
    counters: HubCounters = field(default_factory=HubCounters)
    states: dict[bytes, Connection] = field(default_factory=dict)
    sent: dict[bytes, list[Message]] = field(default_factory=dict)
    arrivals: list[Arrival] = field(default_factory=list)
    cut_off: list[bytes] = field(default_factory=list)
    parsers: dict[bytes, Parser] = field(default_factory=dict)
    quiet: list[int] = field(default_factory=list)
    behind: dict[int, bytes] = field(default_factory=dict)
    """Who is really at the other end of a connection."""
    let_in: tuple[bytes, ...] = ()
    """What whose key was let in last is called, if he is new."""
    elsewhere: list[bytes] = field(default_factory=list)

    def join(self, identity: bytes, report: Report) -> None:
        peer = self.peers[identity] = Peer(identity, 0, "key")
        self.states[identity] = QUIET
        self.sent[identity] = []
        self.parsers[identity] = Parser()
        self.say(peer, report)

    def say(self, peer: Peer, report: Report) -> None:
        peer = self.peers[peer.identity] = replace(peer, guessed=False)
        self.arrivals.append(Arrival(peer, pack_report(report)))

    def poll(self) -> list[Arrival]:
        arrivals, self.arrivals = self.arrivals, []
        return arrivals

    def send(self, identity: bytes, data: bytes) -> bool:
        self.sent[identity].append(self.parsers[identity].parse(data))
        self.totals = replace(self.totals, sent=self.totals.sent + wire_bytes(len(data), True))
        return True

    def state(self, peer: Peer) -> Connection | None:
        return self.states[peer.identity]

    def silent(self) -> list[int]:
        return self.quiet

    def moved(self) -> list[bytes]:
        moved, self.elsewhere = self.elsewhere, []
        return moved

    def release(self) -> None:
        pass

    def newcomers(self) -> tuple[bytes, ...]:
        return self.let_in

    def meet(self, fd: int, identity: bytes, data: bytes) -> Peer | None:
        if identity != self.behind.get(fd) or identity in self.peers:
            return None
        self.quiet.remove(fd)
        self.states[identity], self.sent[identity], self.parsers[identity] = QUIET, [], Parser()
        peer = self.peers[identity] = Peer(identity, fd, "somebody", guessed=True)
        self.send(identity, data)
        return peer

    def cut(self, peer: Peer) -> None:
        self.cut_off.append(peer.identity)
        self.peers.pop(peer.identity, None)

    def close(self) -> None:
        pass


def pivot(link: Profile, length: int) -> list[PivotSlice]:
    return list(slices(np.random.default_rng(1).bytes(length), link.slice_bytes))


def portrait_picture() -> Picture:
    noise = np.random.default_rng(3).integers(0, 255, (32, 32, 3), np.uint8)
    return noise.repeat(8, 0).repeat(8, 1)


@cache
def portrait(max_bytes: int) -> bytes:
    return encode_pivot(portrait_picture(), max_bytes)


def bundle(number: int) -> Bundle:
    return Bundle(0, (KeypointFrame(number, np.zeros((10, 2), np.int16)),))


class Bench:
    def __init__(self, name: str = "vsat") -> None:
        self.profile = profile(name)
        self.coded = portrait(3000 if name == "vsat" else 4000)
        self.pivot_id = content_id(self.coded)
        self.epoch = Epoch(1, 0, 0, self.pivot_id, len(self.coded), 256, 25.0, 1, bytes(4), 1.0)
        self.link = Link()
        self.out: list[tuple[Message, str]] = []
        self.times: list[float] = []
        """When each of them was sent."""
        self.wanted = [self.pivot_id]
        self.sending = Sending(self.link, self.profile, self.known, self.note)
        self.now = 0.0
        self.every = 8
        """Steps of 20 ms from one bundle to the next."""

    @property
    def parts(self) -> list[PivotSlice]:
        return list(slices(self.coded, self.profile.slice_bytes))

    @property
    def picture_bytes(self) -> int:
        return sum(len(message.data) for message, _ in self.out if isinstance(message, PivotSlice))

    def note(self, message: Message, device: str) -> None:
        self.out.append((message, device))
        self.times.append(self.now)

    def known(self, pivot_id: bytes) -> bytes | None:
        return self.coded if pivot_id == self.pivot_id else None

    def run(self, seconds: float, number: int | None = None) -> None:
        """Time passes; from `number` on a bundle is made every 0.16 s (`every`)."""
        end, step = self.now + seconds, 0
        while self.now < end:
            self.now += 0.02
            step += 1
            self.sending.listen(self.now)
            self.sending.meet(self.epoch, self.now)
            for one in self.sending.newcomers():
                self.sending.greet(one, [self.epoch, *self.parts], self.now)
            if number is not None and step % self.every == 0:
                self.sending.offer([bundle(number)], self.pivot_id, self.wanted, self.now)
                number += 4
            self.sending.pump(self.now)

    def got(self, identity: bytes, kind: type) -> list[Message]:
        return [message for message in self.link.sent[identity] if isinstance(message, kind)]


def hello(device: bytes, *have: bytes, complete: bool = True, wants: tuple[Want, ...] = ()) -> Report:
    return Report(device, hello=True, complete=complete, have=tuple(name[:4] for name in have), wants=wants)


def test_a_pivot_goes_to_who_lacks_it_and_to_nobody_else() -> None:
    bench = Bench()
    bench.link.join(b"a", hello(b"devA"))
    bench.link.join(b"b", hello(b"devB", bench.pivot_id))
    bench.run(4.0, 100)
    assert bench.got(b"a", PivotSlice) == bench.parts
    assert bench.got(b"b", PivotSlice) == []
    assert len(bench.got(b"a", Epoch)) == len(bench.got(b"b", Epoch)) == 1
    # Keypoints are of no use before the pivot: who has it gets them at once, the other one afterwards.
    assert len(bench.got(b"b", Bundle)) > len(bench.got(b"a", Bundle)) > 0
    kinds = [type(message) for message in bench.link.sent[b"a"]]
    assert kinds.index(Bundle) > max(at for at, kind in enumerate(kinds) if kind is PivotSlice)
    assert bench.picture_bytes == len(bench.coded)
    assert bench.sending.classes.pivots > len(bench.coded)


def test_who_comes_back_with_half_a_pivot_gets_the_other_half() -> None:
    bench = Bench()
    bench.link.join(b"a", hello(b"devA", wants=(Want(bench.pivot_id, ((1200, 3000),)),)))
    bench.run(3.0)
    assert bench.got(b"a", PivotSlice) == bench.parts[1:]


def test_who_keeps_more_than_its_hello_names_is_asked_first() -> None:
    bench = Bench()
    bench.link.join(b"a", hello(b"devA", complete=False))
    bench.run(2.0, 100)
    assert bench.got(b"a", PivotSlice) == bench.got(b"a", Bundle) == []
    bench.link.say(bench.link.peers[b"a"], Report(b"devA", have=(bench.pivot_id[:4],)))
    bench.run(2.0, 200)
    assert bench.got(b"a", PivotSlice) == []
    assert bench.got(b"a", Bundle)


def test_one_that_asks_for_ever_hurts_only_itself() -> None:
    bench = Bench()
    bench.link.join(b"a", hello(b"devA", bench.pivot_id))
    bench.link.join(b"b", hello(b"devB", bench.pivot_id))
    for turn in range(40):
        bench.link.say(bench.link.peers[b"b"], Report(b"devB", wants=(Want(bench.pivot_id),)))
        bench.run(1.0, 1000 * turn)
    asked = bench.picture_bytes
    rate = bench.profile.ceiling_kbps * 125
    assert asked <= REPEAT_PIVOTS * bench.profile.pivot_bytes + 0.1 * rate * 40
    assert bench.sending.refused_wants > 20
    assert len(bench.got(b"a", Bundle)) == 40 * 6
    # Coming back again and again with nothing kept is asking, too.
    for turn in range(20):
        bench.link.join(b"b%d" % turn, hello(b"devB"))
        bench.run(0.5, 100_000 + 100 * turn)
    asked = bench.picture_bytes
    assert asked <= REPEAT_PIVOTS * bench.profile.pivot_bytes + 0.1 * rate * 50


def test_a_receiver_that_comes_by_a_new_connection_loses_its_old_one() -> None:
    bench = Bench()
    bench.link.join(b"a", hello(b"devA"))
    bench.run(0.1)
    bench.link.join(b"b", hello(b"devA"))
    bench.run(0.1)
    # Two decoders may share a directory; only one that nobody reads any more is cut.
    assert list(bench.sending.receivers) == [b"a", b"b"]
    bench.link.states[b"a"] = replace(QUIET, outstanding=300, silence=2.0)
    bench.run(0.1)
    assert list(bench.sending.receivers) == [b"b"]
    assert bench.link.cut_off == [b"a"]


def test_no_more_is_on_the_way_than_the_window_and_what_is_old_is_dropped() -> None:
    bench = Bench()
    bench.link.join(b"a", hello(b"devA", bench.pivot_id))
    bench.run(1.0, 0)
    bench.link.states[b"a"] = replace(QUIET, outstanding=100_000, silence=0.0)
    before = len(bench.got(b"a", Bundle))
    bench.run(30.0, 1000)
    assert len(bench.got(b"a", Bundle)) == before
    bench.link.states[b"a"] = QUIET
    bench.run(0.5)
    fresh = bench.got(b"a", Bundle)[before:]
    assert bench.sending.dropped > 150
    newest = 1000 + 4 * 186
    assert fresh
    assert all(isinstance(message, Bundle) and message.frames[0].number > newest - 60 for message in fresh)


def test_a_slice_goes_when_what_went_before_is_off_the_link() -> None:
    bench = Bench()
    bench.link.join(b"a", hello(b"devA", bench.pivot_id))
    bench.run(5.0, 0)  # much of the rate is saved up by now
    finer = pivot(bench.profile, 12_000)
    bench.wanted.append(finer[0].pivot_id)
    bench.sending.offer(finer, bench.pivot_id, bench.wanted, bench.now)
    began = len(bench.out)
    bench.run(10.0, 1000)
    sent = [(at, message) for at, (message, _) in zip(bench.times[began:], bench.out[began:], strict=True)]
    assert sum(isinstance(message, PivotSlice) for _, message in sent) == len(finer)
    rate, free = bench.profile.ceiling_kbps * 125, 0.0
    for at, message in sent:
        if isinstance(message, PivotSlice):
            assert at >= free - 0.01  # a bundle is packed shorter than here
        free = max(free, at) + wire_bytes(len(pack(message)), True) / rate


def test_a_queue_on_the_way_widens_no_window() -> None:
    bench = Bench()
    bench.link.join(b"a", hello(b"devA", bench.pivot_id))
    bench.run(1.0, 0)
    window = bench.profile.ceiling_kbps * 125 * (QUIET.shortest_rtt + WINDOW_SECONDS)
    bench.link.states[b"a"] = replace(QUIET, outstanding=round(window) + 1, rtt=5.0)
    before = len(bench.out)
    bench.run(5.0, 1000)
    assert len(bench.out) == before


@pytest.mark.parametrize(("silence", "most"), [(0.5, 20), (3.0, 1)])
def test_what_waited_for_a_dark_link_is_not_sent_when_it_is_back(silence: float, most: int) -> None:
    bench = Bench()
    bench.link.join(b"a", hello(b"devA", bench.pivot_id))
    bench.run(1.0, 0)
    bench.link.states[b"a"] = replace(QUIET, outstanding=600, silence=QUIET.rtt + silence)
    bench.run(1.5, 1000)
    before = len(bench.got(b"a", Bundle))
    bench.link.states[b"a"] = QUIET
    bench.sending.pump(bench.now)
    came = bench.got(b"a", Bundle)[before:]
    assert 1 <= len(came) <= most
    assert (len(came) > 1) == (most > 1)


def fallen_silent(seconds: float) -> Bench:
    """With one receiver, of which so long nothing was heard, while a finer pivot waits for it."""
    bench = Bench()
    bench.link.join(b"a", hello(b"devA", bench.pivot_id))
    bench.run(3.0, 0)
    bench.link.states[b"a"] = replace(QUIET, outstanding=6000, silence=seconds)
    finer = pivot(bench.profile, 12_000)
    bench.wanted.append(finer[0].pivot_id)
    bench.sending.offer(finer, bench.pivot_id, bench.wanted, bench.now)
    return bench


def test_a_receiver_that_fell_silent_is_tried_when_somebody_has_come() -> None:
    """It may be that receiver, with a new address: libzmq sends to where its name came from last."""
    bench = fallen_silent(5.0)
    before = len(bench.out)
    bench.run(2.0, 100)
    assert len(bench.out) == before
    bench.link.quiet.append(9)
    bench.run(0.1, 200)
    (newest,) = [message for message, _ in bench.out[before:]]
    assert isinstance(newest, Bundle)
    assert newest.frames[0].number >= 140
    bench.run(10.0, 300)
    assert all(isinstance(message, Bundle) for message, _ in bench.out[before:])
    assert 1.2 < bench.times[-1] - bench.times[before] < 1.6
    after = len(bench.out)
    bench.link.quiet.append(10)  # another stranger: not again in the same silence
    bench.run(3.0, 900)
    assert len(bench.out) == after
    bench.link.states[b"a"] = QUIET
    bench.run(3.0, 1200)
    assert len(bench.out) > after + 10


def test_a_receiver_that_came_by_another_way_gets_the_newest_at_once_and_pictures_when_it_has_spoken() -> None:
    bench = fallen_silent(1.2)
    bench.run(0.5, 100)
    before = len(bench.out)
    bench.link.states[b"a"], bench.link.parsers[b"a"] = QUIET, Parser()
    bench.link.parsers[b"a"].parse(pack(bench.epoch))  # all it keeps of what went before
    bench.link.peers[b"a"].guessed = True
    bench.link.elsewhere.append(b"a")
    bench.run(1.0, 200)
    first, *others = [message for message, _ in bench.out[before:]]
    assert isinstance(first, Bundle)
    assert first.frames[0].number == 108
    assert others
    assert all(isinstance(message, Bundle) for message in others)
    bench.link.peers[b"a"].guessed = False
    bench.run(3.0, 300)
    assert bench.got(b"a", PivotSlice)


@pytest.mark.parametrize(("age", "comes"), [(0.3, True), (2.5, False)])
def test_who_comes_back_gets_the_last_bundle_with_the_epoch_if_it_is_not_old(age: float, comes: bool) -> None:
    bench = Bench()
    bench.run(1.0, 0)
    bench.run(age)
    bench.link.join(b"a", hello(b"devA", bench.pivot_id))
    bench.run(0.1)
    epoch, *others = [message for message, _ in bench.out]
    assert epoch == bench.epoch
    assert [message.frames[0].number for message in others if isinstance(message, Bundle)] == ([20] if comes else [])
    bench.run(0.5)
    assert len(bench.out) == 1 + len(others)  # once


def test_the_last_bundle_of_another_epoch_is_not_repeated() -> None:
    bench = Bench()
    bench.run(1.0, 0)
    bench.sending.offer([replace(bench.epoch, number=7)], bench.pivot_id, bench.wanted, bench.now)
    bench.link.join(b"a", hello(b"devA", bench.pivot_id))
    bench.run(0.3)
    assert not bench.got(b"a", Bundle)


def test_a_dark_receiver_holds_up_neither_the_others_nor_the_next_pivot() -> None:
    bench = Bench()
    bench.link.join(b"a", hello(b"devA", bench.pivot_id))
    bench.link.join(b"b", hello(b"devB", bench.pivot_id))
    bench.run(0.2)
    bench.link.states[b"b"] = replace(QUIET, outstanding=100_000, silence=DARK_SECONDS + 1)
    new = list(slices(np.random.default_rng(2).bytes(3000), bench.profile.slice_bytes))
    bench.sending.offer(new, bench.pivot_id, [bench.pivot_id, new[0].pivot_id], bench.now)
    assert not bench.sending.delivered(new[0].pivot_id)
    for _ in range(200):
        bench.now += 0.02
        bench.sending.pump(bench.now)
    assert bench.got(b"a", PivotSlice) == new
    assert bench.sending.delivered(new[0].pivot_id)


@pytest.mark.parametrize("receivers", [1, 3])
def test_the_ceiling_holds_for_all_receivers_together(receivers: int) -> None:
    bench = Bench("bgan")
    for index in range(receivers):
        bench.link.join(bytes([index]), hello(bytes([index]) * 4))
    bench.run(60.0, 0)
    assert bench.link.totals.sent <= bench.profile.ceiling_kbps * 125 * 60
    assert all(bench.got(bytes([index]), Bundle) for index in range(receivers))


def test_garbage_is_counted() -> None:
    bench = Bench()
    bench.link.arrivals.append(Arrival(Peer(b"x", 0, "key"), b"garbage"))
    bench.run(0.1)
    assert (bench.sending.garbage, bench.sending.receivers) == (1, {})


def test_the_end_of_a_stream_is_sent_at_once() -> None:
    bench = Bench()
    bench.link.join(b"a", hello(b"devA", bench.pivot_id))
    bench.run(0.1)
    bench.sending.offer([bundle(7)], bench.pivot_id, [], bench.now)
    bench.sending.drain()
    assert len(bench.got(b"a", Bundle)) == 1


def met_before(bench: Bench, *have: bytes) -> None:
    """A device was here once, kept `have`, and comes back: its handshake is done, it has said nothing yet."""
    bench.sending._acquaintances.met(b"devA", [name[:4] for name in have])
    bench.link.behind[7] = routing_name(b"devA")
    bench.link.quiet.append(7)


def test_a_device_that_comes_back_is_not_waited_for() -> None:
    bench = Bench()
    met_before(bench, bench.pivot_id)
    bench.run(0.6, 100)
    name = routing_name(b"devA")
    before = len(bench.got(name, Bundle))
    assert [type(message) for message in bench.link.sent[name]] == [Epoch] + [Bundle] * before
    assert before > 0
    bench.link.say(bench.link.peers[name], hello(b"devA", bench.pivot_id))
    bench.run(2.0, 200)
    assert len(bench.got(name, Epoch)) == 1  # it has it
    assert bench.got(name, PivotSlice) == []
    assert len(bench.got(name, Bundle)) > before
    bench.link.say(bench.link.peers[name], hello(b"devA", bench.pivot_id))  # and again, by another way
    bench.run(0.5)
    assert len(bench.got(name, Epoch)) == 2
    assert bench.sending.books()["queued"] == sum(bench.sending.books()[what] for what in ("sent", "stale", "waiting"))


def test_no_picture_goes_to_a_device_before_it_has_said_what_it_lacks() -> None:
    for remembered in (True, False):
        bench = Bench()
        met_before(bench, *([bench.pivot_id] if remembered else []))
        bench.run(1.0, 100)
        name = routing_name(b"devA")
        assert bench.got(name, PivotSlice) == []
        assert len(bench.got(name, Epoch)) == 1
        bench.link.say(bench.link.peers[name], hello(b"devA"))
        bench.run(3.0)
        assert bench.got(name, PivotSlice) == bench.parts


def test_a_new_device_is_not_waited_for() -> None:
    bench = Bench("bgan")
    bench.every = 40
    bench.link.let_in = first_names(b"its key")
    bench.link.behind[7] = name = bench.link.let_in[5]
    bench.link.quiet.append(7)
    bench.run(4.0, 100)
    epochs, parts = bench.got(name, Epoch), bench.got(name, PivotSlice)
    (preview,) = bench.sending._previews._last
    assert epochs == [preview.epoch(bench.epoch)]
    assert tuple(parts[: len(preview.parts)]) == preview.parts
    assert bench.got(name, Bundle)
    assert bench.sending._acquaintances.devices == []  # it has not said its own name yet
    bench.link.say(bench.link.peers[name], hello(b"devA"))
    bench.run(12.0, 200)
    assert bench.got(name, PivotSlice) == [*preview.parts, *bench.parts]  # nothing of it twice
    assert bench.got(name, Epoch) == [preview.epoch(bench.epoch), bench.epoch]
    assert bench.sending._acquaintances.have(b"devA") == {preview.pivot_id[:4], bench.pivot_id[:4]}
    bench.link.say(bench.link.peers[name], hello(b"devB"))  # another new one with this key: all over again
    bench.run(12.0, 300)
    assert bench.got(name, PivotSlice)[-len(bench.parts) :] == bench.parts


def test_a_preview_is_made_while_a_hello_is_on_its_way() -> None:
    bench = Bench("bgan")
    bench.link.quiet.append(7)
    bench.run(0.1)
    made = bench.sending._previews._last
    assert [preview.stands_for for preview in made] == [bench.pivot_id]
    assert bench.link.sent == {}


def test_strangers_are_told_nothing() -> None:
    bench = Bench()
    met_before(bench, bench.pivot_id)
    bench.link.behind[7] = b"another"
    bench.run(1.0, 100)
    assert bench.link.sent == {}
    bench.link.join(b"x", hello(b"devX"))
    bench.run(3.0)
    assert bench.sending._acquaintances.devices == [b"devX", b"devA"]
    assert bench.sending._acquaintances.have(b"devX") == {bench.pivot_id[:4]}


def shown_with(messages: list[Message]) -> list[bytes]:
    """The pivot of the epoch that each bundle came under."""
    out, pivot_id = [], b""
    for message in messages:
        if isinstance(message, Epoch):
            pivot_id = message.pivot_id
        elif isinstance(message, Bundle):
            out.append(pivot_id)
    return out


def test_who_joins_late_sees_a_preview_first_and_the_pivot_in_the_end() -> None:
    bench = Bench("bgan")
    bench.every = 24
    bench.link.join(b"a", hello(b"devA"))
    bench.run(10.0, 100)
    epochs = [message for message in bench.got(b"a", Epoch) if isinstance(message, Epoch)]
    preview = epochs[0].pivot_id
    assert [epoch.pivot_id for epoch in epochs] == [preview, bench.pivot_id]
    parts = [part for part in bench.got(b"a", PivotSlice) if isinstance(part, PivotSlice)]
    first = [part for part in parts if part.pivot_id == preview]
    assert parts[: len(first)] == first
    small = b"".join(part.data for part in first)
    assert len(small) == epochs[0].pivot_bytes <= PREVIEW_BYTES
    assert decode_pivot(small).shape == decode_pivot(bench.coded).shape
    assert parts[len(first) :] == bench.parts
    # Every bundle comes after the picture that it moves.
    used = shown_with(bench.link.sent[b"a"])
    assert set(used) == {preview, bench.pivot_id}
    assert used == sorted(used, key=[preview, bench.pivot_id].index)
    for pivot_id in (preview, bench.pivot_id):
        kinds = [m.pivot_id if isinstance(m, PivotSlice) else type(m) for m in bench.link.sent[b"a"]]
        at = next(n for n, m in enumerate(bench.link.sent[b"a"]) if isinstance(m, Epoch) and m.pivot_id == pivot_id)
        if pivot_id == preview:
            assert Bundle not in kinds[: kinds.index(preview)]
        else:
            assert pivot_id not in kinds[at:]


def test_of_a_finer_pivot_what_it_was_before_comes_in_between_and_no_byte_twice() -> None:
    bench = Bench("bgan")
    bench.every = 24
    first = portrait(2000)
    bench.coded = add_difference(first, decode_pivot(bench.coded), 5000)
    bench.pivot_id, middle = content_id(bench.coded), content_id(first)
    bench.wanted = [bench.pivot_id]
    bench.epoch = replace(bench.epoch, pivot_id=bench.pivot_id, pivot_bytes=len(bench.coded))
    bench.link.join(b"a", hello(b"devA"))
    bench.link.join(b"b", hello(b"devB", middle))
    bench.run(40.0, 100)
    small = bench.got(b"a", Epoch)[0]
    assert isinstance(small, Epoch)
    for identity, names in ((b"a", [small.pivot_id, middle, bench.pivot_id]), (b"b", [middle, bench.pivot_id])):
        sent = bench.link.sent[identity]
        assert list(dict.fromkeys(m.pivot_id for m in sent if isinstance(m, Epoch))) == names
        assert list(dict.fromkeys(shown_with(sent))) == names
        cache = PivotCache(None)
        if identity == b"b":
            cache.put(first)
        whole = PivotAssembler(kept=cache)
        got = dict.fromkeys(names, 0)
        for place, message in enumerate(sent):
            if isinstance(message, PivotSlice):
                got[message.pivot_id] += len(message.data)
                data = whole.add(message)
                if data is None:
                    continue
                cache.put(data)
                # Nothing is told of a picture before all of it was sent, but for the first.
                told = next(n for n, m in enumerate(sent) if isinstance(m, Epoch) and m.pivot_id == message.pivot_id)
                assert told > place or message.pivot_id == names[0]
        assert bench.pivot_id in cache
        assert got[bench.pivot_id] == len(bench.coded) - len(first)
        assert got[middle] == (len(first) if identity == b"a" else 0)


def test_who_keeps_the_coarse_one_of_a_finer_pivot_with_shut_eyes_gets_what_is_behind_it() -> None:
    bench = Bench("bgan")
    first = bench.coded
    bench.coded = add_difference(first, portrait_picture(), 8000)
    bench.pivot_id = content_id(bench.coded)
    with_shut_eyes(bench)
    bench.link.join(b"a", hello(b"devA", content_id(first)))
    bench.run(40.0)
    got = [part for part in bench.got(b"a", PivotSlice) if isinstance(part, PivotSlice)]
    assert {part.pivot_id for part in got} == {bench.pivot_id}
    assert sum(len(part.data) for part in got) == len(bench.coded) - len(first)
    assert coarsest(bench.coded) == first


def with_shut_eyes(bench: Bench) -> bytes:
    """The bench's pivot goes on with shut eyes; returns the content id of what it was."""
    before, first = bench.pivot_id, bench.coded
    patch = np.random.default_rng(4).integers(0, 255, (16, 48, 3), np.uint8)
    both = add_lids(first, 80, 80, patch, 800)
    assert both is not None
    bench.coded, bench.pivot_id = both, content_id(both)
    bench.wanted = [before, bench.pivot_id]
    bench.epoch = replace(bench.epoch, number=1, pivot_id=bench.pivot_id, pivot_bytes=len(both))
    return before


def made_of(sent: list[Message], *kept: bytes) -> list[bytes]:
    """The pivots that a receiver has in the end, in their order; kept: those that it had."""
    cache = PivotCache(None)
    for data in kept:
        cache.put(data)
    assembler = PivotAssembler(kept=cache)
    for part in sent:
        whole = assembler.add(part) if isinstance(part, PivotSlice) else None
        if whole is not None:
            cache.put(whole)
    return list(reversed(cache.latest(9)))


def test_who_has_a_pivot_gets_only_the_shut_eyes_that_it_goes_on_with() -> None:
    bench = Bench()
    bench.link.join(b"a", hello(b"devA", bench.pivot_id))
    bench.link.join(b"b", hello(b"devB"))
    bench.run(0.02)
    first = bench.coded
    before = with_shut_eyes(bench)
    bench.sending.offer(bench.parts, before, bench.wanted, bench.now)
    bench.run(6.0, 100)
    tail = bench.got(b"a", PivotSlice)
    assert [(part.offset, part.data) for part in tail if isinstance(part, PivotSlice)] == [
        (len(first), bench.coded[len(first) :])
    ]
    assert made_of(tail, first) == [before, bench.pivot_id]
    came = bench.got(b"b", PivotSlice)  # what it begins with was still on its way
    assert made_of(came)[-1] == bench.pivot_id
    of_it = [part for part in came if isinstance(part, PivotSlice) and part.pivot_id == bench.pivot_id]
    assert sum(len(part.data) for part in of_it) == len(bench.coded) - len(first)
    assert bench.sending.delivered(bench.pivot_id, everywhere=True)


def test_who_joins_late_gets_no_byte_of_a_pivot_with_shut_eyes_twice() -> None:
    bench = Bench("bgan")
    bench.every = 24
    first = bench.coded
    before = with_shut_eyes(bench)
    bench.link.join(b"a", hello(b"devA"))
    bench.link.join(b"b", hello(b"devB", before))
    bench.run(30.0, 100)
    eyes = len(bench.coded) - len(first)
    for identity, kept, most in ((b"a", (), PREVIEW_BYTES + len(bench.coded)), (b"b", (first,), eyes)):
        sent = bench.link.sent[identity]
        assert sum(len(part.data) for part in sent if isinstance(part, PivotSlice)) <= most
        assert made_of(sent, *kept)[-2:] == [before, bench.pivot_id]
        epochs = [message.pivot_id for message in sent if isinstance(message, Epoch)]
        assert epochs[-2:] == [before, bench.pivot_id]


def with_one_who_has_all() -> tuple[Bench, int]:
    """The bench's pivot has shut eyes, and a receiver has it, as far as is known; how long it is without them."""
    bench = Bench()
    length = len(bench.coded)
    before = with_shut_eyes(bench)
    bench.link.join(b"a", hello(b"devA", before, bench.pivot_id))
    bench.run(1.0)
    return bench, length


def asked(bench: Bench, *gaps: tuple[int, int]) -> list[PivotSlice]:
    """What that receiver is sent when it asks for the pivot."""
    before = len(bench.got(b"a", PivotSlice))
    bench.link.say(bench.link.peers[b"a"], Report(b"devA", wants=(Want(bench.pivot_id, gaps),)))
    bench.run(6.0)
    return [part for part in bench.got(b"a", PivotSlice)[before:] if isinstance(part, PivotSlice)]


def test_who_asks_for_a_pivot_gets_what_he_lacks_and_all_that_he_names() -> None:
    bench, length = with_one_who_has_all()
    tail = asked(bench)
    assert [part.offset for part in tail] == [length]
    rest = asked(bench, (0, length))  # he has lost it
    assert made_of([*tail, *rest]) == [bench.pivot_id]


def test_who_asks_for_a_pivot_again_gets_all_that_he_names_whatever_he_was_thought_to_keep() -> None:
    bench, length = with_one_who_has_all()
    offsets = [[part.offset for part in asked(bench, (0, length + 5))] for _ in range(2)]
    assert offsets == [[length], [part.offset for part in bench.parts]]
    size = bench.profile.slice_bytes
    assert [part.offset for part in asked(bench, (0, size), (2 * size, 10))] == [0, 2 * size]


def test_who_comes_back_with_half_of_the_shut_eyes_gets_the_other_half() -> None:
    bench = Bench()
    first = len(bench.coded)
    before = with_shut_eyes(bench)
    rest = len(bench.coded) - first - 200
    wants = (Want(bench.pivot_id, ((0, first), (first + 200, rest))),)
    bench.link.join(b"a", hello(b"devA", before, wants=wants))
    bench.run(6.0)
    assert rest <= bench.picture_bytes <= len(bench.coded) - first


def test_a_finer_pivot_waits_for_who_cannot_be_reached() -> None:
    bench = Bench()
    bench.link.join(b"a", hello(b"devA", bench.pivot_id))
    bench.link.join(b"b", hello(b"devB"))
    bench.run(0.02)
    assert not bench.sending.delivered(bench.pivot_id, everywhere=True)
    bench.run(4.0, 100)
    assert bench.sending.delivered(bench.pivot_id, everywhere=True)
    # Nobody is there, so nobody has it: who was killed half way through it comes back to the one before.
    for peer in list(bench.link.peers.values()):
        bench.link.cut(peer)
    bench.run(0.02)
    assert not bench.sending.receivers
    assert not bench.sending.delivered(bench.pivot_id, everywhere=True)


def test_a_reminder_does_not_name_a_pivot_that_is_still_on_its_way() -> None:
    bench = Bench("bgan")
    bench.every = 24
    bench.link.join(b"a", hello(b"devA"))
    bench.run(3.0, 100)
    bench.sending.offer([bench.epoch], bench.pivot_id, [bench.pivot_id], bench.now)
    bench.run(0.5)
    epochs = [message for message in bench.got(b"a", Epoch) if isinstance(message, Epoch)]
    assert len(epochs) == 2
    assert bench.pivot_id not in {epoch.pivot_id for epoch in epochs}


def test_a_preview_is_sent_once_and_so_is_what_came_of_the_pivot() -> None:
    bench = Bench("bgan")
    bench.every = 24
    bench.link.join(b"a", hello(b"devA"))
    bench.run(4.0, 100)
    got = [part for part in bench.got(b"a", PivotSlice) if isinstance(part, PivotSlice)]
    preview, have = got[0].pivot_id, sum(len(part.data) for part in got if part.pivot_id == bench.pivot_id)
    assert 0 < have < len(bench.coded)
    bench.link.peers.clear()
    want = Want(bench.pivot_id, ((have, len(bench.coded) - have),))
    bench.link.join(b"b", hello(b"devA", preview, wants=(want,)))
    bench.run(8.0, 200)
    again = [part for part in bench.got(b"b", PivotSlice) if isinstance(part, PivotSlice)]
    assert again == [part for part in bench.parts if part.offset >= have]
    assert shown_with(bench.link.sent[b"b"])[0] == preview
    assert shown_with(bench.link.sent[b"b"])[-1] == bench.pivot_id


def test_fast_links_and_those_who_have_a_part_get_no_preview() -> None:
    for name, wants in (("vsat", ()), ("bgan", (Want(Bench("bgan").pivot_id, ((600, 1000),)),))):
        bench = Bench(name)
        bench.link.join(b"a", hello(b"devA", wants=wants))
        bench.run(6.0, 100)
        epochs = [message for message in bench.got(b"a", Epoch) if isinstance(message, Epoch)]
        assert {epoch.pivot_id for epoch in epochs} == {bench.pivot_id}
