"""Restorer: takes the marks of the intra coder off a decoded pivot. Runs once for each pivot, never for a frame.

A pivot of 4 kB is animated for minutes, so what a coder did to it is seen in every frame.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facewire_export.networks.blocks import Residual, conv, to_blocks, upsample
from facewire_export.networks.tiers import Tier

LARGE_PATCH = 192
"""Side of what the restorer of large pivots sees at once: 30 ms of one x86 core."""


class Restorer(nn.Module):
    """A U-net over blocks of 2x2 pixels that adds what it believes was lost."""

    def __init__(self, tier: Tier) -> None:
        super().__init__()
        a, b = tier.restorer
        self.enter = nn.Sequential(conv(12, a), nn.ReLU(inplace=True), conv(a, a))
        self.down = conv(a, b, stride=2)
        self.deep = nn.Sequential(*[Residual(b) for _ in range(tier.restorer_blocks)])
        self.up = nn.Conv2d(b, a, 1)
        self.join = conv(2 * a, a)
        self.block = Residual(a)
        self.leave = conv(a, 12)
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def forward(self, pivot: Tensor) -> Tensor:
        """Decoded pivot [B, 3, H, W] in [0, 1], H and W multiples of 4 -> the same, restored, unclamped."""
        fine = self.enter(to_blocks(pivot - 0.5, 2))
        deep = self.deep(self.down(F.relu(fine)))
        x = self.join(torch.cat([F.relu(fine), upsample(self.up(F.relu(deep)))], 1))
        return pivot + F.pixel_shuffle(self.leave(F.relu(self.block(x))), 2)
