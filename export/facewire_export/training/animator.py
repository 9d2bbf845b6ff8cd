"""Trains keypoint detector, pivot encoder, motion and repair together.

Two phases, one task. Motion first, on small pictures, with keypoints pulled to ten landmarks: cheap, and it settles
what moves. Then everything at full size, the repair network on windows cut around the face, the landmarks' pull
released.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from facewire_export.networks.blocks import identity_grid, sample, upsample
from facewire_export.networks.generator import Generator, PivotEncoder, PivotFeatures, Warped, warp
from facewire_export.networks.tiers import CODED_SIZE, Tier
from facewire_export.training import augment
from facewire_export.training.losses import PictureLoss, Scores, sheet
from facewire_export.training.mesh_flow import mesh_flow_loss
from facewire_export.training.pairs import Pair, draw
from facewire_export.training.pool import Pool
from facewire_export.training.representations import Representation


@dataclass(frozen=True)
class AnimatorSettings:
    """What can be tuned; the values are those of the last recorded run."""

    batch: int = 8
    motion_batch: int = 16
    motion_steps: int = 900
    release_steps: int = 3000
    """Over which the landmarks' pull falls to `pull_end` once the motion phase is over."""
    pull_start: float = 5.0
    pull_end: float = 0.2
    window: int = 128
    """Side of the window that the repair network is trained on; 256 is the whole picture."""
    equivariance: float = 2.0
    mesh_flow: float = 10.0
    """Weight of the face mesh as a teacher of motion."""
    feature_weight: float = 5.0
    """Extra weight of mouth and eyes in the colour loss."""


def region_weight(points: Tensor, places: Tensor, extra: float) -> Tensor:
    """1 + extra around mouth and eyes: points [B, 10, 2] (landmarks), places [B, 2, h, w] -> [B, 1, h, w]."""
    mouth = points[:, 3:7].mean(1, keepdim=True)
    centres = torch.nan_to_num(torch.cat([mouth, points[:, :2]], 1), nan=9.0)
    radius = centres.new_tensor([0.20, 0.14, 0.14]).view(1, 3, 1, 1)
    distance = (places[:, None] - centres[..., None, None]).square().sum(2)
    return 1 + extra * torch.exp(-distance / (2 * radius**2)).amax(1, keepdim=True)


def cut(values: Tensor, corners: NDArray[np.int64], size: int) -> Tensor:
    """The window of `size` coded pixels at corners [B, 2] (y, x, in units of 8 coded pixels), at any resolution."""
    unit = values.shape[-1] * 8 // CODED_SIZE
    side = size * values.shape[-1] // CODED_SIZE
    places = [(slice(y * unit, y * unit + side), slice(x * unit, x * unit + side)) for y, x in corners]
    return torch.stack([value[:, rows, columns] for value, (rows, columns) in zip(values, places, strict=True)])


def corners_around(
    rng: np.random.Generator, centres: NDArray[np.float64], size: int, spread: float, share: float
) -> NDArray[np.int64]:
    """Corners (see cut) of windows of `size` coded pixels: a share of them around centres x, y [B, 2] in coded pixels,
    `spread` pixels off, the others anywhere."""
    most, count = (CODED_SIZE - size) // 8, len(centres)
    around = (centres[:, ::-1] - size / 2 + rng.normal(0, spread, (count, 2))) / 8
    anywhere = rng.uniform(0, most + 1, (count, 2))
    chosen = np.where(rng.random((count, 1)) < share, around, anywhere)
    return np.clip(chosen, 0, most).astype(np.int64)


