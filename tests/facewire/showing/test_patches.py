from __future__ import annotations

import numpy as np
import pytest

from facewire.showing.patches import BLOCK, grid, places, weights


@pytest.mark.parametrize("size", [64, 65, 100, 127, 128, 129, 255, 512, 720, 1080, 2160])
@pytest.mark.parametrize("patch", [64, 96, 128, 272])
def test_patches_cover_exactly_and_shares_add_up(size: int, patch: int) -> None:
    overlap = max(8, patch // 16)
    starts = places(max(size, patch), patch, overlap)
    assert starts[0] == 0
    assert starts[-1] + patch == max(size, patch)
    steps = np.diff(starts)
    assert np.all(steps <= patch - overlap)
    assert len(steps) == 0 or steps.max() - steps.min() < 2 * BLOCK
    assert all(start % BLOCK == 0 for start in starts[:-1])
    total = np.zeros(max(size, patch))
    for start, share in zip(starts, weights(starts, patch), strict=True):
        total[start : start + patch] += share
    assert np.allclose(total, 1, atol=1e-6)


def test_no_patch_too_many() -> None:
    assert len(places(512, 64, 8)) == 9
    assert len(places(512, 272, 17)) == 2
    assert places(256, 256, 32) == [0]


def test_a_picture_comes_out_of_its_patches_as_it_was() -> None:
    picture = np.random.default_rng(1).random((100, 100)).astype(np.float32)
    canvas = np.zeros_like(picture)
    for top, left, share in grid(100, 48, 8):
        canvas[top : top + 48, left : left + 48] += picture[top : top + 48, left : left + 48] * share
    assert np.allclose(canvas, picture, atol=1e-6)
