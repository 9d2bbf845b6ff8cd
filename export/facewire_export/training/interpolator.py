"""Trains the interpolator on triplets of real frames, neighbours and next but one."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from facewire_export.networks.blocks import exact
from facewire_export.networks.interpolator import Interpolator
from facewire_export.networks.tiers import Tier
from facewire_export.training import augment
from facewire_export.training.losses import PictureLoss, Scores, sheet
from facewire_export.training.pool import Pool

GAPS = (1, 2)
"""Frames on either side: 1 is what skip 1 asks for, 2 the first step of skip 3."""
TAUGHT_STEPS = 1500
"""For so long the flows are also taught: colours alone tell a flow only about the pixel beside it, and 250 steps of
that left it at a cross-fade."""
FLOW_WEIGHT = 20.0


@torch.no_grad()
def taught_flow(here: Tensor, there: Tensor) -> Tensor:
    """OpenCV's DIS flow (Kroeger et al. 2016) from pictures [B, 3, H, W] to others, as the network gives it:
    displacements in half pictures, [B, 2, H/4, W/4]."""
    teacher = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    found = []
    for one, other in zip(here, there, strict=True):
        greys = [p.mean(0).mul(255).round().byte().cpu().numpy() for p in (one, other)]
        flow = teacher.calc(greys[0], greys[1], None) * (2 / greys[0].shape[0])
        found.append(torch.from_numpy(np.ascontiguousarray(flow.transpose(2, 0, 1))))
    return F.avg_pool2d(torch.stack(found), 4).to(here.device)


class InterpolatorTask:
    """Implements `loop.Task`."""

    name = "interpolator"

    def __init__(self, tier: Tier, pool: Pool, held_out: Pool, loss: PictureLoss, batch: int) -> None:
        self.interpolator = Interpolator(tier)
        self.networks = nn.ModuleDict({"interpolator": self.interpolator})
        self.pool, self.held_out, self.picture_loss, self.batch = pool, held_out, loss, batch

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
        previous, middle, following = frames.chunk(3)
        return previous, middle, following

    def loss(self, step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Picture loss of the middle frame; in the beginning also the distance to the taught flows."""
        previous, middle, following = self._draw(rng)
        network = self.interpolator
        flows = network.flows(previous, following)
        total, figures = self.picture_loss(network.blend(previous, following, flows), middle)
        if step < TAUGHT_STEPS:
            wanted = taught_flow(middle, previous), taught_flow(middle, following)
            distance = F.l1_loss(torch.cat(flows[:2]), torch.cat(wanted))
            total = total + 2 * FLOW_WEIGHT * distance
            figures["flow"] = distance.item()
        return total, figures

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
        return sheet([[previous[0], real[0], middle[0], following[0]] for previous, real, following, middle in made])

    @torch.no_grad()
    def score(self, networks: nn.ModuleDict) -> dict[str, float]:
        """LPIPS and PSNR of middle frames, beside the mean of their neighbours and the previous frame held."""
        scores = Scores(self.picture_loss)
        for previous, real, following, made in self._triplets(networks["interpolator"]):
            scores.add("made", made, real)
            scores.add("mean", (previous + following) / 2, real)
            scores.add("held", previous, real)
        return scores.means()
