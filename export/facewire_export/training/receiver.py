"""Trains all that paints at the receiver, restorer, pivot encoder, repair and upscaler, by what is shown in the end.

Each was taught alone, and judged by what comes out of it. But a pivot's marks are moved before they are seen, moving it
blurs it, and what sharpens afterwards sharpens the marks as well. So here decoded pivots go in, as they were sent
(training.sent), and frames at the shown size are compared. Keypoints and motion stay as they are.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from facewire_export.networks.generator import Generator, Warped, warp
from facewire_export.networks.receiver import receiver
from facewire_export.networks.tiers import CODED_SIZE, Tier
from facewire_export.training.animator import corners_around, cut
from facewire_export.training.losses import PictureLoss, Scores, sheet
from facewire_export.training.restorer import SCALE, enlarged
from facewire_export.training.sent import FRAMES
from facewire_export.training.streams import Batch, Streams

WINDOW = 96
"""Side of what is compared of each frame, in coded pixels."""
TOGETHER = 2
"""Frames of one pivot in a batch: it is restored once for them."""
MOUTH = 48
"""Side of what is cut out around the mouth, in coded pixels."""
MOUTH_WEIGHT = 0.5
JUDGED = (6, 18)
"""Which of the FRAMES frames of each held-out pivot are judged."""
WHOLE: NDArray[np.int64] = np.zeros((1, 2), np.int64)
"""Corner of a window that is the whole picture."""


class ReceiverTask:
    """Implements `loop.Task`."""

    name = "receiver"

    def __init__(self, tier: Tier, streams: Streams, held_out: Streams, loss: PictureLoss, batch: int) -> None:
        self.networks = receiver(tier)
        for frozen in (self.networks["keypoints"], self.networks["generator"].motion):
            frozen.requires_grad_(False)
        self.streams, self.held_out, self.picture_loss = streams, held_out, loss
        self.pivots = max(1, batch // TOGETHER)

    def loss(self, _step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Picture loss of a window of each frame as it is shown, and of the mouth in it."""
        pivots = [self.streams.pivots[int(n)] for n in rng.integers(len(self.streams.pivots), size=self.pivots)]
        frames = [[int(n) for n in rng.choice(FRAMES, TOGETHER, replace=False)] for _ in pivots]
        batch = self.streams.batch(list(zip(pivots, frames, strict=True)))
        corners = self._corners(rng, batch.places)
        fake = made(self.networks, batch, corners, WINDOW)
        real = cut(batch.real, corners, WINDOW)
        total, figures = self.picture_loss(fake, real)
        mouths = mouths_in(batch.places, corners, WINDOW)
        mouth, parted = self.picture_loss(windows(fake, mouths, MOUTH * SCALE), windows(real, mouths, MOUTH * SCALE))
        return total + MOUTH_WEIGHT * mouth, {**figures, "mouth": parted["lpips"]}

    def _corners(self, rng: np.random.Generator, places: Tensor) -> NDArray[np.int64]:
        """Half of the windows lie around the face, the others anywhere."""
        return corners_around(rng, middles(places) - [0, 16], WINDOW, 32, 0.5)

    @torch.no_grad()
    def _shown(self, networks: nn.ModuleDict, pivot: tuple[int, int], at: int) -> tuple[Batch, Tensor]:
        """What was fed, and what is shown, of one held-out frame."""
        batch = self.held_out.batch([(pivot, [at])])
        return batch, made(networks, batch, WHOLE, CODED_SIZE).clamp(0, 1)

    def sheet(self, networks: nn.ModuleDict) -> NDArray[np.uint8]:
        """Rows of decoded pivot | real | shown of held-out people."""
        some = [self._shown(networks, pivot, JUDGED[0]) for pivot in self.held_out.pivots[::2][:8]]
        rows = [[enlarged(fed.coded)[0], fed.real[0], shown[0]] for fed, shown in some]
        return sheet([[F.avg_pool2d(part, 2) for part in row] for row in rows])

    @torch.no_grad()
    def score(self, networks: nn.ModuleDict) -> dict[str, float]:
        """LPIPS and PSNR at 512 against the real frame, of mouths, too."""
        scores = Scores(self.picture_loss)
        for pivot, at in itertools.product(self.held_out.pivots, JUDGED):
            fed, shown = self._shown(networks, pivot, at)
            mouth = mouths_in(fed.places, WHOLE, CODED_SIZE)
            scores.add("shown", shown, fed.real)
            scores.add("mouth", windows(shown, mouth, MOUTH * SCALE), windows(fed.real, mouth, MOUTH * SCALE))
        return scores.means()


def made(networks: nn.ModuleDict, batch: Batch, corners: NDArray[np.int64], window: int) -> Tensor:
    """What is shown [B, 3, 2 window, 2 window] of windows at corners (animator.cut); motion is that which was sent."""
    pivot = networks["restorer"](batch.coded).float().clamp(0, 1)
    picture, keep, paint = repaired(networks, batch, pivot, corners, window)
    sharp: Tensor = networks["upscaler"](enlarged((picture * keep + paint).float().clamp(0, 1)))
    return sharp


def repaired(
    networks: nn.ModuleDict, batch: Batch, pivot: Tensor, corners: NDArray[np.int64], window: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Moved pivot, and what the repair network keeps of it and paints, of windows at corners. pivot: restored."""
    generator: Generator = networks["generator"]  # type: ignore[assignment]
    features = networks["pivot_encoder"](pivot)
    times = len(batch.points) // len(pivot)
    pivot = pivot.repeat_interleave(times, 0)
    features = type(features)(*[part.repeat_interleave(times, 0) for part in features])
    with torch.no_grad():
        _, occlusion, hidden = generator.motion.eval()(features.small, batch.still, batch.points)
    parts = warp(pivot, features, (batch.displacement, occlusion, hidden))
    parts = Warped(*[cut(value, corners, window) for value in parts])
    keep, paint = generator.repair(parts)
    return parts.picture, keep, paint


def middles(places: Tensor) -> NDArray[np.float64]:
    """Middles of mouths x, y [B, 2] in coded pixels; that of the picture where there is no face."""
    centre = np.nan_to_num(places[:, 3:7].mean(1).cpu().numpy().astype(np.float64))
    return np.asarray((centre + 1) * (CODED_SIZE / 2))


def mouths_in(places: Tensor, corners: NDArray[np.int64], window: int) -> NDArray[np.int64]:
    """Upper left corners y, x [B, 2] of MOUTH coded pixels nearest to the mouth within windows, in shown pixels."""
    wanted = middles(places)[:, ::-1] - MOUTH / 2 - 8 * corners
    return SCALE * np.clip(np.round(wanted), 0, window - MOUTH).astype(np.int64)


def windows(pictures: Tensor, corners: NDArray[np.int64], side: int) -> Tensor:
    """side x side pixels of each picture from corners y, x [B, 2] on."""
    return torch.stack([p[:, y : y + side, x : x + side] for p, (y, x) in zip(pictures, corners, strict=True)])
