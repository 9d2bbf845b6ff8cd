"""The stream gives way: to a link that is too narrow, and to the day's cap."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from tests.facewire.coding.test_encoding import Bench
from tests.facewire.outgoing import test_sending

from facewire.ledger import Ledger
from facewire.link.wires import Totals
from facewire.outgoing.economy import Economy, still_bytes
from facewire.outgoing.ladder import DOWN_EVERY, LATE_SECONDS, shaped
from facewire.outgoing.sending import Sending
from facewire.profiles import Profile, profile
from facewire.types import Bundle, Epoch, KeypointFrame, Message, PivotSlice

LINK = profile("bgan")
LATE = 1_777_938_000.0
"""Twenty minutes before midnight UTC: stills may come often."""


class LateSending(Sending):
    """Late when the test says so."""

    lateness = 0.0

    def late(self, now: float) -> float:
        return self.lateness


@dataclass
class Coder:
    """Makes a bundle a second, and a pivot with its epoch when it is asked for one."""

    profiles: list[Profile] = field(default_factory=list)
    pivots: int = 0
    is_due: bool = False

    def adapt(self, profile: Profile) -> None:
        self.profiles.append(profile)

    def refresh(self) -> None:
        self.is_due = True

    def second(self) -> list[Message]:
        out: list[Message] = []
        if self.is_due:
            self.is_due, self.pivots = False, self.pivots + 1
            name = self.pivots.to_bytes(8, "big")
            out += [PivotSlice(name, offset, 200, bytes(100)) for offset in (0, 100)]
            out.append(Epoch(1, self.pivots % 256, 0, name, 200, 256, 25.0, 1, bytes(4), 1.0))
        return [*out, Bundle(self.pivots % 256, (KeypointFrame(0, np.zeros((10, 2), np.int16)),))]


class Stage:
    def __init__(self, cap: int = 0) -> None:
        self.coder = Coder()
        self.sending = LateSending(test_sending.Link(), LINK, lambda _: None)
        self.now = 0.0
        self.spent = 0
        self.ledger = Ledger(None, cap, still_bytes(LINK))
        self.economy = Economy(self.coder, self.sending, LINK, self.ledger, self.now)

    def second(self, spend: int = 0) -> list[Message]:
        """What may pass of a second's messages."""
        self.now += 1.0
        self.spent += spend
        self.economy.look(self.now, LATE + self.now, Totals(self.spent, 0, 0))
        return self.economy.passes(self.coder.second(), self.now)


def test_a_narrow_link_is_given_way_to_step_by_step_and_that_is_told(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.sending.lateness = LATE_SECONDS + 1
    with caplog.at_level(logging.WARNING):
        for _ in range(round(5 * DOWN_EVERY)):
            assert len(stage.second()) == 1
    assert stage.economy.step == 4
    assert stage.coder.profiles == [shaped(LINK, step) for step in (1, 2, 3, 4)]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4
    assert "the link is too narrow: step 4 of 4" in lines[-1]
    assert "step 4 of 4" in stage.economy.words()


def test_a_running_stream_takes_another_grid_and_fewer_frames_at_once() -> None:
    bench = Bench(paced=True)
    bench.feed(20)
    for taken in bench.encoding.in_use:
        bench.encoding.pivot_sent(taken.pivot_id)
    bench.feed(10)
    before = bench.encoding.epoch
    narrow = shaped(bench.encoding.profile, 4)
    bench.encoding.adapt(narrow)
    messages = bench.feed(80)
    after = bench.encoding.epoch
    assert before is not None
    assert after is not None
    assert (after.pivot_id, after.step) == (before.pivot_id, 2 * before.step)
    assert not any(isinstance(message, PivotSlice) for message in messages)
    bundles = [message for message in messages if isinstance(message, Bundle)][1:]
    numbers = [frame.number for bundle in bundles for frame in bundle.frames]
    assert {b - a for a, b in pairwise(numbers)} == {4}
    assert all(len(bundle.frames) == narrow.bundle_frames for bundle in bundles)


def test_near_the_cap_there_are_stills_and_beyond_it_nothing(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(cap=1_000_000)
    for _ in range(5):
        assert any(isinstance(message, Bundle) for message in stage.second())
    assert stage.economy.words() == ""
    with caplog.at_level(logging.INFO):
        stage.second(spend=905_000)
        interval = stage.ledger.still_interval
        seen = [message for _ in range(round(2.5 * interval)) for message in stage.second()]
        assert "stills only" in stage.economy.words()
        assert stage.coder.profiles[-1].pivot_interval == interval
        stage.second(spend=90_000)
        assert [message for _ in range(200) for message in stage.second()] == []
        assert "nothing is sent until midnight UTC" in stage.economy.words()
    kinds = [type(message) for message in seen]
    assert kinds == 3 * [PivotSlice, PivotSlice, Epoch, Bundle] or kinds == 2 * [PivotSlice, PivotSlice, Epoch, Bundle]
    texts = [record.getMessage() for record in caplog.records]
    assert sum("stills only, one every" in text for text in texts) == 1
    assert sum("nothing more is sent until midnight" in text for text in texts) == 1


def test_what_else_passes_the_interface_counts() -> None:
    stage = Stage()
    economy = Economy(stage.coder, stage.sending, LINK, Ledger(None, 10_000), 0.0, "lo")
    economy.look(5.0, LATE, Totals())
    assert economy.ledger.today.others >= 0
    nowhere = Economy(stage.coder, stage.sending, LINK, Ledger(None), 0.0, "no-such-0")
    nowhere.look(5.0, LATE, Totals(100, 50, 7))
    assert (nowhere.ledger.today.others, nowhere.ledger.today.total) == (0, 157)
