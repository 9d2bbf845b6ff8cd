"""What is made of a curve."""

import random

import pytest

from facewire_export.rig import measure


def _wandering(rise: float, seed: int) -> list[tuple[float, float]]:
    """A value that wanders about for a minute at a time, and rises beneath that."""
    drawn, at_random, points = 0.0, random.Random(seed), []
    for at in range(0, 3000, 5):
        drawn += -drawn * 5 / 60 + at_random.gauss(0.0, 0.8)
        points.append((float(at), rise * at + drawn))
    return points


def test_slope_of_a_straight_line() -> None:
    found = measure.slope([(float(at), 3.0 + 0.5 * at) for at in range(100)])
    assert found is not None
    assert found.rise == pytest.approx(0.5)
    assert found.error == pytest.approx(0.0, abs=1e-9)


def test_error_of_a_slope_is_what_slopes_differ_by() -> None:
    found = [measure.slope(_wandering(0.001, seed)) for seed in range(200)]
    slopes, errors = zip(*((one.rise, one.error) for one in found if one is not None), strict=True)
    mean = sum(slopes) / len(slopes)
    spread = (sum((one - mean) ** 2 for one in slopes) / len(slopes)) ** 0.5
    assert mean == pytest.approx(0.001, abs=spread / 5)
    assert sum(errors) / len(errors) == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize("points", [[], [(1.0, 2.0)], [(0.0, 1.0), (5.0, 1.0), (100.0, 1.0)]])
def test_no_slope_of_too_little(points: list[tuple[float, float]]) -> None:
    assert measure.slope(points) is None
