"""The distance against scipy's matrix square root, and its properties."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

pytest.importorskip("torch", reason="torch (extra: export) is not installed")

from facewire_export.evaluation.frechet import distance
from facewire_export.metrics import MetricError


def features(count: int, width: int, seed: int, shift: float = 0.0) -> np.ndarray:  # type: ignore[type-arg]
    random = np.random.default_rng(seed)
    return (random.normal(size=(count, width)) @ random.normal(size=(width, width)) + shift).astype(np.float32)


@pytest.mark.parametrize("count", [200, 8])
def test_it_is_the_textbook_formula(count: int) -> None:
    a, b = features(count, 12, 0).astype(float), features(count + 3, 12, 1, 0.5).astype(float)
    c, d = np.cov(a.T), np.cov(b.T)
    root = linalg.sqrtm(c @ d + 1e-10 * np.eye(12))
    wanted = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c + d - 2 * root.real)
    assert distance(a, b) == pytest.approx(wanted, rel=2e-3)


def test_same_set_is_zero_and_it_is_symmetric() -> None:
    a, b = features(50, 64, 0), features(40, 64, 1)
    assert distance(a, a) == pytest.approx(0.0, abs=1e-6)
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-9)
    assert distance(a, b) < distance(a, b + np.float32(3))
    with pytest.raises(MetricError, match="at least two"):
        distance(a, b[:1])
