"""Upscaler: a bicubically enlarged patch -> the same patch, sharp (BMVC 2022, patch-wise super-resolution)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from facewire_export.networks.blocks import Residual, conv, to_blocks
from facewire_export.networks.tiers import Tier

PATCH = 136
"""Side of a patch: 512 is four of them with 10 pixels of overlap, more than the seams need."""


class Upscaler(nn.Module):
    """Works on 4x4 blocks of pixels: cheap, and wide enough to see what bicubic enlargement smeared."""

    def __init__(self, tier: Tier) -> None:
        super().__init__()
        c = tier.upscaler
        self.enter = conv(48, c)
        self.blocks = nn.Sequential(*[Residual(c) for _ in range(tier.upscaler_blocks)])
        self.leave = conv(c, 48)
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def forward(self, patch: Tensor) -> Tensor:
        """patch [N, 3, P, P] in [0, 1], P a multiple of 4 -> [N, 3, P, P], unclamped."""
        x = self.enter(to_blocks(patch - 0.5, 4))
        x = self.leave(F.relu(self.blocks(x)))
        return patch + F.pixel_shuffle(x, 4)
