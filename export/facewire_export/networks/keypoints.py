"""Keypoint detector: picture -> ten points, the centres of mass of heat maps (FOMM, Siarohin et al. 2019, 3.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facewire_export.networks.blocks import ConvNorm, exact, identity_grid, upsample
from facewire_export.networks.tiers import KEYPOINTS, Tier


@exact
def centres(heat: Tensor) -> Tensor:
    """Centres of mass of heat maps [B, K, h, w] after a softmax: [B, K, 2]."""
    height, width = int(heat.shape[-2]), int(heat.shape[-1])
    weights = F.softmax(heat.flatten(2).float() * 2.0, dim=2)
    places = identity_grid(height, width, heat).flatten(2).transpose(1, 2)
    # A little beyond the heat map: a chin leaving the crop stays reachable.
    return weights @ places * 1.1


class KeypointDetector(nn.Module):
    """An hourglass over a 128x128 picture with heat maps of 32x32."""

    def __init__(self, tier: Tier) -> None:
        super().__init__()
        a, b, c, d = tier.detector
        self.stem = nn.Sequential(ConvNorm(3, a, 2), ConvNorm(a, b, 2), ConvNorm(b, b))
        self.down1 = nn.Sequential(ConvNorm(b, c, 2), ConvNorm(c, c))
        self.down2 = nn.Sequential(ConvNorm(c, d, 2), ConvNorm(d, d))
        self.bottom = nn.Sequential(ConvNorm(d, d, 2), ConvNorm(d, d))
        self.up2 = ConvNorm(d + d, d)
        self.up1 = ConvNorm(d + c, c)
        self.up0 = ConvNorm(c + b, b)
        self.head = nn.Conv2d(b, KEYPOINTS, 3, 1, 1)

    def features(self, picture: Tensor) -> Tensor:
        """picture [B, 3, 128, 128] in [0, 1] -> [B, C, 32, 32], what heat maps are read from."""
        s0 = self.stem(picture - 0.5)
        s1 = self.down1(s0)
        s2 = self.down2(s1)
        x = self.up2(torch.cat([upsample(self.bottom(s2)), s2], 1))
        x = self.up1(torch.cat([upsample(x), s1], 1))
        found: Tensor = self.up0(torch.cat([upsample(x), s0], 1))
        return found

    def forward(self, picture: Tensor) -> Tensor:
        """picture [B, 3, 128, 128] in [0, 1] -> keypoints [B, 10, 2], x and y in [-1, 1]."""
        return centres(self.head(self.features(picture)))
