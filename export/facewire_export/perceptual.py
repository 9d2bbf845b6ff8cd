"""Perceptual pyramid loss on a slim VGG-19 (Johnson et al. 2016; FOMM, section 3.4). LPIPS is in lpips.py.

Weights are read from a folder and never shipped. Inputs are RGB [B, 3, H, W] in [0, 1].
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SlimVgg(nn.Module):
    """VGG-19 slimmed 16x (Collaborative Distillation, Wang et al. 2020): relu1_1 ... relu5_1."""

    STAGES = (("11",), ("12", "21"), ("22", "31"), ("32", "33", "34", "41"), ("42", "43", "44", "51"))

    def __init__(self, weights: Path) -> None:
        super().__init__()
        state = torch.load(weights / "vgg19_slim_r51.pth", map_location="cpu", weights_only=True)
        self.names = ["0", *[n for stage in self.STAGES for n in stage]]
        for name in self.names:
            self.register_buffer(f"w{name}", state[f"conv{name}.weight"])
            self.register_buffer(f"b{name}", state[f"conv{name}.bias"])

    def _conv(self, x: Tensor, name: str) -> Tensor:
        weight = self.get_buffer(f"w{name}")
        return F.conv2d(x, weight, self.get_buffer(f"b{name}"), padding=weight.shape[-1] // 2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Five feature maps."""
        x = self._conv(x, "0")
        found = []
        for level, stage in enumerate(self.STAGES):
            for i, name in enumerate(stage):
                if level and i == len(stage) - 1:
                    x = F.max_pool2d(x, 2)
                x = F.relu(self._conv(x, name))
            found.append(x)
        return found


class PyramidLoss(nn.Module):
    """L1 between VGG features at several scales, each level divided by the real picture's mean activity."""

    def __init__(self, weights: Path, scales: int = 2) -> None:
        super().__init__()
        self.vgg = SlimVgg(weights).eval().requires_grad_(False)
        self.scales = scales

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Mean over levels and scales; about 1 for unrelated pictures."""
        total = fake.new_zeros(())
        for scale in range(self.scales):
            if scale:
                fake, real = F.avg_pool2d(fake, 2), F.avg_pool2d(real, 2)
            with torch.no_grad():
                wanted = self.vgg(real)
            for f, r in zip(self.vgg(fake), wanted, strict=True):
                total = total + (f - r).abs().mean() / (r.abs().mean() + 1e-3)
        return total / (5 * self.scales)
