"""Metrics: a perfect score for identical pictures, the right order for worse ones, agreement with a second source."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest

from facewire_export.metrics import Flicker, MetricError, Picture, mean_db, plain, psnr, ssim


def picture(size: int = 96, seed: int = 3) -> Picture:
    """Smooth colour noise, much like a blurred photograph."""
    noise = np.random.default_rng(seed).integers(0, 256, (size // 8, size // 8, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_identical_pictures_are_perfect() -> None:
    real = picture()
    assert math.isinf(psnr(real, real.copy()))
    assert ssim(real, real.copy()) == pytest.approx(1.0)


def test_psnr_of_a_known_error() -> None:
    real = np.full((16, 16, 3), 100, np.uint8)
    assert psnr(real, real + np.uint8(5)) == pytest.approx(20 * math.log10(255 / 5), abs=1e-4)
    assert psnr(real, real - np.uint8(5)) == pytest.approx(20 * math.log10(255 / 5), abs=1e-4)


def test_more_of_a_fault_is_worse() -> None:
    real = picture()
    noise = np.random.default_rng(1).normal(0, 1, real.shape)
    for measure in (psnr, ssim):
        blurred = [measure(real, np.asarray(cv2.GaussianBlur(real, (0, 0), s), np.uint8)) for s in (0.8, 2, 5)]
        noisy = [measure(real, np.clip(real + noise * s, 0, 255).astype(np.uint8)) for s in (2, 10, 40)]
        shifted = [measure(real, np.roll(real, s, 1)) for s in (1, 2, 6)]
        for values in (blurred, noisy, shifted):
            assert values == sorted(values, reverse=True), measure


def test_ssim_agrees_with_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image's own dependencies are not installed")
    real = picture()
    for other in (picture(seed=4), np.asarray(cv2.GaussianBlur(real, (0, 0), 2), np.uint8)):
        theirs = metrics.structural_similarity(
            real, other, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=2, data_range=255
        )
        assert ssim(real, other) == pytest.approx(theirs, abs=2e-4)
        assert psnr(real, other) == pytest.approx(metrics.peak_signal_noise_ratio(real, other), abs=1e-3)


def test_different_sizes_are_refused() -> None:
    with pytest.raises(MetricError, match="cannot be compared"):
        psnr(picture(96), picture(64))
    with pytest.raises(MetricError, match="at least 11x11"):
        ssim(picture(8), picture(8))


def test_mean_is_not_swallowed_by_one_identical_frame() -> None:
    assert mean_db([20.0, float("inf")]) == pytest.approx(60.0)
    assert math.isnan(mean_db([]))


def test_flicker_is_zero_for_a_still_video_and_grows_with_noise() -> None:
    real = picture(64)
    random = np.random.default_rng(0)
    results = []
    for level in (0, 4, 12):
        flicker = Flicker()
        for _ in range(6):
            noise = random.normal(0, 1, real.shape) * level
            flicker.add(real, np.clip(real + noise, 0, 255).astype(np.uint8))
        results.append(flicker.result()["shown"])
        assert flicker.result()["real"] == 0.0
    assert results[0] == 0.0
    assert results[0] < results[1] < results[2]
    assert math.isnan(Flicker().result()["shown"])


def test_flicker_does_not_count_movement() -> None:
    flicker = Flicker()
    for step in (0, 9, 2, 14, 5):
        moving = np.zeros((64, 64, 3), np.uint8)
        moving[20:40, 10 + step : 30 + step] = 255
        flicker.add(moving, moving)
    assert flicker.result()["shown"] < 0.5


def test_plain_is_json() -> None:
    value = {"a": np.float32(1.5), "b": [np.int64(3), float("nan")], "c": ("x", float("inf"), True)}
    assert json.loads(json.dumps(plain(value))) == {"a": 1.5, "b": [3, None], "c": ["x", None, True]}
