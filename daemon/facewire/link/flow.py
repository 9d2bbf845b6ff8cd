"""What may be on the way to one receiver. Pure: the time, and what the kernel says of the connection, are given.

    window    no more than the link carries in a round trip and WINDOW_SECONDS may be on the way (where a pivot slice is
              to be added, in a round trip alone): so what waits, waits at the sender, where it can be dropped when it
              is old. What has arrived behind something that got lost is not on the way: if nothing followed, nobody
              would notice when that is lost once more (RACK, RFC 8985)
    pace      where keypoints flow, a pivot slice goes only when all that went before is off the link: a bundle never
              waits for more than one; and only just after something was acknowledged: when the link gets dark, what
              is on the way is what comes first afterwards
    silence   nothing is added to what nobody acknowledges; what waited for a link that was dark is not sent when it
              is back, but for the newest
    knock     a receiver that fell silent may come back by another way: as soon as somebody's handshake is done it is
              tried whether it is he
"""

from __future__ import annotations

from dataclasses import dataclass

from facewire.link.tcp import Connection

WINDOW_SECONDS = 0.6
"""Seconds of the ceiling's rate that may be on the way beyond a round trip."""
JUST_NOW = 0.5
"""Part of the shortest round trip: acknowledgements of bundles come more often, or else nothing is on the way."""
QUIET_SECONDS = 0.4
"""Beyond a round trip without an acknowledgement of what is on the way, nothing is added to it."""
HELD_UP_SECONDS = 1.2
"""After so much more, what waited is not sent when the link is back, but for the newest."""
KNOCK_SECONDS = 1.5
"""For so long after a handshake it is tried whether a silent receiver is the one who came: its hello takes a round trip
more, and libzmq sends to where a name came from last."""
DARK_SECONDS = 3.0
"""A receiver that acknowledged nothing for so long, with something on the way to it, is not waited for."""


@dataclass(frozen=True)
class Opening:
    """What may go to a receiver now. bundles, slices: whether such a message may; is_silent: nothing may, and what
    waits need not be looked at; only_newest: of the bundles that wait; anew: understood by who got nothing before."""

    bundles: bool = False
    slices: bool = False
    is_silent: bool = False
    only_newest: bool = False
    anew: bool = False


class Flow:
    """rate: bytes a second that the link carries, headers included; largest: bytes of the largest message on it."""

    def __init__(self, rate: float, largest: int) -> None:
        self._rate, self._largest = rate, largest
        self._free_at = float("-inf")
        """When a link of that rate has sent off all that was given to it."""
        self._was_dark = False
        self._knocked: float | None = None
        """Since when keypoints are sent in spite of this silence."""

    def opens(
        self,
        state: Connection | None,
        now: float,
        paced: bool,
        flows: bool = False,
        knock_until: float = float("-inf"),
    ) -> Opening:
        """What may go now. state: None where the kernel tells nothing; paced: keypoints flow already, or in a moment;
        flows: they do; knock_until: up to when somebody who has just come may be this receiver."""
        quiet, anew = state is not None and is_quiet(state), False
        if state is not None and quiet:
            if self._knocked is None or now - self._knocked >= KNOCK_SECONDS:
                self._was_dark = self._was_dark or state.silence > state.rtt + HELD_UP_SECONDS
            if self._knocked is None and now < knock_until:
                self._knocked, anew = now, True
            if self._knocked is None or now - self._knocked >= KNOCK_SECONDS:
                return Opening(is_silent=True)
            state = None  # nothing is known of the other way
        else:
            self._knocked = None
        was_dark, self._was_dark = self._was_dark, False
        return Opening(
            bundles=self._has_room(state, WINDOW_SECONDS),
            slices=not quiet
            and (not paced or now >= self._free_at)
            and (not flows or _was_heard(state))
            and self._has_room(state, 0.0),
            only_newest=was_dark,
            anew=anew,
        )

    def sent(self, cost: int, now: float) -> None:
        """A message that takes so many bytes of the link is on its way."""
        self._free_at = max(now, self._free_at) + cost / self._rate

    def _has_room(self, state: Connection | None, seconds: float) -> bool:
        if state is None:
            return True
        window = max(self._rate * (state.shortest_rtt + seconds), 1.5 * self._largest)
        return state.on_the_way < window


def _was_heard(state: Connection | None) -> bool:
    """Whether nothing is on the way, or somebody acknowledged something just now."""
    return state is None or not state.outstanding or state.silence < JUST_NOW * state.shortest_rtt


def is_quiet(state: Connection) -> bool:
    """Whether what is on the way should have been acknowledged by now."""
    return state.outstanding > 0 and state.silence > state.rtt + QUIET_SECONDS


def is_dark(state: Connection) -> bool:
    """Whether nothing gets through any more."""
    return state.outstanding > 0 and state.silence > DARK_SECONDS
