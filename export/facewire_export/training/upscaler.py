"""Trains the upscaler on patches of 512x512 frames, made small by random factors and enlarged again."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from facewire_export.networks.tiers import Tier
from facewire_export.networks.upscaler import PATCH, Upscaler
from facewire_export.training.losses import PictureLoss, Scores, sheet
from facewire_export.training.pool import Pool

FACTORS = (1.6, 4.0)
"""Range of the enlargement; 2 is the default (256 shown at 512)."""
MARGIN = 16


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
        self.pool, self.held_out, self.picture_loss, self.batch = pool, held_out, loss, batch

    def _draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(enlarged patches, real patches), [B, 3, PATCH, PATCH]."""
        side = PATCH + 2 * MARGIN
        real, enlarged = [], []
        for _ in range(self.batch):
            clip = int(rng.integers(len(self.pool.clips)))
            frame = int(rng.integers(len(self.pool.clips[clip].frames)))
            y, x = rng.integers(0, 512 - side, 2)
            whole = self.pool.frames([(clip, frame)])[:, :, y : y + side, x : x + side]
            if rng.random() < 0.5:
                whole = whole.flip(3)
            # Half of all patches at the factor that is shown by default.
            factor = 2.0 if rng.random() < 0.5 else float(rng.uniform(*FACTORS))
            keep = slice(MARGIN, MARGIN + PATCH)
            real.append(whole[:, :, keep, keep])
            enlarged.append(degrade(whole, factor)[:, :, keep, keep])
        return torch.cat(enlarged), torch.cat(real)

    def loss(self, _step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Picture loss of the patches."""
        enlarged, real = self._draw(rng)
        return self.picture_loss(self.networks["upscaler"](enlarged), real)

    @torch.no_grad()
    def _enlarged(self, network: nn.Module) -> list[tuple[Tensor, Tensor, Tensor]]:
        """(bicubic, made, real) faces of held-out clips; the whole 512x512 frame is one patch here."""
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
