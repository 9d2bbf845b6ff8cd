"""What is known of each receiver, and how many bytes of pictures it may be sent on its own account."""

from __future__ import annotations

from dataclasses import dataclass, field

from facewire.link.flow import Flow
from facewire.link.hub import Peer
from facewire.outgoing.pacing import Outbox, TokenBucket
from facewire.outgoing.preview import Preview
from facewire.types import Epoch
from facewire.wire.returns import Report

REPEAT_PIVOTS = 3
"""Pivots' worth of picture bytes that one receiver may be sent on its own account (it came anew, it asks)..."""
REPEAT_SHARE = 0.1
"""... and the part of the ceiling at which that fills up again."""
MAX_ACCOUNTS = 64


@dataclass
class Receiver:
    """A decoder that said hello. have: first halves of the content ids it keeps, as far as is known."""

    peer: Peer
    outbox: Outbox
    flow: Flow
    report: Report
    have: set[bytes] = field(default_factory=set)
    is_new: bool = True
    greeted: Epoch | None = None
    """What it was told before its hello came."""
    is_guest: bool = False
    """It is taken for one that is new, and keeps nothing, and has not said so yet."""
    heard_want: float = float("-inf")
    asked_for: bytes | None = None
    """The pivot of the request that was answered last."""
    previews: tuple[Preview, ...] = ()
    """What it has (the first one at most), or is sent, until the pivot is there."""
    epoch: Epoch | None = None
    """The running one, as it was announced last."""

    def told(self, epoch: Epoch) -> Epoch:
        """The epoch as this receiver is to be told it."""
        self.epoch = epoch
        return self.previews[0].epoch(epoch) if self.previews and self.lacks(epoch.pivot_id) else epoch

    def moved(self, flow: Flow) -> None:
        """It is reached by another way now, and has got nothing of what lies on the old one."""
        self.flow = flow
        self.outbox.freshen()
        self.outbox.start_over()

    def sees(self, pivot_id: bytes) -> bool:
        """Whether it has something to animate where `pivot_id` is meant."""
        return not self.lacks(pivot_id) or any(
            preview.stands_for == pivot_id and not self.lacks(preview.pivot_id) for preview in self.previews
        )

    def lacks(self, pivot_id: bytes) -> bool:
        """Whether it is to be sent this pivot, as far as is known."""
        return pivot_id[:4] not in self.have


class Accounts:
    """One for each device, which its new connections find again. pivot_bytes: of the largest pivot; rate: the ceiling,
    bytes a second."""

    def __init__(self, pivot_bytes: int, rate: float) -> None:
        self._most, self._rate = REPEAT_PIVOTS * pivot_bytes, rate * REPEAT_SHARE
        self._buckets: dict[str, TokenBucket] = {}

    def allow(self, receiver: Receiver, length: int, now: float) -> bool:
        """Whether it may be sent so many bytes more; they are spent then."""
        name = f"{receiver.peer.name}/{receiver.report.device.hex()}"
        account = self._buckets.get(name)
        if account is None:
            while len(self._buckets) >= MAX_ACCOUNTS:
                self._buckets.pop(next(iter(self._buckets)))
            account = self._buckets[name] = TokenBucket(self._rate, self._most)
            account.level = self._most
        account.refill(now)
        if account.level < length:
            return False
        account.spend(length)
        return True
