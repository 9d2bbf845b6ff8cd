"""Trains the upscaler on patches of real 512x512 frames that were made small by random factors."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from facewire_export.networks.blocks import exact
from facewire_export.networks.tiers import Tier
from facewire_export.networks.upscaler import PATCH, Upscaler
from facewire_export.training.losses import PictureLoss, Scores, sheet
from facewire_export.training.pool import Pool

SIDE = 512
FACTORS = (1.6, 4.0)
"""Range of the enlargement; 2 is the default (256 shown at 512)."""
PATCHES = 4
"""Patches that are cut out of one picture."""


def degrade(picture: Tensor, factor: float) -> Tensor:
    """Small by area, then bicubic back to the size it had."""
    size = picture.shape[-2:]
    small = F.interpolate(picture, [max(8, round(s / factor)) for s in size], mode="area")
    return F.interpolate(small, list(size), mode="bicubic", align_corners=False).clamp(0, 1)


class UpscalerTask:
    """Implements `loop.Task`."""

    name = "upscaler"

    def __init__(self, tier: Tier, pool: Pool, held_out: Pool, loss: PictureLoss, batch: int) -> None:
        self.networks = nn.ModuleDict({"upscaler": Upscaler(tier)})
        self.pool, self.held_out, self.picture_loss = pool, held_out, loss
        self.pictures = max(1, batch // PATCHES)

    def _picture(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(enlarged, real) whole pictures [1, 3, 512, 512]."""
        clip = int(rng.integers(len(self.pool.clips)))
        real = self.pool.frames([(clip, int(rng.integers(len(self.pool.clips[clip].frames))))])
        # Half of them at the factor that is shown by default.
        return degrade(real, 2.0 if rng.random() < 0.5 else float(rng.uniform(*FACTORS))), real

    @exact
    def _draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(enlarged patches, real patches), [B, 3, PATCH, PATCH]."""
        both = []
        for _ in range(self.pictures):
            pair = torch.cat(self._picture(rng), 1)
            if rng.random() < 0.5:
                pair = pair.flip(3)
            for y, x in rng.integers(0, SIDE - PATCH + 1, (PATCHES, 2)):
                both.append(pair[:, :, y : y + PATCH, x : x + PATCH])
        patches = torch.cat(both)
        return patches[:, :3], patches[:, 3:]

    def loss(self, _step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Picture loss of the patches."""
        enlarged, real = self._draw(rng)
        return self.picture_loss(self.networks["upscaler"](enlarged), real)

    @torch.no_grad()
    def _enlarged(self, network: nn.Module) -> list[tuple[Tensor, Tensor, Tensor]]:
        """(bicubic, made, real) of the middle of held-out clips; the whole 512x512 frame is one patch here."""
        found = []
        for clip, entry in enumerate(self.held_out.clips):
            real = self.held_out.frames([(clip, len(entry.frames) // 2)])
            bicubic = degrade(real, 2.0)
            found.append((bicubic, network(bicubic).clamp(0, 1), real))
        return found

    def sheet(self, networks: nn.ModuleDict) -> NDArray[np.uint8]:
        """Rows of bicubic | made | real, centres enlarged."""
        keep = slice(128, 384)
        made = self._enlarged(networks["upscaler"])[:6]
        return sheet([[part[0, :, keep, keep] for part in parts] for parts in made])

    @torch.no_grad()
    def score(self, networks: nn.ModuleDict) -> dict[str, float]:
        """LPIPS and PSNR at 512x512, beside bicubic enlargement."""
        scores = Scores(self.picture_loss)
        for bicubic, made, real in self._enlarged(networks["upscaler"]):
            scores.add("made", made, real)
            scores.add("bicubic", bicubic, real)
        return scores.means()
