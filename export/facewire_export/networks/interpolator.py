"""Interpolator: the frame in the middle of two.

Two flows and a blend are estimated at 64x64; detail is added by a pixel shuffle.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facewire_export.networks.blocks import Residual, conv, identity_grid, sample, upsample
from facewire_export.networks.tiers import Tier

REACH = 0.2
"""Largest displacement, in half pictures."""


class Interpolator(nn.Module):
    """(previous, next) -> middle, all [B, 3, 256, 256] in [0, 1]."""

    def __init__(self, tier: Tier) -> None:
        super().__init__()
        c = tier.interpolator
        self.stem = conv(96, c)
        self.down = conv(c, 2 * c, stride=2)
        self.deep = nn.Sequential(Residual(2 * c), Residual(2 * c))
        self.up = nn.Conv2d(2 * c, c, 1)
        self.block = Residual(c)
        self.head = conv(c, 16)
        self.detail = conv(c + 48, 48)
        for layer in (self.head, self.detail):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def flows(self, previous: Tensor, following: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Where each place of the middle frame lies in the previous and in the next one, as displacements
        [B, 2, 64, 64] in half pictures; the previous frame's share [B, 1, 64, 64] before a sigmoid; features."""
        pair = torch.cat([previous - 0.5, following - 0.5], 1)
        x = self.stem(F.pixel_unshuffle(pair, 4))
        x = x + upsample(self.up(self.deep(self.down(F.relu(x)))))
        x = F.relu(self.block(x))
        out = self.head(x).float()
        return REACH * torch.tanh(out[:, :2]), REACH * torch.tanh(out[:, 2:4]), out[:, 4:5], x

    def blend(self, previous: Tensor, following: Tensor, flows: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        """The middle frame that the flows make, with its detail."""
        back, forth, share, x = flows
        grid = identity_grid(int(previous.shape[2]), int(previous.shape[3]), previous)
        keep = torch.sigmoid(upsample(share, 4)).to(previous.dtype)
        middle = sample(previous, grid + upsample(back, 4)) * keep
        middle = middle + sample(following, grid + upsample(forth, 4)) * (1 - keep)
        detail = self.detail(torch.cat([x, F.pixel_unshuffle(middle - 0.5, 4)], 1))
        return middle + F.pixel_shuffle(detail, 4)

    def forward(self, previous: Tensor, following: Tensor) -> Tensor:
        """Middle frame, unclamped."""
        return self.blend(previous, following, self.flows(previous, following))
