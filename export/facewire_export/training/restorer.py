"""Trains the restorer on frames that went through the real pivot coder at every size a profile allows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facewire_export.networks.blocks import exact
from facewire_export.networks.restorer import Restorer
from facewire_export.networks.tiers import CODED_SIZE, Tier
from facewire_export.training.losses import PictureLoss, Scores, sheet
from facewire_export.training.pool import Pool

WINDOW = 128


class RestorerTask:
    """Implements `loop.Task`. The pools' frames come in pairs: see `dataset.as_pivots`."""

    name = "restorer"

    def __init__(self, tier: Tier, pool: Pool, held_out: Pool, loss: PictureLoss, batch: int) -> None:
        self.networks = nn.ModuleDict({"restorer": Restorer(tier)})
        self.pool, self.held_out, self.picture_loss, self.batch = pool, held_out, loss, batch

    @exact
    def _draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(coded, real) windows [B, 3, WINDOW, WINDOW]."""
        chosen = []
        for _ in range(self.batch):
            clip = int(rng.integers(len(self.pool.clips)))
            chosen.append((clip, int(rng.integers(len(self.pool.clips[clip].frames)))))
        corners = rng.integers(0, (CODED_SIZE - WINDOW) // 8 + 1, (self.batch, 2)) * 8
        both = torch.cat([self.pool.coded(chosen), self.pool.frames(chosen)], 1)
        cut = [p[:, y : y + WINDOW, x : x + WINDOW] for p, (y, x) in zip(both, corners, strict=True)]
        windows = torch.stack([p.flip(2) if rng.random() < 0.5 else p for p in cut])
        return windows[:, :3], windows[:, 3:]

    def loss(self, _step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Picture loss of the windows."""
        coded, real = self._draw(rng)
        return self.picture_loss(self.networks["restorer"](coded), real)

    @torch.no_grad()
    def _restored(self, network: nn.Module) -> list[tuple[Tensor, Tensor, Tensor]]:
        """(coded, restored, real) of the first frame of each held-out clip, which is a narrow profile's pivot."""
        found = []
        for clip in range(len(self.held_out.clips)):
            coded, real = self.held_out.coded([(clip, 0)]), self.held_out.frames([(clip, 0)])
            found.append((coded, network(coded).clamp(0, 1), real))
        return found

    def sheet(self, networks: nn.ModuleDict) -> NDArray[np.uint8]:
        """Rows of coded | restored | real."""
        return sheet([[part[0] for part in parts] for parts in self._restored(networks["restorer"])[:8]])

    @torch.no_grad()
    def score(self, networks: nn.ModuleDict) -> dict[str, float]:
        """LPIPS and PSNR at 256, beside the decoded pivot as it is."""
        scores = Scores(self.picture_loss)
        for coded, restored, real in self._restored(networks["restorer"]):
            scores.add("restored", restored, real)
            scores.add("coded", coded, real)
        return scores.means()
