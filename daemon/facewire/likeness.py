"""How unlike two pictures are: 0 for the same picture, towards 1 for nothing in common. No network is asked.

`unlike` compares structure (SSIM of Wang et al., IEEE TIP 13(4), 2004, on grey levels at two scales), as one would
score a reconstruction against the real frame. `apart` guesses the same without reconstructing anything: it lays a
pivot's thumbnail over the frame's by what the keypoints say the head did, and looks at what does not fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.types import Picture, Points

SIDES = (128, 64)
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
THUMB = 48


def unlike(one: Picture, other: Picture) -> float:
    """1 - SSIM of two pictures of one size, mean of two scales."""
    scores = []
    for side in SIDES:
        scores.append(_ssim(_grey(one, side), _grey(other, side)))
    return 1.0 - sum(scores) / len(scores)


def _grey(picture: Picture, side: int) -> NDArray[np.float32]:
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32)


def _ssim(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    def blurred(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.GaussianBlur(x, (0, 0), 1.5), np.float32)

    mean_a, mean_b = blurred(a), blurred(b)
    var_a, var_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
    both = blurred(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + _C1) * (2 * both + _C2)
    return float((top / ((mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2))).mean())


@dataclass(frozen=True)
class Look:
    """What is kept of a coded picture: thumb float32 [THUMB, THUMB, 3] in 0..1, keypoints float32 [10, 2]."""

    thumb: NDArray[np.float32]
    points: Points


def look(picture: Picture, points: Points) -> Look:
    """The look of a coded picture whose keypoints are known."""
    small = cv2.resize(picture, (THUMB, THUMB), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    return Look(small, np.asarray(points, np.float32))


def apart(pivot: Look, now: Look) -> float:
    """Mean difference (of 1.0) of what is seen now and the pivot laid over it by a similarity of the keypoints."""
    turn = _similarity(pivot.points, now.points)
    # From [-1, 1] to pixels and back: p' = A p + t in units becomes A (x - c) + c + t * half in pixels.
    half = THUMB / 2
    centre = half - 0.5
    matrix = np.empty((2, 3))
    matrix[:, :2] = turn[:, :2]
    matrix[:, 2] = centre + half * turn[:, 2] - turn[:, :2] @ (centre, centre)
    laid = cv2.warpAffine(pivot.thumb, matrix, (THUMB, THUMB), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # The background does not move with the head: each place may be explained by either.
    return float(np.minimum(np.abs(laid - now.thumb), np.abs(pivot.thumb - now.thumb)).mean())


def _similarity(source: Points, target: Points) -> NDArray[np.float64]:
    """Rotation, scale (0.5 to 2) and shift [2, 3] that take `source` to `target` best (Umeyama, PAMI 13(4), 1991)."""
    a, b = source.astype(np.float64), target.astype(np.float64)
    mean_a, mean_b = a.mean(0), b.mean(0)
    a, b = a - mean_a, b - mean_b
    spread = float((a * a).sum())
    along = float((a * b).sum()) / spread if spread > 1e-9 else 1.0
    across = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / spread if spread > 1e-9 else 0.0
    scale = float(np.hypot(along, across))
    limited = float(np.clip(scale, 0.5, 2.0)) / max(scale, 1e-9)
    turn = np.array(((along, -across), (across, along))) * limited
    return np.concatenate([turn, (mean_b - turn @ mean_a)[:, None]], 1)
