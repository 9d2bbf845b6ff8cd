"""Distils the background embedding from VGG features of pictures whose person is masked.

The paper embeds the masked background by VGG-19. The teacher here is the slim VGG's relu3_1 and relu4_1, averaged over
the picture and standardised (without that every two pictures are alike to a thousandth); of the layers tried these tell
rooms apart best (ROC area 0.90 against 0.82 for relu5_1). The student sees each picture shifted and recoloured and
learns the teacher's cosines between the clean ones, so it ignores what does not change a room. Cosines are moved up to
(c + 3) / 4: a distance of 0.05, the paper's threshold, is then 0.2 of the teacher's. Masks are a head and shoulders
drawn at random: crude on purpose, so that the student does not lean on a mask's edge.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from facewire_export.networks.background import Background
from facewire_export.networks.blocks import exact, identity_grid
from facewire_export.networks.tiers import BACKGROUND_SIZE
from facewire_export.perceptual import SlimVgg
from facewire_export.training import augment
from facewire_export.training.losses import sheet
from facewire_export.training.pool import Pool


def person_shape(rng: np.random.Generator, count: int, device: torch.device) -> Tensor:
    """Random head and shoulders [B, 1, 128, 128]: 1 where the person is."""
    grid = identity_grid(BACKGROUND_SIZE, BACKGROUND_SIZE, torch.zeros(1, device=device))
    x, y = grid[:, :1], grid[:, 1:]

    def draw(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (count, 1, 1, 1)).astype(np.float32)).to(device)

    cx, cy = draw(-0.15, 0.15), draw(-0.25, 0.1)
    head = ((x - cx) / draw(0.38, 0.6)) ** 2 + ((y - cy) / draw(0.5, 0.75)) ** 2 < 1
    body = ((x - cx) / draw(0.7, 1.1)) ** 2 + ((y - 1.2) / draw(0.5, 0.8)) ** 2 < 1
    return (head | body).float()


class BackgroundTask:
    """Implements `loop.Task`."""

    name = "background"

    def __init__(self, pool: Pool, held_out: Pool, weights: Path, batch: int) -> None:
        self.networks = nn.ModuleDict({"background": Background()})
        self.teacher = SlimVgg(weights).eval().requires_grad_(False).to(pool.device)
        self.pool, self.held_out, self.batch = pool, held_out, batch

        raw = torch.cat([self._features(*self._rooms(pool, np.random.default_rng([7, n]))) for n in range(4)])
        self.mean, self.deviation = raw.mean(0), raw.std(0).clamp_min(1e-4)

    def _rooms(self, pool: Pool, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """One clean picture of each of batch / 2 rooms [B/2, 3, 128, 128], and a mask for each."""
        clips = rng.integers(len(pool.clips), size=self.batch // 2)
        chosen = [(int(c), int(rng.integers(len(pool.clips[c].frames)))) for c in clips]
        pictures = F.interpolate(pool.frames(chosen), [BACKGROUND_SIZE] * 2, mode="area")
        return pictures, person_shape(rng, len(chosen), pool.device)

    def _features(self, pictures: Tensor, mask: Tensor) -> Tensor:
        found = self.teacher(pictures * (1 - mask) + 0.5 * mask)
        return torch.cat([f.mean((2, 3)) for f in found[2:4]], 1)

    @exact
    @torch.no_grad()
    def _draw(self, pool: Pool, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(masked pictures [B, 3, 128, 128], the teacher's unit vectors [B, E]); 2i and 2i + 1 show the same room."""
        clean, mask = self._rooms(pool, rng)
        wanted = F.normalize((self._features(clean, mask) - self.mean) / self.deviation, dim=1)
        pictures = clean.repeat_interleave(2, 0)
        count = len(pictures)
        pictures = augment.move_pictures(pictures, augment.affine(rng, count, pool.device, 0.3))
        matrix, offset = augment.colour_maps(rng, count, pool.device)
        changed = torch.from_numpy(rng.random((count, 1, 1, 1)) < 0.5).to(pool.device)
        pictures = torch.where(changed, augment.recolour(pictures, (matrix, offset)), pictures)
        mask = torch.cat(
            [mask.repeat_interleave(2, 0)[: count // 2], person_shape(rng, count - count // 2, pool.device)]
        )
        return pictures * (1 - mask) + 0.5 * mask, wanted.repeat_interleave(2, 0)

    def _compare(self, network: nn.Module, masked: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        vectors = network(masked).float()
        return vectors, vectors @ vectors.T, (wanted @ wanted.T + 3) / 4

    def loss(self, _step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Squared error of all cosines of the batch; small distances weigh most, since the threshold is 0.05."""
        masked, wanted = self._draw(self.pool, rng)
        _, found, target = self._compare(self.networks["background"], masked, wanted)
        weight = 1 / (0.05 + (1 - target))
        error = (weight * (found - target).square()).mean()
        return error, {"error": error.item(), "cosine": (found - target).abs().mean().item()}

    def sheet(self, _networks: nn.ModuleDict) -> NDArray[np.uint8]:
        """Masked pictures as the student sees them."""
        masked, _ = self._draw(self.held_out, np.random.default_rng(0))
        return sheet([list(masked[i : i + 4]) for i in range(0, 8, 4)])

    @torch.no_grad()
    def score(self, networks: nn.ModuleDict) -> dict[str, float]:
        """Mean error of the distance on held-out rooms, and the ROC area of telling same from other rooms."""
        masked, wanted = self._draw(self.held_out, np.random.default_rng(1))
        _, found, target = self._compare(networks["background"], masked, wanted)
        count = len(found)
        index = torch.arange(count, device=found.device)
        same = (index[:, None] // 2 == index[None] // 2) & (index[:, None] != index[None])
        other = index[:, None] // 2 != index[None] // 2
        pairs = found[same][:, None] > found[other][None]
        return {
            "distance_error": round((found - target).abs().mean().item(), 4),
            "auc": round(pairs.float().mean().item(), 4),
            "distance_same": round(1 - found[same].mean().item(), 4),
            "distance_other": round(1 - found[other].mean().item(), 4),
        }
