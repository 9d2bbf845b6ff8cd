"""The decoder's end of the link at work: packets become messages in the inbox, reports go back. One thread calls it."""

from __future__ import annotations

import logging
import time
from typing import Protocol

from facewire.errors import PacketError, UnplacedError
from facewire.incoming.inbox import Inbox
from facewire.incoming.reporting import Reading, Reporting
from facewire.link.cost import Traffic
from facewire.showing.decoding import Decoding
from facewire.showing.playout import Playout
from facewire.trace import Trace
from facewire.types import Bundle, Epoch, Message
from facewire.wire.packets import Parser
from facewire.wire.returns import pack_report

log = logging.getLogger(__name__)

WAIT_SECONDS = 0.25
"""Longest wait for a packet."""
LOOK_SECONDS = 0.05
"""Seconds between two looks at whether there is something to report."""


class Receiver(Protocol):
    """Where messages come from (link.subscriber.Subscriber). Used by one thread."""

    connections: int

    @property
    def traffic(self) -> Traffic: ...

    def receive(self, timeout: float = 0.0) -> bytes | None: ...

    def send(self, data: bytes) -> bool: ...

    def close(self) -> None: ...


class Reception:
    """inbox: takes what is understood. decoding, playout: only looked at, for the reports. device: who says so."""

    def __init__(
        self,
        receiver: Receiver,
        inbox: Inbox,
        decoding: Decoding,
        playout: Playout,
        device: bytes,
        trace: Trace | None = None,
    ) -> None:
        self._receiver, self._inbox, self._decoding, self._playout = receiver, inbox, decoding, playout
        self._device, self._trace = device, trace
        self.heard = time.monotonic()
        """When a message was understood last."""
        self.garbage = 0
        """Messages that were none."""
        self.frames = 0
        """Keypoint frames that came."""
        self._parser = Parser()
        self._understood = 0  # garbage counted when a message was last understood
        self._stream = 0
        self._reporting = Reporting(device, decoding.animator.cache, self.heard)
        self._looked, self._greeted = float("-inf"), 0

    @property
    def unplaced(self) -> int:
        """Bundles that could not be read without one that is missing."""
        return self._parser.unplaced

    @property
    def talks_nonsense(self) -> bool:
        """Whether all that came since the last message that was understood is garbage, and there is some."""
        return self.garbage != self._understood

    @property
    def traffic(self) -> Traffic:
        """What went over the link."""
        return self._receiver.traffic

    def step(self) -> None:
        """Report if it is time; wait for one message and take it in."""
        self._report()
        data = self._receiver.receive(WAIT_SECONDS)
        if data is None:
            return
        try:
            message = self._parser.parse(data)
        except UnplacedError:
            self.heard = time.monotonic()  # the next long bundle will do
            return
        except PacketError as error:
            self.garbage += 1
            log.debug("dropped: %s", error)
            return
        self.heard = time.monotonic()
        self._understood = self.garbage
        self._note(message)
        self._inbox.put(message)

    def close(self) -> None:
        """Close the link."""
        self._receiver.close()

    def _note(self, message: Message) -> None:
        """Keep the books of what came."""
        if isinstance(message, Epoch):
            self._stream = message.stream
        elif isinstance(message, Bundle):
            self.frames += len(message.frames)
        if self._trace is not None:
            self._trace.message(time.monotonic(), "got", message, self._stream, self._device.hex())

    def _report(self) -> None:
        """Say something to the encoder if it is time."""
        is_new = self._receiver.connections != self._greeted
        if time.monotonic() - self._looked < LOOK_SECONDS and not is_new:
            return
        self._looked, self._greeted = time.monotonic(), self._receiver.connections
        counters, animator, traffic = self._decoding.counters, self._decoding.animator, self._receiver.traffic
        epoch = animator.epoch
        reading = Reading(
            connections=self._receiver.connections,
            received=traffic.messages,
            wire=traffic.wire,
            newest=animator.newest or 0,
            missing=counters.missing,
            generated=counters.generated,
            undone=counters.waiting + counters.orphans,
            waiting=self._inbox.span,
            delay=self._playout.delay,
            pivot_id=None if epoch is None else epoch.pivot_id,
            lack=animator.lack(),
            unfinished=animator.unfinished(),
        )
        asked = self._reporting.asked
        report = self._reporting.due(time.monotonic(), reading)
        if self._reporting.asked != asked:
            log.info("keypoints come, but not the picture they belong to; asking for it again")
        if report is not None:
            self._receiver.send(pack_report(report))