class AnimatorTask:
    """See the module's text; implements `loop.Task`. A baseline's files bear its name, so none is taken for ours."""

    def __init__(
        self,
        tier: Tier,
        pool: Pool,
        held_out: Pool,
        loss: PictureLoss,
        settings: AnimatorSettings,
        kind: Representation | None = None,
    ) -> None:
        self.kind = kind or Representation()
        self.name = "animator" if kind is None else f"animator-{kind.name}"
        self.generator = Generator(tier, self.kind.motion(tier))
        self.networks = nn.ModuleDict(
            {
                "keypoints": self.kind.detector(tier),
                "pivot_encoder": PivotEncoder(tier),
                "generator": self.generator,
            }
        )
        self.pool, self.held_out, self.picture_loss, self.settings = pool, held_out, loss, settings

    def _pull(self, step: int) -> float:
        s = self.settings
        share = min(1.0, max(0.0, (step - s.motion_steps) / s.release_steps))
        return s.pull_start * (1 - share) + s.pull_end * share

    def _keypoint_loss(self, pair: Pair, k_pivot: Tensor, k_driving: Tensor) -> Tensor:
        found = torch.cat([self.kind.places(k_pivot, k) for k in (k_pivot, k_driving)])
        wanted = torch.cat([pair.pivot_points, pair.driving_points])
        valid = torch.isfinite(wanted)
        return F.l1_loss(found[valid], wanted[valid]) if valid.any() else found.sum() * 0

    def loss(self, step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """One batch; which phase depends on the step."""
        if step < self.settings.motion_steps:
            return self._motion_loss(step, rng)
        return self._full_loss(step, rng)

    def _warp_loss(self, pivot: Tensor, driving: Tensor, displacement: Tensor) -> Tensor:
        size = pivot.shape[-1]
        move = upsample(displacement, size // displacement.shape[-1])
        warped = sample(pivot, identity_grid(size, size, pivot) + move)
        perceptual: Tensor = self.picture_loss.pyramid(warped, driving)
        return perceptual + 2 * F.l1_loss(warped, driving)

    def _motion_loss(self, step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        pair = draw(rng, self.pool, self.settings.motion_batch, CODED_SIZE // 2)
        k_pivot, k_driving = self.networks["keypoints"](torch.cat(pair[:2])).chunk(2)
        displacement = self.generator.motion(F.avg_pool2d(pair.pivot, 2), k_pivot, k_driving)[0]
        return self._motion_terms(step, pair, displacement, k_pivot, k_driving)

    def _motion_terms(
        self, step: int, pair: Pair, displacement: Tensor, k_pivot: Tensor, k_driving: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        """What teaches motion in both phases; pictures of `pair` at half the coded size."""
        warp = self._warp_loss(pair.pivot, pair.driving, displacement)
        mesh = mesh_flow_loss(displacement, pair.pivot_mesh, pair.driving_mesh)
        points = self._keypoint_loss(pair, k_pivot, k_driving)
        total = warp + self.settings.mesh_flow * mesh + self._pull(step) * points + self.kind.prior(k_driving)
        return total, {"warp": warp.item(), "mesh": mesh.item(), "points": points.item()}

    def _corners(self, rng: np.random.Generator, points: Tensor) -> NDArray[np.int64]:
        """Windows mostly around the face, some anywhere."""
        centre = np.nan_to_num(points[:, [2, 5]].mean(1).cpu().numpy()) * (CODED_SIZE / 2) + CODED_SIZE / 2
        return corners_around(rng, centre, self.settings.window, 24, 0.65)

    def _full_loss(self, step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        s = self.settings
        pair = draw(rng, self.pool, s.batch, CODED_SIZE)
        small = pair._replace(pivot=F.avg_pool2d(pair.pivot, 2), driving=F.avg_pool2d(pair.driving, 2))
        maps = augment.affine(rng, s.batch, pair.pivot.device)
        turned = augment.move_pictures(small.driving, maps)
        k_pivot, k_driving, k_turned = self.networks["keypoints"](torch.cat([*small[:2], turned])).chunk(3)
        equivariance = self.kind.equivariance(k_pivot, k_driving, k_turned, maps)
        features = self.networks["pivot_encoder"](pair.pivot)
        motion = self.generator.motion(features.small, k_pivot, k_driving)
        taught, motion_figures = self._motion_terms(step, small, motion[0], k_pivot, k_driving)
        total, figures = self._window_loss(pair, features, motion, rng)
        total = total + taught + s.equivariance * equivariance
        return total, {**figures, **motion_figures, "equivariance": equivariance.item()}

    def _window_loss(
        self,
        pair: Pair,
        features: PivotFeatures,
        motion: tuple[Tensor, Tensor, Tensor],
        rng: np.random.Generator,
    ) -> tuple[Tensor, dict[str, float]]:
        """Repair only a window of each frame: motion sees the whole picture, the costly part a quarter of it."""
        size = self.settings.window
        corners = self._corners(rng, pair.driving_points)
        parts = Warped(*[cut(value, corners, size) for value in warp(pair.pivot, features, motion)])
        keep, paint = self.generator.repair(parts)
        fake, real = parts.picture * keep + paint, cut(pair.driving, corners, size)
        grid = identity_grid(CODED_SIZE, CODED_SIZE, real).expand(len(real), -1, -1, -1)
        weight = region_weight(pair.driving_points, cut(grid, corners, size), self.settings.feature_weight)
        return self.picture_loss(fake, real, weight)

    @torch.no_grad()
    def pairs(self, networks: nn.ModuleDict, places: list[float]) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """(pivot, real, warped, shown) of held-out clips; pivot: the first frame, real ones: at shares of the clip."""
        found = []
        for clip, entry in enumerate(self.held_out.clips):
            length = len(entry.frames)
            pivot = self.held_out.frames([(clip, 0)])
            features = networks["pivot_encoder"](pivot)
            still = networks["keypoints"](F.avg_pool2d(pivot, 2))
            for place in places:
                real = self.held_out.frames([(clip, int(place * (length - 1)))])
                driving = networks["keypoints"](F.avg_pool2d(real, 2))
                shown, _, warped = networks["generator"](pivot, features, still, driving)
                found.append((pivot, real, warped.picture.clamp(0, 1), shown.float().clamp(0, 1)))
        return found

    def sheet(self, networks: nn.ModuleDict) -> NDArray[np.uint8]:
        """Rows of pivot | real | warped | shown, held-out people, late in each clip."""
        return sheet([[picture[0] for picture in pair] for pair in self.pairs(networks, [0.6])])

    @torch.no_grad()
    def score(self, networks: nn.ModuleDict) -> dict[str, float]:
        """LPIPS and PSNR at 256 against the real frame, beside the bare warp and the pivot held still."""
        scores = Scores(self.picture_loss)
        for pivot, real, warped, shown in self.pairs(networks, [0.3, 0.6, 0.95]):
            scores.add("shown", shown, real)
            scores.add("warped", warped, real)
            scores.add("held", pivot, real)
        return scores.means()
