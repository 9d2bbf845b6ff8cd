"""Trains the restorer on frames that went through the real pivot coder at every size a profile allows.

What it makes is judged where it is seen, enlarged to 512x512: there the coder's marks cost three times the LPIPS that
they cost at 256x256.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from facewire_export.networks.blocks import exact
from facewire_export.networks.restorer import Restorer
from facewire_export.networks.tiers import CODED_SIZE, Tier
from facewire_export.training.losses import PictureLoss, Scores, sheet
from facewire_export.training.pool import Pool

WINDOW = 96
"""Side of the training window in coded pixels."""
SCALE = 2
"""From coded to shown pixels."""


def enlarged(pictures: Tensor) -> Tensor:
    """Coded pictures at the shown size, bicubic."""
    return F.interpolate(pictures.float(), scale_factor=float(SCALE), mode="bicubic", align_corners=False)


class RestorerTask:
    """Implements `loop.Task`. The pools' frames come in pairs: see `dataset.as_pivots`."""

    name = "restorer"

    def __init__(self, tier: Tier, pool: Pool, held_out: Pool, loss: PictureLoss, batch: int) -> None:
        self.networks = nn.ModuleDict({"restorer": Restorer(tier)})
        self.pool, self.held_out, self.picture_loss, self.batch = pool, held_out, loss, batch

    @exact
    def _draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Windows: coded [B, 3, WINDOW, WINDOW] and real ones at twice the size."""
        chosen = []
        for _ in range(self.batch):
            clip = int(rng.integers(len(self.pool.clips)))
            chosen.append((clip, int(rng.integers(len(self.pool.clips[clip].frames)))))
        corners = rng.integers(0, (CODED_SIZE - WINDOW) // 8 + 1, (self.batch, 2)) * 8

        def windows(pictures: Tensor, scale: int) -> Tensor:
            side = scale * WINDOW
            places = scale * corners
            cut = [p[:, y : y + side, x : x + side] for p, (y, x) in zip(pictures, places, strict=True)]
            return torch.stack([p.flip(2) if mirror else p for p, mirror in zip(cut, mirrored, strict=True)])

        mirrored = rng.random(self.batch) < 0.5
        return windows(self.pool.coded(chosen), 1), windows(self.pool.frames(chosen), SCALE)

    def loss(self, _step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Picture loss of the windows."""
        coded, real = self._draw(rng)
        return self.picture_loss(enlarged(self.networks["restorer"](coded)), real)

    @torch.no_grad()
    def _restored(self, network: nn.Module) -> list[tuple[Tensor, Tensor, Tensor]]:
        """(coded, restored, real) of the first frame of each held-out clip, which is a narrow profile's pivot."""
        found = []
        for clip in range(len(self.held_out.clips)):
            coded, real = self.held_out.coded([(clip, 0)]), self.held_out.frames([(clip, 0)])
            found.append((enlarged(coded).clamp(0, 1), enlarged(network(coded)).clamp(0, 1), real))
        return found

    def sheet(self, networks: nn.ModuleDict) -> NDArray[np.uint8]:
        """Rows of coded | restored | real, centres."""
        centre = slice(128, 384)
        made = self._restored(networks["restorer"])[:8]
        return sheet([[part[0, :, centre, centre] for part in parts] for parts in made])

    @torch.no_grad()
    def score(self, networks: nn.ModuleDict) -> dict[str, float]:
        """LPIPS and PSNR at 512, beside the decoded pivot as it is."""
        scores = Scores(self.picture_loss)
        for coded, restored, real in self._restored(networks["restorer"]):
            scores.add("restored", restored, real)
            scores.add("coded", coded, real)
        return scores.means()
