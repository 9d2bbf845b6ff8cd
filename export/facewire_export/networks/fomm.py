"""Baseline: the first order motion model (Siarohin et al., NeurIPS 2019), with Jacobians and without.

Never shipped. Around each keypoint the pivot is an affine map of the driving frame (their equation 4); a network mixes
the ten maps and the background's identity by a softmax (equation 5). Without Jacobians the maps are translations:
the model of "Compressing Video Calls" (Agarwal et al., BMVC 2022).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facewire_export.networks.blocks import exact, identity_grid, sample
from facewire_export.networks.keypoints import KeypointDetector, centres
from facewire_export.networks.motion import Motion, heat_maps
from facewire_export.networks.tiers import KEYPOINTS, MOTION_SIZE, Tier

LEAST_DETERMINANT = 0.05
"""Jacobians flatter than this are inverted as if they had it, so that no warp flies off."""


@exact
def jacobians(description: Tensor) -> Tensor:
    """The 2x2 matrices of descriptions [B, K, 6]: [B, K, 2, 2]."""
    return description[..., 2:].float().reshape(*description.shape[:-1], 2, 2)


@exact
def inverse(matrices: Tensor) -> Tensor:
    """Inverse of [..., 2, 2], with the determinant kept away from zero."""
    a, b, c, d = matrices.float().flatten(-2).unbind(-1)
    determinant = a * d - b * c
    least = torch.full_like(determinant, LEAST_DETERMINANT)
    safe = torch.where(determinant.abs() < LEAST_DETERMINANT, torch.copysign(least, determinant), determinant)
    return torch.stack([d, -b, -c, a], -1).reshape(matrices.shape) / safe[..., None, None]


@exact
def local_warps(pivot: Tensor, driving: Tensor) -> Tensor:
    """Displacements by identity and each keypoint's own map, from [B, K, 2 or 6]: [B, 1 + K, 2, 64, 64].

    A place z of the driving frame lies at p_pivot + J_pivot J_driving^-1 (z - p_driving) (equation 4).
    """
    grid = identity_grid(MOTION_SIZE, MOTION_SIZE, driving)
    still, moved = (points[..., :2, None, None] for points in (pivot, driving))
    offset = grid[:, None] - moved
    if driving.shape[-1] == 6:
        matrices = jacobians(pivot) @ inverse(jacobians(driving))
        offset = torch.einsum("bkij,bkjhw->bkihw", matrices, offset)
    warps = still + offset - grid[:, None]
    return torch.cat([torch.zeros_like(warps[:, :1]), warps], 1)


def looks(small: Tensor, warps: Tensor) -> Tensor:
    """The pivot [B, 3, 64, 64] under each of the warps [B, N, 2, 64, 64]: [B, 3 N, 64, 64]."""
    batch, count = warps.shape[:2]
    grid = identity_grid(MOTION_SIZE, MOTION_SIZE, small) + warps.flatten(0, 1)
    shown = sample(small.repeat_interleave(count, 0), grid)
    return shown.reshape(batch, 3 * count, MOTION_SIZE, MOTION_SIZE)


class JacobianDetector(KeypointDetector):
    """The shared detector and, by the same heat maps, a Jacobian for each keypoint (their section 3.1)."""

    def __init__(self, tier: Tier) -> None:
        super().__init__(tier)
        self.jacobian = nn.Conv2d(tier.detector[1], 4 * KEYPOINTS, 3, 1, 1)
        nn.init.zeros_(self.jacobian.weight)
        with torch.no_grad():
            assert self.jacobian.bias is not None
            self.jacobian.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 1.0]).repeat(KEYPOINTS))

    def forward(self, picture: Tensor) -> Tensor:
        """picture [B, 3, 128, 128] -> [B, 10, 6]: x, y, then the Jacobian row by row."""
        features = self.features(picture)
        heat = self.head(features)
        weights = F.softmax(heat.flatten(2).float() * 2.0, 2)
        maps = self.jacobian(features).float().reshape(len(picture), KEYPOINTS, 4, -1)
        return torch.cat([centres(heat), (maps * weights[:, :, None]).sum(-1)], -1)


class FommMotion(Motion):
    """Mixes the background's identity and ten local maps."""

    def __init__(self, tier: Tier) -> None:
        super().__init__(tier, 1 + KEYPOINTS)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def describe(self, small: Tensor, pivot: Tensor, driving: Tensor) -> tuple[Tensor, list[Tensor]]:
        """See `Motion.describe`; the network sees what FOMM's sees: deformed pivots, heat maps' differences."""
        warps = local_warps(pivot, driving)
        return warps, [looks(small, warps) - 0.5, heat_maps(driving[..., :2]) - heat_maps(pivot[..., :2])]

    def where(self, _pivot: Tensor, driving: Tensor) -> Tensor:
        """See `Motion.where`."""
        return driving[..., :2]
