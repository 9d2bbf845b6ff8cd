"""Augmentation on tensors, so that a hundred people teach about everyone; deterministic by its generator."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facewire_export.networks.blocks import exact
from facewire_export.training.pool import MIRRORED


def affine(rng: np.random.Generator, count: int, device: torch.device, strength: float = 1.0) -> Tensor:
    """Random maps [B, 2, 3] from output to input places: scale, rotation, shift."""
    scale = np.exp(rng.uniform(-0.2, 0.2, count) * strength)
    angle = rng.uniform(-0.2, 0.2, count) * strength
    shift = rng.uniform(-0.1, 0.1, (count, 2)) * strength
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    maps = np.stack([np.stack([c, -s, shift[:, 0]], 1), np.stack([s, c, shift[:, 1]], 1)], 1)
    return torch.from_numpy(maps.astype(np.float32)).to(device)


@exact
def move_pictures(pictures: Tensor, maps: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] seen through maps [B, 2, 3]; the border is mirrored."""
    grid = F.affine_grid(maps, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


@exact
def move_points(points: Tensor, maps: Tensor) -> Tensor:
    """Where points [B, K, 2] of the input lie after `move_pictures`: the inverse map."""
    matrix, shift = maps[:, :, :2], maps[:, :, 2]
    moved: Tensor = (points - shift[:, None]) @ torch.linalg.inv(matrix).transpose(1, 2)
    return moved


def flip(pictures: Tensor, points: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror the chosen [B] of pictures and their ten starting keypoints."""
    mirrored = points[:, list(MIRRORED)] * points.new_tensor([-1.0, 1.0])
    return (
        torch.where(chosen[:, None, None, None], pictures.flip(3), pictures),
        torch.where(chosen[:, None, None], mirrored, points),
    )


def colour_maps(rng: np.random.Generator, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Random colour matrices [B, 3, 3] and offsets [B, 3]: contrast, saturation, white balance, brightness."""
    grey = np.full((3, 3), 1 / 3)
    matrices = []
    for _ in range(count):
        saturation = rng.uniform(0.6, 1.3)
        mix = saturation * np.eye(3) + (1 - saturation) * grey
        matrices.append(np.diag(rng.uniform(0.85, 1.15, 3)) @ mix * rng.uniform(0.8, 1.2))
    offsets = rng.uniform(-0.1, 0.1, (count, 1)).repeat(3, 1)
    as_tensor = [torch.from_numpy(np.asarray(v, np.float32)).to(device) for v in (np.stack(matrices), offsets)]
    return as_tensor[0], as_tensor[1]


@exact
def recolour(pictures: Tensor, colours: tuple[Tensor, Tensor]) -> Tensor:
    """Apply `colour_maps`; result in [0, 1]."""
    matrix, offset = colours
    mixed = torch.einsum("bij,bjhw->bihw", matrix, pictures - 0.5) + 0.5 + offset[:, :, None, None]
    return mixed.clamp(0, 1)


def _dct_matrix(device: torch.device) -> Tensor:
    k = torch.arange(8, device=device, dtype=torch.float32)
    matrix = torch.cos(math.pi * (2 * k[None] + 1) * k[:, None] / 16) * 0.5
    matrix[0] *= math.sqrt(0.5)
    return matrix


@exact
def coding_artefacts(pictures: Tensor, step: Tensor) -> Tensor:
    """What an intra coder does to a pivot: 8x8 DCT coefficients quantised, coarser at high frequencies.

    pictures [B, 3, H, W] with H, W multiples of 8, step [B] in [0, 1]-picture units at DC (0.02 fine, 0.15 coarse).
    """
    count, _, height, width = pictures.shape
    matrix = _dct_matrix(pictures.device)
    blocks = pictures.reshape(count, 3, height // 8, 8, width // 8, 8).permute(0, 1, 2, 4, 3, 5)
    coefficients = matrix @ blocks @ matrix.T
    k = torch.arange(8, device=pictures.device, dtype=torch.float32)
    weight = 1 + 0.5 * (k[:, None] + k[None])
    size = step.view(-1, 1, 1, 1, 1, 1) * weight
    coefficients = torch.round(coefficients / size) * size
    coded = (matrix.T @ coefficients @ matrix).permute(0, 1, 2, 4, 3, 5).reshape(count, 3, height, width)
    return coded.clamp(0, 1)
