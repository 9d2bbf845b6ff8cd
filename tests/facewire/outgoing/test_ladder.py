from __future__ import annotations

from itertools import pairwise

import pytest

from facewire.outgoing.ladder import DOWN_EVERY, LATE_SECONDS, STEPS, UP_AFTER, WORDS, Ladder, shaped
from facewire.profiles import PROFILES, Profile, profile


def rate(link: Profile) -> float:
    """Keypoint frames a second."""
    return 25 / (link.skip + 1)


@pytest.mark.parametrize("link", PROFILES.values(), ids=lambda link: link.name)
def test_each_step_asks_less_of_the_link(link: Profile) -> None:
    steps = [shaped(link, step) for step in range(STEPS + 1)]
    assert steps[0] == link
    assert len(WORDS) == len(steps)
    for one, next_one in pairwise(steps[1:]):
        assert rate(next_one) <= rate(one)
        assert next_one.keypoint_step >= one.keypoint_step
        assert rate(next_one) / next_one.bundle_frames < rate(one) / one.bundle_frames  # messages a second
    assert all(step.pivot_interval == 3 * link.pivot_interval for step in steps[1:])
    assert all(step.bundle_frames <= 64 and step.skip <= 3 and step.keypoint_step < 16 for step in steps)


def run(ladder: Ladder, begin: float, seconds: float, late: float, spare: bool) -> list[int]:
    steps = []
    for second in range(round(seconds)):
        if ladder.update(begin + second, late, spare):
            steps.append(ladder.step)
    return steps


def test_down_one_by_one_while_it_is_late_and_up_after_a_calm_while() -> None:
    ladder = Ladder(0.0)
    assert run(ladder, 0, 5 * DOWN_EVERY + 5, LATE_SECONDS + 1, False) == [1, 2, 3, 4]
    assert run(ladder, 100, UP_AFTER - 1, 0.0, True) == [3]  # trouble ended before
    assert run(ladder, 100 + UP_AFTER, 3 * UP_AFTER, 0.0, True) == [2, 1, 0]
    assert run(ladder, 1000, 1000, 0.0, True) == []


def test_no_step_up_without_rate_to_spare() -> None:
    ladder = Ladder(0.0)
    run(ladder, 0, DOWN_EVERY + 2, LATE_SECONDS + 1, False)
    assert ladder.step == 1
    assert run(ladder, 100, 1000, 0.0, False) == []


def test_a_step_up_that_failed_is_tried_again_later_and_later() -> None:
    ladder = Ladder(0.0)
    ups = []
    for second in range(3000):
        late = LATE_SECONDS + 1 if ladder.step == 0 else 0.0
        if ladder.update(float(second), late, True) and ladder.step == 0:
            ups.append(second)
    pauses = [b - a for a, b in pairwise(ups)]
    assert len(ups) >= 4
    assert all(b >= 1.5 * a for a, b in pairwise(pauses) if a < 300)


def test_a_single_late_moment_changes_nothing_at_first() -> None:
    ladder = Ladder(0.0)
    assert not ladder.update(1.0, LATE_SECONDS + 5, False)
    assert not ladder.update(2.0, 0.0, True)
    assert shaped(profile("bgan"), ladder.step) == profile("bgan")
