"""Widths of the networks by tier: `compact` for two CPU cores, `full` for GPUs. One code for both."""

from __future__ import annotations

from dataclasses import dataclass

CODED_SIZE = 256
"""Side of the coded crop in pixels."""
MOTION_SIZE = 64
"""Side of the grid on which motion is estimated."""
KEYPOINTS = 10
DETECTOR_SIZE = 128
"""Side of the picture that the keypoint detector sees."""
BACKGROUND_SIZE = 128


@dataclass(frozen=True)
class Tier:
    """Channel counts; all multiples of 16."""

    name: str
    detector: tuple[int, int, int, int]
    """At 1/2, 1/4, 1/8, 1/16 of the detector's picture."""
    motion: tuple[int, int, int, int]
    """At 64, 32, 16, 8 pixels."""
    pivot: tuple[int, int, int]
    """Pivot features at 128, 64, 32 pixels."""
    repair: tuple[int, int, int]
    """Repair network at 128, 64, 32 pixels."""
    repair_blocks: int
    """Residual blocks at 32 pixels."""
    restorer: tuple[int, int]
    """At 128 and 64 pixels."""
    restorer_blocks: int
    upscaler: int
    upscaler_blocks: int


TIERS = {
    "compact": Tier(
        "compact", (16, 32, 64, 96), (32, 48, 64, 96), (16, 48, 64), (32, 48, 96), 2, (32, 64), 4, 32, 1
    ),
    "full": Tier(
        "full", (32, 64, 128, 192), (64, 96, 160, 256), (48, 96, 160), (64, 128, 256), 6, (64, 128), 8, 64, 4
    ),
}
