"""The face mesh as a teacher of motion: where two pictures of one face correspond, exactly, however far apart they are.

Optical flow fails where colours tell a flow nothing, between an open and a shut mouth above all; the same 478 places of
a face (MediaPipe's mesh) are known in both pictures.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from facewire.face.mesh import LEFT_EYE, LIPS_INNER, LIPS_OUTER, RIGHT_EYE
from facewire_export.networks.blocks import exact

EXPRESSIVE = (*LIPS_OUTER, *LIPS_INNER, *LEFT_EYE, *RIGHT_EYE)
EXPRESSIVE_WEIGHT = 4.0
"""Of lips and eyelids; the 406 other points have 1."""


@exact
def mesh_flow_loss(displacement: Tensor, pivot_mesh: Tensor, driving_mesh: Tensor) -> Tensor:
    """How far the motion misses the mesh: mean absolute distance in half crops, weighted.

    displacement [B, 2, h, w] (pivot place minus driving place), meshes [B, 478, 2] in [-1, 1] with NaN where no face
    was found. Points outside the driving picture do not count; 0 without any face.
    """
    wanted = pivot_mesh - driving_mesh
    inside = (driving_mesh.abs() < 1).all(2) & wanted.isfinite().all(2)
    weight = inside.to(displacement.dtype)
    weight[:, list(EXPRESSIVE)] *= EXPRESSIVE_WEIGHT
    places = driving_mesh.nan_to_num()[:, :, None]
    found = F.grid_sample(displacement.float(), places, padding_mode="border", align_corners=False)[..., 0]
    error = (found.transpose(1, 2) - wanted.nan_to_num()).abs().mean(2)
    total: Tensor = (error * weight).sum() / weight.sum().clamp_min(1.0)
    return total
