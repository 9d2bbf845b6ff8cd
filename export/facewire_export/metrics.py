"""How far a shown picture is from the real one: PSNR, SSIM, LPIPS, flicker.

Pictures are uint8 [height, width, 3] RGB of equal shape. LPIPS needs torch and weights that are not part of this
project (see lpips.py); the others are plain numpy and OpenCV.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.errors import FacewireError

Picture = NDArray[np.uint8]

PEAK = 255.0
PERFECT_DB = 100.0
"""What an infinite PSNR counts as in a mean, so that one identical frame does not swallow the others."""


class MetricError(FacewireError):
    """Pictures that cannot be compared, or weights that are missing; the message says how to mend it."""


def _check(real: Picture, shown: Picture) -> None:
    if real.shape != shown.shape:
        raise MetricError(f"pictures of {real.shape} and {shown.shape} cannot be compared; resize one first")


def psnr(real: Picture, shown: Picture) -> float:
    """Peak signal-to-noise ratio in dB over all pixels of all three channels; infinity for identical pictures."""
    _check(real, shown)
    error = cv2.norm(real, shown, cv2.NORM_L2SQR) / real.size
    return float("inf") if error == 0.0 else float(10.0 * np.log10(PEAK * PEAK / error))


def ssim(real: Picture, shown: Picture) -> float:
    """Structural similarity, mean over the three channels; 1 for identical pictures.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 2004:
    Gaussian window of 11x11 with sigma 1.5, K1 = 0.01, K2 = 0.03, windows that reach over the edge left out.
    """
    _check(real, shown)
    if min(real.shape[:2]) < 11:
        raise MetricError(f"SSIM needs pictures of at least 11x11, these are {real.shape[1]}x{real.shape[0]}")
    channels = range(real.shape[2])
    return float(np.mean([_ssim(real[..., c].astype(np.float32), shown[..., c].astype(np.float32)) for c in channels]))


def _ssim(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Of one channel: what lies in the cache is worked on twice as fast."""

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5)[5:-5, 5:-5], np.float32)

    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    mean_1, mean_2 = mean(first), mean(second)
    variance_1 = mean(first * first) - mean_1 * mean_1
    variance_2 = mean(second * second) - mean_2 * mean_2
    covariance = mean(first * second) - mean_1 * mean_2
    above = (2 * mean_1 * mean_2 + c1) * (2 * covariance + c2)
    below = (mean_1 * mean_1 + mean_2 * mean_2 + c1) * (variance_1 + variance_2 + c2)
    return float(np.mean(above / below, dtype=np.float64))


def mean_db(values: list[float]) -> float:
    """Mean of PSNR values, each counted as PERFECT_DB at most."""
    return float(np.mean([min(v, PERFECT_DB) for v in values])) if values else float("nan")


class Flicker:
    """Mean absolute second temporal difference over a video's still parts, in grey levels (0-255).

    Still is where the *real* video differs from neither neighbour by `still_level` or more, so that movement is not
    counted as flicker (a cheek that moves evenly has no second difference either); both videos are judged on the same
    pixels.
    """

    def __init__(self, still_level: float = 6.0) -> None:
        self.still_level = still_level
        self._real: list[NDArray[np.float32]] = []
        self._shown: list[NDArray[np.float32]] = []
        self._sums = [0.0, 0.0]
        self._frames = 0

    @staticmethod
    def _grey(picture: Picture) -> NDArray[np.float32]:
        small = cv2.resize(picture, (picture.shape[1] // 2, picture.shape[0] // 2), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32)

    def add(self, real: Picture, shown: Picture) -> None:
        """Take the next frame of both videos."""
        _check(real, shown)
        self._real = [*self._real[-2:], self._grey(real)]
        self._shown = [*self._shown[-2:], self._grey(shown)]
        if len(self._real) < 3:
            return
        second_real = np.abs(self._real[0] - 2 * self._real[1] + self._real[2])
        second_shown = np.abs(self._shown[0] - 2 * self._shown[1] + self._shown[2])
        steps = [np.abs(after - before) for before, after in pairwise(self._real)]
        still = np.maximum(*steps) < self.still_level
        if still.any():
            self._sums[0] += float(second_real[still].mean())
            self._sums[1] += float(second_shown[still].mean())
            self._frames += 1

    def cut(self) -> None:
        """The next frame does not follow the last one."""
        self._real, self._shown = [], []

    def result(self) -> dict[str, float]:
        """`real` and `shown` in grey levels; NaN under three frames."""
        if not self._frames:
            return {"real": float("nan"), "shown": float("nan")}
        return {"real": self._sums[0] / self._frames, "shown": self._sums[1] / self._frames}


def plain(value: Any) -> Any:
    """A JSON-ready copy: numpy numbers become Python's, NaN and infinity become None, floats keep 5 digits."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 5) if np.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value
