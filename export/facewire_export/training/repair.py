"""Trains the pivot encoder and the repair network on what receivers are really fed (training.sent).

Keypoints and motion stay as they are. The mouth, which is small and looked at most, has a loss of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facewire_export.dataset import DatasetError
from facewire_export.networks.animator import animator
from facewire_export.networks.blocks import identity_grid
from facewire_export.networks.generator import Generator, Warped, warp
from facewire_export.networks.tiers import CODED_SIZE, Tier
from facewire_export.training import augment
from facewire_export.training.animator import cut, region_weight
from facewire_export.training.losses import PictureLoss, Scores, sheet
from facewire_export.training.pool import Pool
from facewire_export.training.sent import FRAMES, Sent

MOUTH = 64
"""Side of what is cut out around the mouth."""
MOUTH_WEIGHT = 0.5
FEATURES = 5.0
"""Extra weight of mouth and eyes in the colour loss."""
JUDGED = 6
"""Each sixth frame of the held-out clips is judged."""


class Batch(NamedTuple):
    """Frames as the generator is fed them."""

    real: Tensor
    """[B, 3, 256, 256] in [0, 1]."""
    pivot: Tensor
    still: Tensor
    """Keypoints of the pivot [B, 10, 2]."""
    points: Tensor
    """Keypoints of the frame [B, 10, 2]."""
    displacement: Tensor
    """[B, 2, 64, 64], half crops."""
    places: Tensor
    """Landmarks of the frame [B, 10, 2], NaN where no face was found."""


class Streams:
    """Clips that were sent, by one number for each of their frames. Raises DatasetError: there are none."""

    def __init__(self, pool: Pool, sent: list[Sent | None]) -> None:
        self.pool, self.sent = pool, sent
        self.places = [(clip, at) for clip, one in enumerate(sent) if one is not None for at in range(len(one.frames))]
        if not self.places:
            raise DatasetError(f"{pool.place}: a face is seen in {FRAMES} frames of none of these clips")

    def __len__(self) -> int:
        return len(self.places)

    def batch(self, chosen: list[int]) -> Batch:
        """Those frames."""
        found: list[list[NDArray[np.float32]]] = []
        frames: list[tuple[int, int]] = []
        for clip, at in (self.places[number] for number in chosen):
            one = self.sent[clip]
            assert one is not None
            which = one.which[at]
            frames.append((clip, int(one.frames[at])))
            found.append([one.pivots[which], one.still[which], one.points[at], one.displacement[at]])
        device = self.pool.device
        pivot, still, points, displacement = (
            torch.from_numpy(np.stack(part).astype(np.float32)).to(device) for part in zip(*found, strict=True)
        )
        return Batch(self.pool.frames(frames), pivot, still, points, displacement, self.pool.keypoints(frames))


class RepairTask:
    """Implements `loop.Task`; its networks are the animator's, by whose name its files go."""

    name = "animator"

    def __init__(
        self, tier: Tier, streams: Streams, held_out: Streams, loss: PictureLoss, batch: int, window: int
    ) -> None:
        """window: side of what is repaired of each frame (256: all of it)."""
        self.networks = animator(tier)
        for frozen in (self.networks["keypoints"], self.networks["generator"].motion):
            frozen.requires_grad_(False)
        self.streams, self.held_out, self.picture_loss = streams, held_out, loss
        self.size, self.window = batch, window

    def loss(self, _step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Picture loss of a window of each frame, and of the mouth in it."""
        batch = self.streams.batch([int(n) for n in rng.integers(len(self.streams), size=self.size)])
        colours = augment.colour_maps(rng, self.size, batch.real.device)
        batch = batch._replace(real=augment.recolour(batch.real, colours), pivot=augment.recolour(batch.pivot, colours))
        corners = self._corners(rng, batch.places)
        parts = Warped(*[cut(value, corners, self.window) for value in moved(self.networks, batch)])
        generator: Generator = self.networks["generator"]  # type: ignore[assignment]
        keep, paint = generator.repair(parts)
        fake, real = (parts.picture * keep + paint).float(), cut(batch.real, corners, self.window)
        grid = identity_grid(CODED_SIZE, CODED_SIZE, real).expand(len(real), -1, -1, -1)
        total, figures = self.picture_loss(
            fake, real, region_weight(batch.places, cut(grid, corners, self.window), FEATURES)
        )
        mouths = mouths_in(batch.places, corners, self.window)
        mouth, parted = self.picture_loss(at(fake, mouths), at(real, mouths))
        return total + MOUTH_WEIGHT * mouth, {**figures, "mouth": parted["lpips"]}

    def _corners(self, rng: np.random.Generator, places: Tensor) -> NDArray[np.int64]:
        """Windows around mouths, give or take; some anywhere."""
        most = (CODED_SIZE - self.window) // 8
        around = (middles(places)[:, ::-1] - self.window / 2 + rng.normal(0, 28, (len(places), 2))) / 8
        anywhere = rng.uniform(0, most + 1, (len(places), 2))
        chosen = np.where(rng.random((len(places), 1)) < 0.7, around, anywhere)
        return np.clip(chosen, 0, most).astype(np.int64)

    @torch.no_grad()
    def made(self, networks: nn.ModuleDict, every: int) -> list[tuple[Batch, Tensor, Tensor]]:
        """(what was fed, warped, shown) of each so-manieth held-out frame."""
        found = []
        for number in range(0, len(self.held_out), every):
            batch = self.held_out.batch([number])
            parts = moved(networks, batch)
            keep, paint = networks["generator"].repair(parts)  # type: ignore[operator]
            shown = (parts.picture * keep + paint).float().clamp(0, 1)
            found.append((batch, parts.picture.clamp(0, 1), shown))
        return found

    def sheet(self, networks: nn.ModuleDict) -> NDArray[np.uint8]:
        """Rows of pivot | real | warped | shown of held-out people."""
        some = self.made(networks, max(1, len(self.held_out) // 17))
        return sheet([[part[0] for part in (fed.pivot, fed.real, warped, shown)] for fed, warped, shown in some])

    @torch.no_grad()
    def score(self, networks: nn.ModuleDict) -> dict[str, float]:
        """LPIPS and PSNR at 256 against the real frame, of mouths, and of the bare warp."""
        scores = Scores(self.picture_loss)
        whole = np.zeros((1, 2), np.int64)
        for fed, warped, shown in self.made(networks, JUDGED):
            mouth = mouths_in(fed.places, whole, CODED_SIZE)
            scores.add("shown", shown, fed.real)
            scores.add("mouth", at(shown, mouth), at(fed.real, mouth))
            scores.add("warped", warped, fed.real)
        return scores.means()


def moved(networks: nn.ModuleDict, batch: Batch) -> Warped:
    """What the repair network gets; motion is that which was sent."""
    generator: Generator = networks["generator"]  # type: ignore[assignment]
    features = networks["pivot_encoder"](batch.pivot)
    with torch.no_grad():
        motion = generator.motion.eval()
        _, occlusion, hidden = motion(features.small, batch.still, batch.points)
    return warp(batch.pivot, features, (batch.displacement, occlusion, hidden))


def middles(places: Tensor) -> NDArray[np.float64]:
    """Middles of mouths x, y [B, 2] in coded pixels; that of the picture where there is no face."""
    centre = np.nan_to_num(places[:, 3:7].mean(1).cpu().numpy().astype(np.float64))
    return np.asarray((centre + 1) * (CODED_SIZE / 2))


def mouths_in(places: Tensor, corners: NDArray[np.int64], window: int) -> NDArray[np.int64]:
    """Upper left corners y, x [B, 2] of the MOUTH pixels nearest to the mouth within windows (see animator.cut)."""
    wanted = middles(places)[:, ::-1] - MOUTH / 2 - 8 * corners
    return np.clip(np.round(wanted), 0, window - MOUTH).astype(np.int64)


def at(pictures: Tensor, corners: NDArray[np.int64]) -> Tensor:
    """MOUTH x MOUTH pixels of each picture."""
    return torch.stack([p[:, y : y + MOUTH, x : x + MOUTH] for p, (y, x) in zip(pictures, corners, strict=True)])
