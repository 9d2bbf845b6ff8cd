"""The three networks that are trained together, by the names of their weights."""

from __future__ import annotations

from torch import nn

from facewire_export.networks.generator import Generator, PivotEncoder
from facewire_export.networks.keypoints import KeypointDetector
from facewire_export.networks.tiers import Tier


def animator(tier: Tier) -> nn.ModuleDict:
    """Keypoint detector, pivot encoder and generator of a tier, untrained: what `animator.pt` holds."""
    return nn.ModuleDict(
        {"keypoints": KeypointDetector(tier), "pivot_encoder": PivotEncoder(tier), "generator": Generator(tier)}
    )
