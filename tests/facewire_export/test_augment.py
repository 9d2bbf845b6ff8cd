"""Pictures and points are moved alike; artefacts are bounded."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (facewire[export])")

from facewire_export.training import augment  # noqa: E402

CPU = torch.device("cpu")


def test_points_go_where_the_picture_goes() -> None:
    picture = torch.zeros(4, 1, 64, 64)
    picture[:, :, 20, 40] = 1
    point = torch.tensor([[[2 * 40.5 / 64 - 1, 2 * 20.5 / 64 - 1]]]).repeat(4, 1, 1)
    maps = augment.affine(np.random.default_rng(3), 4, CPU)
    moved, points = augment.move_pictures(picture, maps), augment.move_points(point, maps)
    for seen, (place,) in zip(moved[:, 0], points, strict=True):
        y, x = divmod(int(seen.argmax()), 64)
        assert torch.allclose(place, torch.tensor([2 * (x + 0.5) / 64 - 1, 2 * (y + 0.5) / 64 - 1]), atol=2 / 64)


def test_flipping_twice_is_nothing() -> None:
    pictures, points = torch.rand(2, 3, 8, 8), torch.rand(2, 10, 2)
    chosen = torch.tensor([True, False])
    again = augment.flip(*augment.flip(pictures, points, chosen), chosen)
    assert torch.equal(again[0], pictures)
    assert torch.allclose(again[1], points)


def test_the_same_seed_draws_the_same() -> None:
    first, second = (augment.affine(np.random.default_rng(5), 3, CPU) for _ in range(2))
    assert torch.equal(first, second)


def test_coarser_coding_loses_more() -> None:
    pictures = torch.rand(2, 3, 16, 16) * 0.8 + 0.1
    losses = [
        (augment.coding_artefacts(pictures, torch.full((2,), s)) - pictures).abs().mean() for s in (1e-4, 0.02, 0.2)
    ]
    assert losses[0] < 1e-3 < losses[1] < losses[2]


def test_recoloured_pictures_stay_in_range() -> None:
    seen = augment.recolour(torch.rand(5, 3, 8, 8), augment.colour_maps(np.random.default_rng(1), 5, CPU))
    assert 0 <= seen.min() <= seen.max() <= 1
