"""Background embedding: a small student of a large network's features; its distance tells when the room has changed."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from facewire_export.networks.blocks import ConvNorm

EMBEDDING = 64


class Background(nn.Module):
    """Picture [B, 3, 128, 128], the person replaced by mid grey -> unit vector [B, 64]."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 64, 96, 128)
        layers: list[nn.Module] = []
        for inputs, outputs in zip((3, *widths), widths, strict=False):
            layers.append(ConvNorm(inputs, outputs, 2))
        self.features = nn.Sequential(*layers)
        self.leave = nn.Linear(widths[-1], EMBEDDING)

    def forward(self, picture: Tensor) -> Tensor:
        """Unit vectors; distance = 1 - cosine."""
        x = self.features(picture - 0.5).mean((2, 3))
        return F.normalize(self.leave(x), dim=1)
