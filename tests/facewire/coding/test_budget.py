from __future__ import annotations

import random

import pytest

from facewire.coding.budget import WINDOW, Budget


def test_a_short_clip_gets_what_it_lasts_for_and_no_more() -> None:
    budget = Budget(1000.0)
    assert budget.allowance(0.0, 3.0) == 3000
    budget.spend(0.0, 2500.0)
    assert budget.allowance(0.0, 3.0) == 500
    budget.spend(1.0, 600.0)
    assert budget.allowance(0.0, 3.0) == 0


def test_a_start_may_be_spent_at_once() -> None:
    budget = Budget(300.0, start=15.0)
    assert budget.allowance(0.0, 5.0) == 4500
    budget.spend(0.0, 4500.0)
    assert budget.allowance(5.0, 15.0) == 0
    assert budget.allowance(15.0, 20.0) == 1500


@pytest.mark.parametrize("length", [2.0, 7.0, 20.0])
def test_whoever_asks_first_never_exceeds_any_window(length: float) -> None:
    dice, rate = random.Random(3), 100.0
    budget, spent = Budget(rate), []
    for index in range(40):
        begin = index * length
        allowed = budget.allowance(begin, begin + length)
        first = allowed * dice.random()
        for time, count in ((begin, first), (begin + length / 2, (allowed - first) * dice.random())):
            budget.spend(time, count)
            spent.append((time, count))
    for start, _ in spent:
        within = sum(count for time, count in spent if start <= time < start + WINDOW)
        assert within <= rate * (WINDOW + length) * 1.001
    assert sum(count for _, count in spent) <= rate * 40 * length
