"""Trains the interpolator on triplets of real frames, neighbours and next but one."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from facewire_export.lpips import Lpips
from facewire_export.networks.blocks import exact
from facewire_export.networks.interpolator import Interpolator
from facewire_export.networks.tiers import Tier
from facewire_export.perceptual import PyramidLoss
from facewire_export.training import augment
from facewire_export.training.pool import Pool

GAPS = (1, 2)
"""Frames on either side: 1 is what skip 1 asks for, 2 the first step of skip 3."""


class InterpolatorTask:
    """Implements `loop.Task`."""

    name = "interpolator"

    def __init__(
        self, tier: Tier, pool: Pool, held_out: Pool, lpips: Lpips, pyramid: PyramidLoss, batch: int
    ) -> None:
        self.networks = nn.ModuleDict({"interpolator": Interpolator(tier)})
        self.pool, self.held_out, self.batch = pool, held_out, batch
        self.lpips, self.pyramid = lpips, pyramid

    @exact
    def _draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        triplets: list[tuple[int, int, int]] = []
        while len(triplets) < self.batch:
            clip, gap = int(rng.integers(len(self.pool.clips))), int(rng.choice(GAPS))
            length = len(self.pool.clips[clip].frames)
            if length > 2 * gap:
                triplets.append((clip, int(rng.integers(gap, length - gap)), gap))
        if rng.random() < 0.5:
            triplets = [(c, f, -g) for c, f, g in triplets]
        frames = self.pool.frames([(c, f + side * g) for side in (-1, 0, 1) for c, f, g in triplets])
        device = self.pool.device
        matrix, offset = augment.colour_maps(rng, self.batch, device)
        frames = augment.recolour(frames, (matrix.repeat(3, 1, 1), offset.repeat(3, 1)))
        if rng.random() < 0.5:
            frames = frames.flip(3)
        # Small shifts of one neighbour's brightness: pivots change and generated frames shimmer a little.
        previous, middle, following = frames.chunk(3)
        return previous, middle, following

    def loss(self, step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Colour, perceptual pyramid and LPIPS of the middle frame."""
        previous, middle, following = self._draw(rng)
        fake = self.networks["interpolator"](previous, following).float()
        colour = F.l1_loss(fake, middle)
        perceptual = self.pyramid(fake, middle)
        distance = self.lpips(fake * 2 - 1, middle * 2 - 1).mean()
        total = 8 * colour + perceptual + 2 * distance
        return total, {"colour": colour.item(), "perceptual": perceptual.item(), "lpips": distance.item()}

    @torch.no_grad()
    def _triplets(self, network: nn.Module) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """(previous, real middle, next, made middle) of held-out clips, two frames apart."""
        found = []
        for clip, entry in enumerate(self.held_out.clips):
            centre = len(entry.frames) // 2
            frames = self.held_out.frames([(clip, centre - 2), (clip, centre), (clip, centre + 2)])
            previous, real, following = frames.chunk(3)
            found.append((previous, real, following, network(previous, following).clamp(0, 1)))
        return found

    def sheet(self, networks: nn.ModuleDict) -> NDArray[np.uint8]:
        """Rows of previous | real | made | next."""
        made = self._triplets(networks["interpolator"])[:6]
        rows = [torch.cat([p[0], r[0], m[0], n[0]], 2) for p, r, n, m in made]
        return np.asarray(torch.cat(rows, 1).permute(1, 2, 0).mul(255).round().byte().cpu().numpy())

    @torch.no_grad()
    def score(self, networks: nn.ModuleDict) -> dict[str, float]:
        """LPIPS and PSNR of middle frames, beside the mean of their neighbours and the previous frame held."""
        sums: dict[str, list[float]] = {}
        for previous, real, following, made in self._triplets(networks["interpolator"]):
            for name, picture in (("made", made), ("mean", (previous + following) / 2), ("held", previous)):
                sums.setdefault(f"lpips_{name}", []).append(self.lpips(picture * 2 - 1, real * 2 - 1).mean().item())
                sums.setdefault(f"psnr_{name}", []).append(
                    -10 * float(np.log10(F.mse_loss(picture, real).item() + 1e-10))
                )
        return {name: round(float(np.mean(values)), 4) for name, values in sums.items()}
