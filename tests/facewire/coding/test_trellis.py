from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from facewire.coding import trellis
from facewire.coding.trellis import _cheapest, deformed, to_grid
from facewire.showing.deformation import Fit
from facewire.types import Bundle, KeypointFrame
from facewire.wire.deformation import KINDS, LIMIT, put_deformations
from facewire.wire.packets import pack
from facewire.wire.rangecoder import RangeEncoder

STILL = np.zeros((2, 64, 64), np.float32)


def fits(count: int, kind: int = 2, size: float = 1.0, seed: int = 0) -> list[Fit]:
    """Nodes drawn anew in each frame, some steps apart, all of one weight."""
    shape, step = (2, KINDS[kind].nodes, KINDS[kind].nodes), KINDS[kind].step / 128
    dice = np.random.default_rng(seed)
    return [Fit((dice.normal(0, size, shape) * step).astype(np.float32), np.ones(shape), STILL) for _ in range(count)]


def steps(found: list[Fit], kind: int = 2) -> NDArray[np.float32]:
    return np.stack([fit.nodes for fit in found]) * 128 / KINDS[kind].step


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_without_a_price_they_are_the_nearest(kind: int) -> None:
    drawn = fits(5, kind, 4.0)
    assert np.abs(np.stack(to_grid(drawn, kind, 0.0)) - steps(drawn, kind)).max() <= 0.5 + 1e-5
    far = Fit(np.full((2, 6, 6), 9.0, np.float32), np.ones((2, 6, 6)), STILL)
    assert to_grid([far], 2, 0.0)[0].max() == LIMIT


def test_what_trembles_stands_still_and_what_moves_moves() -> None:
    trembling = fits(12, size=0.3)
    unit = (KINDS[2].step / 128) ** 2  # a step's worth of error
    assert len({whole.tobytes() for whole in to_grid(trembling, 2, 0.3 * unit)}) == 1
    assert len({whole.tobytes() for whole in to_grid(trembling, 2, 0.0)}) > 6
    step = np.float32(5 * 1.5 / 128)
    moving = [Fit(fit.nodes + (at >= 6) * step, fit.weights, STILL) for at, fit in enumerate(trembling)]
    told = np.stack(to_grid(moving, 2, 0.3 * unit))
    assert np.array_equal(told[9] - told[2], np.full((2, 6, 6), 5))
    assert 72 <= (np.diff(told, axis=0) != 0).sum() < 76  # hardly any node more than once


def test_a_node_that_shows_is_nearer_than_one_that_does_not() -> None:
    weights = np.full((2, 6, 6), 0.01)
    weights[:, 2:4, 2:4] = 1.0
    drawn = [Fit(fit.nodes, weights, STILL) for fit in fits(30)]
    off = np.abs(np.stack(to_grid(drawn, 2, 1e-5)) - steps(drawn)).mean(0)
    assert off[:, 2:4, 2:4].mean() < 0.6 * off[:, :2].mean()


@given(st.integers(1, 5), st.integers(0, 2**16))
def test_no_path_of_a_value_is_cheaper(count: int, seed: int) -> None:
    """Beside every path there is, of two values with three levels."""
    dice = np.random.default_rng(seed)
    errors, moves = dice.uniform(0, 2, (count, 2, 3)), dice.uniform(0, 1, (count - 1, 2, 3, 3))
    found = _cheapest(errors, list(moves))
    for value in range(2):

        def cost(path: Sequence[int], value: int = value) -> float:
            stays = sum(errors[at, value, level] for at, level in enumerate(path))
            return float(stays + sum(moves[at, value, a, b] for at, (a, b) in enumerate(pairwise(path))))

        assert cost(found[:, value].tolist()) <= min(map(cost, product(range(3), repeat=count))) + 1e-9


def test_changes_beside_others_are_cheaper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes that wander, those near each other alike: found again beside the others they take fewer bytes for the same
    error."""
    dice, shape = np.random.default_rng(3), (24, 2, 6, 6)
    alike = cv2.GaussianBlur(dice.normal(0, 3.0, shape).transpose(2, 3, 0, 1).reshape(6, 6, 48), (0, 0), 1.5)
    nodes = np.cumsum(alike.reshape(6, 6, 24, 2).transpose(2, 3, 0, 1), 0) * 1.5 / 128
    drawn = [Fit(each.astype(np.float32), np.ones(shape[1:]), STILL) for each in nodes]

    def told(price: float) -> tuple[int, float]:
        whole = to_grid(drawn, 2, price)
        out = RangeEncoder()
        put_deformations(out, whole)
        return len(out.bytes()), float(((np.stack(whole) - steps(drawn)) ** 2).mean())

    again = told(1e-4)
    monkeypatch.setattr(trellis, "AGAIN", 0)
    prices = np.geomspace(2e-5, 5e-4, 12)
    sizes, errors = zip(*map(told, prices), strict=True)
    assert again[0] < 0.97 * np.interp(again[1], errors, sizes)


def frames_with_a_gap() -> tuple[Bundle, list[Fit]]:
    points = np.zeros((10, 2), np.int16)
    return Bundle(0, tuple(KeypointFrame(at, points, at == 1) for at in range(4))), fits(3, size=4.0, seed=5)


def test_they_keep_to_the_bytes() -> None:
    bundle, drawn = frames_with_a_gap()
    plain = len(pack(bundle))
    sizes = []
    for most in (0.1, 30.0, 50.0, 120.0):
        (out,) = deformed([bundle], [drawn], 2, most)
        sizes.append(len(pack(out)) - plain)
        assert sizes[-1] <= 3 * most
        assert [frame.deformation is None for frame in out.frames] == [most < 1, True, most < 1, most < 1]
    assert sizes == sorted(sizes)
    assert sizes[2] > 0.8 * 3 * 50  # and use them


def test_a_bundle_without_faces_stays_as_it_is() -> None:
    bundle, drawn = frames_with_a_gap()
    unsure = Bundle(0, (KeypointFrame(9, np.zeros((10, 2), np.int16), True),))
    out = deformed([unsure, bundle], [[], drawn], 2, 200.0)
    assert out[0] == unsure
    assert out[1].frames[0].deformation is not None
