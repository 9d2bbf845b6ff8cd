"""Where a face is. Values only, so that the crop's policy needs no network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FaceBox:
    """A face in pixels of the picture: left, top, width, height (brow to chin, not the hair), and a score in [0, 1]."""

    x: float
    y: float
    w: float
    h: float
    score: float

    @property
    def centre(self) -> tuple[float, float]:
        """x, y of the middle in pixels."""
        return self.x + self.w / 2, self.y + self.h / 2

    @property
    def side(self) -> float:
        """The longer side in pixels."""
        return max(self.w, self.h)


def overlap(one: FaceBox, other: FaceBox) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    wide = min(one.x + one.w, other.x + other.w) - max(one.x, other.x)
    high = min(one.y + one.h, other.y + other.h) - max(one.y, other.y)
    if wide <= 0 or high <= 0:
        return 0.0
    common = wide * high
    return common / (one.w * one.h + other.w * other.h - common)
