"""Baseline: 3-D keypoints in the manner of face-vid2vid (Wang, Mallya, Liu, CVPR 2021).

Never shipped. The pivot gives the person's canonical 3-D keypoints c; each frame gives a head pose (rotation R,
translation t) and an expression d for each keypoint; its keypoints are R c + t + d (their equation 1). Around each of
them the pivot is the driving frame turned by R_pivot R_driving^-1 (equation 2).

Theirs warps a volume of features and flattens it afterwards. Here the mixing network chooses, at each place, a keypoint
and one of four depths, so that the warp is a 2-D one and every other network is the shared one. Two more departures: a
template of the ten landmarks starts the canonical keypoints, so that the landmarks' pull teaches the pose where theirs
needs a pretrained pose network; and t's third number is the logarithm of scale, since projection is orthographic.

Axes: x right, y down, z towards the camera, in half crops.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facewire_export.networks.blocks import exact, identity_grid
from facewire_export.networks.fomm import looks
from facewire_export.networks.keypoints import KeypointDetector, centres
from facewire_export.networks.motion import Motion, heat_maps
from facewire_export.networks.tiers import KEYPOINTS, MOTION_SIZE, Tier

TEMPLATE = (
    (-0.22, -0.33, 0.00), (0.21, -0.34, 0.00), (-0.01, -0.05, 0.27), (-0.17, 0.15, 0.06), (0.18, 0.14, 0.06),
    (0.00, 0.13, 0.17), (0.00, 0.18, 0.16), (0.00, 0.46, 0.06), (-0.47, -0.19, -0.39), (0.48, -0.20, -0.39),
)  # fmt: skip
"""Canonical keypoints to begin with: x and y are means over the training clips, z is MediaPipe's face model."""
DEPTHS = (-0.4, -0.15, 0.05, 0.25)
"""Planes of the face that a place may lie on, before scale: ears and hair, cheeks, mouth, nose."""
CARRIED = 6 + 3 * KEYPOINTS
"""Numbers sent for each frame: rotation, translation, expression."""


@exact
def rotation(angles: Tensor) -> Tensor:
    """Angles [B, 3] in radians about x, y and z (z first applied) -> matrices [B, 3, 3]."""
    (cx, cy, cz), (sx, sy, sz) = angles.float().cos().unbind(-1), angles.float().sin().unbind(-1)
    zero, one = torch.zeros_like(cx), torch.ones_like(cx)
    about_x = torch.stack([one, zero, zero, zero, cx, -sx, zero, sx, cx], -1).view(-1, 3, 3)
    about_y = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], -1).view(-1, 3, 3)
    about_z = torch.stack([cz, -sz, zero, sz, cz, zero, zero, zero, one], -1).view(-1, 3, 3)
    return about_x @ about_y @ about_z


def pose(description: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotation [B, 3, 3], shift [B, 2] and scale [B] of descriptions [B, 66]."""
    angles, shift, size = description[:, :3], description[:, 3:5], description[:, 5]
    return rotation(angles), shift.float(), size.float().exp()


def expression(description: Tensor) -> Tensor:
    """Each keypoint's own movement [B, 10, 3]."""
    return description[:, 6:CARRIED].float().reshape(-1, KEYPOINTS, 3)


@exact
def keypoints(pivot: Tensor, frame: Tensor) -> Tensor:
    """3-D keypoints [B, 10, 3] of a frame, the canonical ones taken from its pivot; both [B, 66]."""
    canonical = pivot[:, CARRIED:].float().reshape(-1, KEYPOINTS, 3)
    turn, shift, scale = pose(frame)
    turned = canonical @ turn.transpose(1, 2) + expression(frame)
    return scale[:, None, None] * turned + F.pad(shift, (0, 1))[:, None]


@exact
def turned_warps(pivot: Tensor, driving: Tensor) -> tuple[Tensor, Tensor]:
    """From descriptions [B, 66] of both frames, by the plane through each keypoint [B, 10, 2, 64, 64], and by identity
    and each of keypoints x depths [B, 1 + 40, 2, 64, 64]: displacements."""
    grid = identity_grid(MOTION_SIZE, MOTION_SIZE, driving)[:, None]
    still, moved = keypoints(pivot, pivot), keypoints(pivot, driving)
    (turn_p, _, scale_p), (turn_d, _, scale_d) = pose(pivot), pose(driving)
    between = turn_p @ turn_d.transpose(1, 2) * (scale_p / scale_d)[:, None, None]
    offset = torch.einsum("bij,bkjhw->bkihw", between[:, :2, :2], grid - moved[..., :2, None, None])
    through = still[..., :2, None, None] + offset - grid
    depths = torch.tensor(DEPTHS, device=driving.device) * scale_d[:, None]
    aside = (depths[:, None] - moved[..., 2:])[..., None] * between[:, None, None, :2, 2]
    layers = (through[:, :, None] + aside[..., None, None]).flatten(1, 2)
    return through, torch.cat([torch.zeros_like(layers[:, :1]), layers], 1)


class PoseDetector(KeypointDetector):
    """The shared detector; what its ten heat maps find is read as canonical keypoints, pose and expression."""

    def __init__(self, tier: Tier) -> None:
        super().__init__(tier)
        inputs = KEYPOINTS * (2 + tier.detector[1])
        self.read = nn.Sequential(nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, CARRIED + 3 * KEYPOINTS))
        leave = self.read[2]
        assert isinstance(leave, nn.Linear)
        nn.init.normal_(leave.weight, std=0.003)
        with torch.no_grad():
            leave.bias.zero_()
            leave.bias[4] = 0.15  # a face's middle lies a little under the crop's
            leave.bias[CARRIED:] = torch.tensor(TEMPLATE).flatten()

    def forward(self, picture: Tensor) -> Tensor:
        """picture [B, 3, 128, 128] -> [B, 66]: angles, translation, expression (what travels), canonical keypoints."""
        features = self.features(picture)
        heat = self.head(features)
        weights = F.softmax(heat.flatten(2).float() * 2.0, 2)
        looked = weights @ features.float().flatten(2).transpose(1, 2)
        points = centres(heat)
        with torch.autocast(picture.device.type, enabled=False):
            found: Tensor = self.read(torch.cat([points, looked], 2).flatten(1))
        # The head's place is the mean of what the heat maps found; a regression alone would be coarse.
        return found + F.pad(points.mean(1), (3, found.shape[1] - 5))


class TurningMotion(Motion):
    """Mixes the background's identity and each keypoint's turned plane at four depths."""

    def __init__(self, tier: Tier) -> None:
        super().__init__(tier, 1 + KEYPOINTS * len(DEPTHS))
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def describe(self, small: Tensor, pivot: Tensor, driving: Tensor) -> tuple[Tensor, list[Tensor]]:
        """See `Motion.describe`; the network sees the pivot by the plane through each keypoint, and heat maps."""
        through, warps = turned_warps(pivot, driving)
        shown = looks(small, torch.cat([warps[:, :1], through], 1))
        heat = heat_maps(keypoints(pivot, driving)[..., :2]) - heat_maps(keypoints(pivot, pivot)[..., :2])
        return warps, [shown - 0.5, heat]

    def where(self, pivot: Tensor, driving: Tensor) -> Tensor:
        """See `Motion.where`."""
        return keypoints(pivot, driving)[..., :2]
