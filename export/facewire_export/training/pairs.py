"""Pairs of a pivot and a driving frame out of one clip, augmented alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facewire_export.networks.blocks import exact
from facewire_export.training import augment
from facewire_export.training.pool import Pool

NEAR_SHARE, NEAR_FRAMES = 0.25, 12
"""A quarter of all pairs lie at most so many frames apart; the others anywhere in the clip."""


class Pair(NamedTuple):
    """A batch of pairs. NaN in points and meshes where no face was found."""

    pivot: Tensor
    """[B, 3, size, size] in [0, 1], with the artefacts of an intra coder."""
    driving: Tensor
    """[B, 3, size, size]."""
    pivot_points: Tensor
    """Starting keypoints [B, 10, 2] in [-1, 1]."""
    driving_points: Tensor
    pivot_mesh: Tensor
    """Face mesh [B, 478, 2]; the same index is the same place of the face in both pictures."""
    driving_mesh: Tensor


def choose(rng: np.random.Generator, pool: Pool, count: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(clip, frame) of `count` pivots and of their driving frames."""
    pivots, drivings = [], []
    for _ in range(count):
        clip = int(rng.integers(len(pool.clips)))
        length = len(pool.clips[clip].frames)
        first = int(rng.integers(length))
        near = rng.random() < NEAR_SHARE
        low, high = (max(0, first - NEAR_FRAMES), min(length, first + NEAR_FRAMES + 1)) if near else (0, length)
        pivots.append((clip, first))
        drivings.append((clip, int(rng.integers(low, high))))
    return pivots, drivings


@exact
def draw(rng: np.random.Generator, pool: Pool, count: int, size: int) -> Pair:
    """A batch of `count` pairs at `size` pixels: flipped, moved, recoloured alike, the pivot coded."""
    pivots, drivings = choose(rng, pool, count)
    both, points, mesh = (get(pivots + drivings) for get in (pool.frames, pool.keypoints, pool.mesh))
    device = both.device
    if size != both.shape[-1]:
        both = F.avg_pool2d(both, both.shape[-1] // size)
    mirrored = torch.from_numpy(rng.random(count) < 0.5).to(device).repeat(2)
    both, points = augment.flip(both, points, mirrored)
    mesh = torch.where(mirrored[:, None, None], mesh * mesh.new_tensor([-1.0, 1.0]), mesh)
    maps = augment.affine(rng, count, device).repeat(2, 1, 1)
    both = augment.move_pictures(both, maps)
    points, mesh = augment.move_points(points, maps), augment.move_points(mesh, maps)
    matrix, offset = augment.colour_maps(rng, count, device)
    both = augment.recolour(both, (matrix.repeat(2, 1, 1), offset.repeat(2, 1)))
    step = torch.from_numpy(np.exp(rng.uniform(np.log(0.004), np.log(0.12), count)).astype(np.float32)).to(device)
    pivot, driving = both.chunk(2)
    return Pair(augment.coding_artefacts(pivot, step), driving, *points.chunk(2), *mesh.chunk(2))
