"""Who gets what: the receivers of one encoder, what each has and lacks, and what may be on the way to it.

    report ----> Receiver: have, lacks        messages --> one outbox each --window--> hub
                                                             one token bucket under the profile's ceiling

A pivot goes only to who has not got it: a decoder says in its hello what it keeps. How much may be on the way to each
is its flow's to say (flow). A receiver whose link is dark, or that does not read, holds up nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from facewire.errors import PacketError
from facewire.link.acquaintance import Acquaintances, routing_name
from facewire.link.cost import Traffic, wire_bytes
from facewire.link.flow import KNOCK_SECONDS, Flow, is_dark, is_quiet
from facewire.link.hub import Arrival, HubCounters, Peer
from facewire.link.tcp import Connection
from facewire.link.wires import Totals
from facewire.outgoing.pacing import BURST_SECONDS, KEEP_SECONDS, MARGIN, Books, Outbox, TokenBucket, Waiting
from facewire.outgoing.portions import Portions
from facewire.outgoing.preview import Coded, Previews
from facewire.outgoing.receivers import Accounts, Receiver
from facewire.profiles import Profile
from facewire.types import Bundle, Epoch, Message, PivotSlice
from facewire.wire.packets import pack
from facewire.wire.returns import Report, Want, parse_report

log = logging.getLogger(__name__)

OFTEN = 5.0
"""Seconds between two requests of a receiver that are heard."""


class Link(Protocol):
    """Where messages go (hub.Hub)."""

    traffic: Traffic

    @property
    def counters(self) -> HubCounters: ...

    @property
    def peers(self) -> Mapping[bytes, Peer]: ...

    @property
    def totals(self) -> Totals: ...

    @property
    def encrypted(self) -> bool: ...

    def poll(self) -> list[Arrival]: ...

    def send(self, identity: bytes, data: bytes) -> bool: ...

    def state(self, peer: Peer) -> Connection | None: ...

    def silent(self) -> list[int]: ...

    def moved(self) -> list[bytes]: ...

    def meet(self, fd: int, identity: bytes, data: bytes) -> Peer | None: ...

    def newcomers(self) -> Sequence[bytes]: ...

    def release(self) -> None: ...

    def cut(self, peer: Peer) -> None: ...

    def close(self) -> None: ...


@dataclass
class Classes:
    """Bytes of messages by what they carry; slices: of pictures alone; reports: from the decoders."""

    keypoints: int = 0
    pivots: int = 0
    epochs: int = 0
    reports: int = 0


class Sending:
    """The encoder's traffic. `pump` does the work; call it often.

    coded(pivot_id): the bytes of a pivot that is in use, None for others. on_sent: told of each message that went out,
    and to which device; on_named: of what a new device was called until its hello, and its name.
    """

    def __init__(
        self,
        link: Link,
        profile: Profile,
        coded: Coded,
        on_sent: Callable[[Message, str], None] = lambda *_: None,
        acquaintances: Acquaintances | None = None,
        on_named: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self._on_named = on_named
        self._acquaintances = acquaintances or Acquaintances()
        self.receivers: dict[bytes, Receiver] = {}
        self.classes = Classes()
        self.garbage = 0
        self.refused_wants = 0
        self._gone_dropped = 0
        self._gone = Books()
        self._strange: set[int] = set()
        self._knock_until = float("-inf")
        self._link, self._on_sent = link, on_sent
        self._portions = Portions(coded, profile.slice_bytes)
        self._rate = profile.ceiling_kbps * 1000 / 8
        self._previews = Previews(self._rate, profile.slice_bytes, coded)
        rate = self._rate * MARGIN
        # A slice must fit into the bucket, or it would never go.
        self._largest = self._cost(profile.slice_bytes + 20)
        self.bucket = TokenBucket(rate, max(rate * BURST_SECONDS, self._largest))
        self._accounts = Accounts(max(profile.pivot_bytes, profile.finer_bytes, profile.finest_bytes), self._rate)
        self._turn = 0
        self._latest: Bundle | None = None
        self._latest_at = 0.0

    @property
    def dropped(self) -> int:
        """Bundles that were too old to be sent, over all receivers."""
        return self._gone_dropped + sum(one.outbox.dropped for one in self.receivers.values())

    def books(self) -> dict[str, int]:
        """Keypoint frames by what became of them, and what waits, over all receivers since the start."""
        total = Books()
        total.add(self._gone)
        for one in self.receivers.values():
            total.add(one.outbox.books)
        return {**asdict(total), "waiting": sum(one.outbox.waiting for one in self.receivers.values())}

    def late(self, now: float) -> float:
        """Seconds that the oldest bundle has waited, of receivers that can be reached."""
        waits = [one.outbox.waited(now) for one in self.receivers.values() if not self._is_stuck(one)]
        return max(waits, default=0.0)

    @property
    def spare(self) -> bool:
        """Whether much of the rate lies unused."""
        return self.bucket.level > 0.5 * self.bucket.burst

    def newcomers(self) -> list[Receiver]:
        """Receivers that were not greeted yet; they are from now on."""
        new = [one for one in self.receivers.values() if one.is_new]
        for one in new:
            one.is_new = False
        return new

    def listen(self, now: float) -> None:
        """Take in what decoders say, and who is gone."""
        for arrival in self._link.poll():
            try:
                report = parse_report(arrival.data)
            except PacketError as error:
                self.garbage += 1
                log.debug("dropped: %s", error)
                continue
            self.classes.reports += len(arrival.data)
            self._hear(arrival.peer, report, now)
        for identity in self._link.moved():
            if identity in self.receivers:
                self.receivers[identity].moved(Flow(self._rate, self._largest))
                self._repeat(self.receivers[identity], now)
        for identity in [identity for identity in self.receivers if identity not in self._link.peers]:
            self._leave(self.receivers.pop(identity))
        self._drop_ghosts()
        totals = self._link.totals
        if totals.sent:  # else nobody counts: no TCP
            self.bucket.settle(totals.sent + totals.received)

    def meet(self, epoch: Epoch | None, now: float) -> None:
        """Speak first to devices whose handshake is done, a round trip before their hello is here. One that was met
        before is told the epoch, and gets nothing of a picture until its hello has come; a new one keeps nothing, and
        gets all it needs. One of a receiver that fell silent may be that receiver by another way: keypoints are sent to
        it again (KNOCK_SECONDS)."""
        silent = self._link.silent()
        strange, self._strange = self._strange, set(silent)
        if self._strange - strange:
            self._knock_until = now + KNOCK_SECONDS
        if epoch is None:
            return
        for fd in silent:
            if not self._recognise(fd, epoch, now) and not self._welcome(fd, epoch) and fd in strange:
                self._previews.of(epoch.pivot_id)  # its hello is on the way, and will most likely ask for it

    def _recognise(self, fd: int, epoch: Epoch, now: float) -> bool:
        """Whether a device that was met before is there."""
        here = {one.report.device for one in self.receivers.values()}
        data = pack(epoch)
        for device in self._acquaintances.devices:
            peer = None if device in here else self._link.meet(fd, routing_name(device), data)
            if peer is not None:
                one = self._join(peer, Report(device, have=tuple(self._acquaintances.have(device))))
                one.is_new = False
                self._has_told(one, epoch, data)
                if one.sees(epoch.pivot_id):
                    self._repeat(one, now)
                return True
        return False

    def _welcome(self, fd: int, epoch: Epoch) -> bool:
        """Whether a new device is there: that of the key that was let in last."""
        names = [name for name in self._link.newcomers() if name not in self.receivers]
        if not names:
            return False
        previews = self._previews.of(epoch.pivot_id)
        told = previews[0].epoch(epoch) if previews else epoch
        data = pack(told)
        for name in names:
            peer = self._link.meet(fd, name, data)
            if peer is not None:
                one = self._join(peer, Report(name[-4:], complete=True))
                one.is_guest = True
                self._has_told(one, told, data)
                return True
        return False

    def _has_told(self, one: Receiver, epoch: Epoch, data: bytes) -> None:
        """The epoch went out before a hello came."""
        one.greeted = epoch
        one.outbox.begin(epoch)
        self.bucket.spend(self._cost(len(data)))
        self.classes.epochs += len(data)
        self._on_sent(epoch, one.report.device.hex())

    def greet(self, receiver: Receiver, messages: Iterable[Message], now: float) -> None:
        """What a newcomer needs: the epoch, and the slices of pivots that it lacks, on its own account. One that keeps
        more than its hello could name says by itself what it lacks."""
        wants = {want.pivot_id: want for want in receiver.report.wants}
        greeted, receiver.greeted = receiver.greeted, None
        for message in messages:
            if isinstance(message, Epoch):
                shown = self._preview(receiver, message, message.pivot_id in wants, now)
                if shown != greeted:
                    receiver.outbox.put([shown], now)
                if greeted is None and not receiver.lacks(message.pivot_id):
                    self._repeat(receiver, now)
                continue
            if not isinstance(message, PivotSlice):
                continue
            want = wants.get(message.pivot_id)
            portions = self._portions
            part = portions.lacked(receiver, message) if want is None else portions.asked(receiver, message, want)
            if part and (receiver.report.complete or want) and self._accounts.allow(receiver, len(part.data), now):
                receiver.outbox.put([part], now)

    def offer(self, messages: Sequence[Message], current: bytes | None, wanted: Iterable[bytes], now: float) -> None:
        """Messages for everybody. current: the running pivot; wanted: pivots whose slices are still worth sending."""
        keep = list(wanted)
        for message in messages:
            if isinstance(message, Bundle):
                self._latest, self._latest_at = message, now
            elif isinstance(message, Epoch) and self._latest is not None and message.number != self._latest.epoch:
                self._latest = None
        for one in self.receivers.values():
            also = [preview.pivot_id for preview in one.previews if preview.stands_for in keep]
            one.outbox.forget([*keep, *also])
            # Without its pivot keypoints are worth nothing, and the pivot is there sooner alone.
            blind = current is not None and not one.sees(current)
            mine = [self._for(one, message, blind) for message in messages]
            one.outbox.put([message for message in mine if message is not None], now)

    def delivered(self, pivot_id: bytes, everywhere: bool = False) -> bool:
        """Whether no slice of this pivot waits for a receiver that can be reached; everywhere: whether all have it, and
        there are any: who has just gone may be back in a moment, and has what runs now."""
        if everywhere:
            return bool(self.receivers) and not any(one.lacks(pivot_id) for one in self.receivers.values())
        return not any(one.outbox.holds(pivot_id) and not self._is_dark(one) for one in self.receivers.values())

    def pump(self, now: float) -> None:
        """Send what may go: under the ceiling, and within each receiver's window; turn by turn."""
        self.bucket.refill(now)
        going = list(self.receivers.values())
        if going:
            self._turn = (self._turn + 1) % len(going)
            going = going[self._turn :] + going[: self._turn]
        while going:
            going = [one for one in going if self._send_one(one, now)]
        self._link.release()

    def drain(self) -> None:
        """The stream is over: what is urgent goes out at once."""
        for one in self.receivers.values():
            for message, data in one.outbox.drain():
                if self._link.send(one.peer.identity, data):
                    self._on_sent(message, one.report.device.hex())

    def _cost(self, length: int) -> int:
        return wire_bytes(length, self._link.encrypted)

    def _for(self, one: Receiver, message: Message, blind: bool) -> Message | None:
        """The message as this receiver is to be told it; None: it is no use to it."""
        if isinstance(message, PivotSlice):
            return self._portions.lacked(one, message)
        if isinstance(message, Epoch):
            return one.told(message)
        return None if blind else message

    def _hear(self, peer: Peer, report: Report, now: float) -> None:
        receiver = self.receivers.get(peer.identity)
        if receiver is not None and receiver.is_guest and report.hello:
            self._on_named(receiver.report.device.hex(), report.device.hex())
        if receiver is not None and receiver.greeted is not None and report.hello:
            # It may keep other pivots than was thought.
            receiver.peer, receiver.have, receiver.is_new = peer, set(report.have), True
        elif receiver is not None and receiver.is_guest and report.hello and not report.have:
            receiver.peer, receiver.is_guest = peer, False  # all that it needs is on its way
            log.info("receiver %s (%s) is a new device", peer.name, report.device.hex())
        elif receiver is None or report.hello:
            receiver = self._join(peer, report)
        receiver.report = report
        receiver.have.update(report.have)
        if report.hello or report.have:
            self._acquaintances.met(report.device, receiver.have)
        for want in () if report.hello else report.wants:
            self._answer(receiver, want, now)

    def _preview(self, receiver: Receiver, epoch: Epoch, has_some: bool, now: float) -> Epoch:
        """The epoch as a newcomer is told it: with a preview, whose slices are queued, where it lacks the pivot and has
        got no part of that."""
        if receiver.lacks(epoch.pivot_id) and receiver.report.complete:
            found = self._previews.of(epoch.pivot_id)
            there = [place for place, preview in enumerate(found) if not receiver.lacks(preview.pivot_id)]
            if there:
                receiver.previews = found[there[-1] :]
            elif not has_some:
                receiver.previews = ()
                for preview in found:
                    if self._accounts.allow(receiver, preview.parts[0].total, now):
                        receiver.previews = (*receiver.previews, preview)
                        receiver.outbox.put(preview.parts, now)
        return receiver.told(epoch)

    def _repeat(self, one: Receiver, now: float) -> None:
        """To one who has just come: the last bundle, if it is not old, for the next one is not there yet."""
        if self._latest is not None and now - self._latest_at < KEEP_SECONDS and not one.outbox.waiting:
            one.outbox.put([self._latest], self._latest_at)

    def _join(self, peer: Peer, report: Report) -> Receiver:
        before = self.receivers.pop(peer.identity, None)
        if before is not None:
            self._close(before)
        log.info("receiver %s (%s) has joined", peer.name, report.device.hex())
        flow = Flow(self._rate, self._largest)
        joined = self.receivers[peer.identity] = Receiver(peer, Outbox(self._cost), flow, report, set(report.have))
        return joined

    def _drop_ghosts(self) -> None:
        """A device that has come back by another way reads its old connection no more."""
        newest = {one.report.device: one for one in self.receivers.values()}
        for one in [one for one in self.receivers.values() if newest[one.report.device] is not one]:
            if self._is_stuck(one):
                self._link.cut(one.peer)
                self._leave(self.receivers.pop(one.peer.identity))

    def _leave(self, receiver: Receiver) -> None:
        self._close(receiver)
        log.info("receiver %s (%s) has left", receiver.peer.name, receiver.report.device.hex())

    def _close(self, receiver: Receiver) -> None:
        self._gone_dropped += receiver.outbox.dropped
        self._gone.add(receiver.outbox.closed())

    def _answer(self, receiver: Receiver, want: Want, now: float) -> None:
        """Slices that were asked for, as far as the receiver's account allows."""
        asked = [self._portions.asked(receiver, part, want) for part in self._portions.all_of(receiver, want.pivot_id)]
        parts = [part for part in asked if part is not None]
        if not parts or now - receiver.heard_want < OFTEN:
            self.refused_wants += 1
            return
        receiver.heard_want, receiver.asked_for = now, want.pivot_id
        receiver.have.discard(want.pivot_id[:4])
        for part in parts:
            if not self._accounts.allow(receiver, len(part.data), now):
                self.refused_wants += 1
                return
            receiver.outbox.put([part], now)

    def _send_one(self, one: Receiver, now: float) -> bool:
        """Send one message if one may go."""
        if not len(one.outbox):
            return False
        flows = one.outbox.books.sent > 0
        opening = one.flow.opens(
            self._link.state(one.peer), now, flows or bool(one.previews), flows, self._knock_until
        )
        if opening.is_silent:
            return False  # what follows would only be old when the link is back
        if opening.only_newest:
            one.outbox.freshen()
        if opening.anew:
            one.outbox.start_over()
        # Who it is, and what it lacks, its hello will say; unless it is new.
        item = one.outbox.next(now, self.bucket.level, opening.slices and (one.is_guest or not one.peer.guessed))
        if item is None or not opening.bundles:
            return False
        if not self._link.send(one.peer.identity, item.data):
            return False
        one.outbox.sent(item, now)
        self.bucket.spend(item.cost)
        one.flow.sent(item.cost, now)
        self._account(one, item)
        self._replace_preview(one, now)
        return True

    def _replace_preview(self, one: Receiver, now: float) -> None:
        """Once something finer is on its way as a whole, the epoch is told with that: at last as it is."""
        if not one.previews:
            return
        stood_for, before = one.previews[0].stands_for, len(one.previews)
        if not one.lacks(stood_for):
            one.previews = ()
        while len(one.previews) > 1 and not one.lacks(one.previews[1].pivot_id):
            one.previews = one.previews[1:]
        if len(one.previews) < before and one.epoch is not None and one.epoch.pivot_id == stood_for:
            one.outbox.put([one.told(one.epoch)], now)

    def _is_stuck(self, one: Receiver) -> bool:
        state = self._link.state(one.peer)
        return state is not None and is_quiet(state)

    def _is_dark(self, one: Receiver) -> bool:
        state = self._link.state(one.peer)
        return state is not None and is_dark(state)

    def _account(self, one: Receiver, item: Waiting) -> None:
        self._on_sent(item.message, one.report.device.hex())
        if item.part is None:
            if item.is_bundle:
                self.classes.keypoints += len(item.data)
            else:
                self.classes.epochs += len(item.data)
            return
        pivot_id, _ = item.part
        self.classes.pivots += len(item.data)
        if not one.outbox.holds(pivot_id):
            one.have.add(pivot_id[:4])
            if not one.is_guest:
                self._acquaintances.met(one.report.device, one.have)
