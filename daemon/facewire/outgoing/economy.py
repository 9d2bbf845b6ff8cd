"""What the stream may be now, so that it fits: the ladder's step where the link is too narrow, the day's cap where the
bill would be too long. Each change is logged once, and told in the status line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from facewire.ledger import CLOSED, FULL, STILLS, Costs, Ledger
from facewire.link.wires import Totals
from facewire.outgoing.ladder import STEPS, WORDS, Ladder, shaped
from facewire.outgoing.sending import Classes, Sending
from facewire.profiles import Profile
from facewire.types import Bundle, Epoch, Message, PivotSlice

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
STILL_OVERHEAD = 1.3
"""Bytes on the wire for each byte of a still: slices have headers, and an epoch and a bundle go with them."""


class Coder(Protocol):
    """What makes the stream (encoding.Encoding)."""

    def adapt(self, profile: Profile) -> None: ...

    def refresh(self) -> None: ...


class Economy:
    """interface: a network interface that carries nothing but the link; what passes there and is not ours is counted
    as well. "" for none."""

    def __init__(
        self, encoding: Coder, sending: Sending, profile: Profile, ledger: Ledger, now: float, interface: str = ""
    ) -> None:
        self._encoding, self._sending, self._profile, self.ledger = encoding, sending, profile, ledger
        self._ladder = Ladder(now)
        self._mode = FULL
        self._looked = now
        self._still: bytes | None = None
        self._still_at = float("-inf")
        self._owes_epoch = self._owes_bundle = False
        self._interface = Path("/sys/class/net") / interface / "statistics" if interface else None
        self._interface_began = _counted(self._interface)

    @property
    def step(self) -> int:
        """Of the ladder."""
        return self._ladder.step

    @property
    def mode(self) -> str:
        """Of the ledger, as of the last look."""
        return self._mode

    def words(self) -> str:
        """For the status line; "" while all is as the profile says."""
        parts = [f"step {self.step} of {STEPS}: {WORDS[self.step]}"] if self.step else []
        if self._mode != FULL:
            what = "stills only" if self._mode == STILLS else "nothing is sent until midnight UTC"
            parts.append(f"daily cap: {what}")
        return "; ".join(parts)

    def look(self, now: float, wall: float, totals: Totals) -> None:
        """Judge the last second. now: monotonic; wall: seconds since 1970."""
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        self.ledger.update(wall, self._costs(totals))
        before = (self._mode, self.step)
        self._mode = self.ledger.mode
        late = self._sending.late(now) if self._mode == FULL else 0.0
        self._ladder.update(now, late, self._sending.spare)
        if (self._mode, self.step) != before:
            self._change(*before)
        if self._mode == STILLS and now - self._still_at >= self.ledger.still_interval:
            self._encoding.refresh()

    def passes(self, messages: Iterable[Message], now: float) -> list[Message]:
        """Those of the messages that the day's cap lets through."""
        if self._mode == FULL:
            return list(messages)
        return [] if self._mode == CLOSED else [message for message in messages if self._is_still(message, now)]

    def _is_still(self, message: Message, now: float) -> bool:
        """Whether this is part of a still: the slices of a pivot, its epoch, one bundle to show it by."""
        if isinstance(message, PivotSlice):
            if message.pivot_id != self._still and now - self._still_at >= 0.8 * self.ledger.still_interval:
                self._still, self._still_at, self._owes_epoch = message.pivot_id, now, True
            return message.pivot_id == self._still
        if isinstance(message, Epoch):
            owed = self._owes_epoch and message.pivot_id == self._still
            self._owes_epoch, self._owes_bundle = self._owes_epoch and not owed, self._owes_bundle or owed
            return owed
        owed, self._owes_bundle = self._owes_bundle and isinstance(message, Bundle), False
        return owed

    def _change(self, mode: str, step: int) -> None:
        if self.step != step:
            word = "too narrow" if self.step > step else "wide enough"
            log.warning("the link is %s: step %d of %d, %s", word, self.step, STEPS, WORDS[self.step])
        if self._mode != mode:
            cap, used = self.ledger.cap / 1e6, self.ledger.today.total / 1e6
            text = f"{used:.2f} of today's {cap:g} MB are used"
            if self._mode == STILLS:
                log.warning("%s: stills only, one every %.0f s", text, self.ledger.still_interval)
            elif self._mode == CLOSED:
                log.error("%s: nothing more is sent until midnight UTC", text)
            else:
                log.info("%s: pictures move again", text)
        profile = shaped(self._profile, self.step)
        if self._mode == STILLS:
            profile = replace(profile, pivot_interval=self.ledger.still_interval, finer_bytes=0)
        self._encoding.adapt(profile)

    def _costs(self, totals: Totals) -> Costs:
        classes: Classes = self._sending.classes
        ours = totals.sent + totals.received
        told = classes.keypoints + classes.pivots + classes.epochs + classes.reports
        others = max(0, _counted(self._interface) - self._interface_began - ours - totals.strangers)
        return Costs(
            classes.keypoints, classes.pivots, classes.epochs, classes.reports, max(0, ours - told),
            totals.strangers, others if self._interface is not None else 0,
        )  # fmt: skip


def _counted(statistics: Path | None) -> int:
    """Bytes that an interface has sent and received; 0 where there is none."""
    if statistics is None:
        return 0
    try:
        return sum(int((statistics / name).read_text()) for name in ("tx_bytes", "rx_bytes"))
    except (OSError, ValueError):
        return 0


def still_bytes(profile: Profile) -> int:
    """What one still costs on the wire, about."""
    return round(STILL_OVERHEAD * profile.pivot_bytes) + 600
