"""What the receiver makes of a coded pivot and a driving frame, by networks that were trained before: the pictures that
the upscaler will really see.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facewire_export.dataset import DatasetError
from facewire_export.networks.animator import animator
from facewire_export.networks.restorer import Restorer
from facewire_export.networks.tiers import Tier


class Reconstruction(nn.Module):
    """Restorer, keypoint detector, pivot encoder and generator with the weights in `folder` (`<task>.pt`)."""

    def __init__(self, tier: Tier, folder: Path) -> None:
        super().__init__()
        self.restorer = Restorer(tier)
        self.animator = animator(tier)
        for task, module in (("animator", self.animator), ("restorer", nn.ModuleDict({"restorer": self.restorer}))):
            path = folder / f"{task}.pt"
            if not path.is_file():
                raise DatasetError(f"{path}: not there; give a folder that `facewire-export onnx` wrote")
            module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["average"])
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, coded: Tensor, driving: Tensor) -> Tensor:
        """Decoded pivots and driving frames [B, 3, 256, 256] in [0, 1] -> reconstructions, the same shape."""
        pivot = self.restorer(coded).clamp(0, 1)
        still, moved = self.animator["keypoints"](F.avg_pool2d(torch.cat([pivot, driving]), 2)).chunk(2)
        features = self.animator["pivot_encoder"](pivot)
        picture: Tensor = self.animator["generator"](pivot, features, still, moved)[0]
        return picture.float().clamp(0, 1)
