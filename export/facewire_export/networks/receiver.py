"""The networks that make what is shown out of what was sent, and by which tasks they are trained apart."""

from __future__ import annotations

from torch import nn

from facewire_export.networks.animator import animator
from facewire_export.networks.restorer import Restorer
from facewire_export.networks.tiers import Tier
from facewire_export.networks.upscaler import Upscaler

PARTS = {
    "animator": ("keypoints", "pivot_encoder", "generator"),
    "restorer": ("restorer",),
    "upscaler": ("upscaler",),
}
"""Tasks, and which of the networks each trains."""


def receiver(tier: Tier) -> nn.ModuleDict:
    """All of them, untrained: what `receiver.best.pt` holds."""
    networks = animator(tier)
    networks["restorer"], networks["upscaler"] = Restorer(tier), Upscaler(tier)
    return networks
