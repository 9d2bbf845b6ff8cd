"""Dense motion from two sets of ten keypoints, without Jacobians.

FOMM mixes K local translations and the background's identity. Ten points say more than translations: a similarity
fitted to all of them is the head's rigid motion, and moving least squares (Schaefer et al. 2006, similarity
deformation) bends it smoothly so that every keypoint lands where it should. Both are closed forms. The network mixes
these candidates and adds a small residual.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facewire_export.networks.blocks import ConvNorm, exact, identity_grid, sample, upsample
from facewire_export.networks.tiers import KEYPOINTS, MOTION_SIZE, Tier

CANDIDATES = 4 + KEYPOINTS
"""Identity, rigid, two moving-least-squares warps, one translation for each keypoint."""
HEAT_VARIANCE = 0.01
"""Of the Gaussians that show the network where keypoints are; FOMM's value."""
SOFTNESS = 0.01
"""Added to squared distances in the warps' weights: 0.1 of half the crop, about the surroundings of a mouth corner."""
RESIDUAL = 0.2
"""Largest residual displacement, in half crops."""


def similarity_warp(weights: Tensor, pivot: Tensor, driving: Tensor, places: Tensor) -> Tensor:
    """Where each place of the driving frame lies in the pivot, by weighted similarities.

    weights [B, P, K], pivot and driving [B, K, 2], places [1, P, 2] -> [B, P, 2].
    """
    moments = torch.stack(
        [
            torch.ones_like(driving[..., 0]),
            driving[..., 0],
            driving[..., 1],
            pivot[..., 0],
            pivot[..., 1],
            (driving * driving).sum(-1),
            (driving * pivot).sum(-1),
            driving[..., 0] * pivot[..., 1] - driving[..., 1] * pivot[..., 0],
        ],
        -1,
    )
    sums = weights @ moments
    mean = sums[..., 1:] / sums[..., :1]
    dx, dy, px, py, dd, dp, cross = mean.unbind(-1)
    spread = dd - dx * dx - dy * dy + 1e-3
    real = (dp - dx * px - dy * py + 1e-3) / spread
    imaginary = (cross - dx * py + dy * px) / spread
    x = places[..., 0] - dx
    y = places[..., 1] - dy
    return torch.stack([px + real * x - imaginary * y, py + imaginary * x + real * y], -1)


@exact
def candidate_warps(pivot: Tensor, driving: Tensor) -> Tensor:
    """All candidate displacements (pivot place minus driving place) on the motion grid: [B, 14, 2, 64, 64]."""
    size = MOTION_SIZE
    grid = identity_grid(size, size, driving)
    places = grid.flatten(2).transpose(1, 2)
    # Each coordinate by itself: pairs as the last axis are slow to broadcast.
    x, y = (places[..., axis, None] - driving[:, None, :, axis] for axis in (0, 1))
    distance = x * x + y * y + SOFTNESS
    near = 1 / distance
    rigid = similarity_warp(torch.ones_like(near), pivot, driving, places)
    warps = [similarity_warp(w, pivot, driving, places) for w in (near, near * near)]
    smooth = torch.stack([rigid, *warps], 1) - places[:, None]
    smooth = smooth.transpose(2, 3).reshape(-1, 3, 2, size, size)
    translations = (pivot - driving)[..., None, None].expand(-1, -1, -1, size, size)
    return torch.cat([torch.zeros_like(smooth[:, :1]), smooth, translations], 1)


@exact
def heat_maps(points: Tensor) -> Tensor:
    """Gaussians around keypoints [B, K, 2] on the motion grid: [B, K, 64, 64]."""
    grid = identity_grid(MOTION_SIZE, MOTION_SIZE, points)
    offset = grid[:, None] - points[..., None, None]
    return torch.exp(-(offset * offset).sum(2) / (2 * HEAT_VARIANCE))


@exact
def off_keypoints(points: Tensor, displacement: Tensor) -> Tensor:
    """Squared distance [B, 1, h, w] of each place of a displacement [B, 2, h, w] to the nearest keypoint [B, K, 2]."""
    grid = identity_grid(int(displacement.shape[2]), int(displacement.shape[3]), displacement)
    return (grid[:, None] - points[..., None, None]).square().sum(2).amin(1, keepdim=True)


STEEPEST = 0.8
"""Where a displacement falls by more than this for each pixel, what is seen there is nearly folded."""
REACH = (1, 2, 4, 8, 16)
"""Places on the motion grid by which a displacement is carried on, doubling: 31 in all."""
NEAR, FAR = 0.2, 0.35
"""Nearer to a keypoint than the first (half crops) nothing is changed: lips may fold. From the second on all is."""


@exact
def unfolded(displacement: Tensor, driving: Tensor) -> Tensor:
    """The displacement [B, 2, 64, 64] without folds away from keypoints [B, 10, 2].

    Behind a head that turned, what moved and what stood still meet: the pivot's hair would be seen twice there, once
    mirrored, in swirls. So what moved carries what lies beside it along, less and less, and that is drawn out: in each
    row of x and each column of y, no place is looked up before one that lies before it.
    """
    ways = torch.cat([displacement[:, :1], displacement[:, 1:].transpose(2, 3)], 1)
    step = STEEPEST * 2 / MOTION_SIZE
    plus, minus = ways.clamp(min=0), ways.clamp(max=0)
    on, back = plus, minus
    for reach in REACH:
        on = torch.maximum(on, F.pad(on[..., :-reach], (reach, 0), value=0.0) - reach * step)
        back = torch.minimum(back, F.pad(back[..., reach:], (0, reach), value=0.0) + reach * step)
    across, down = torch.split(on - plus + back - minus, 1, 1)
    away = off_keypoints(driving, displacement).sqrt()
    carried = torch.cat([across, down.transpose(2, 3)], 1)
    return displacement + carried * ((away - NEAR) / (FAR - NEAR)).clamp(0, 1)


SEEN = 48
"""Channels that the network sees; what a representation does not fill is zero."""


class Motion(nn.Module):
    """A U-net on 64x64 that mixes the candidate warps."""

    def __init__(self, tier: Tier, candidates: int = CANDIDATES) -> None:
        super().__init__()
        self.candidates = candidates
        a, b, c, d = tier.motion
        self.stem = ConvNorm(SEEN, a)
        self.down1 = nn.Sequential(ConvNorm(a, b, 2), ConvNorm(b, b))
        self.down2 = nn.Sequential(ConvNorm(b, c, 2), ConvNorm(c, c))
        self.down3 = nn.Sequential(ConvNorm(c, d, 2), ConvNorm(d, d))
        self.up2 = ConvNorm(d + c, c)
        self.up1 = ConvNorm(c + b, b)
        self.up0 = ConvNorm(b + a, a)
        self.head = nn.Conv2d(a, -(-(candidates + 3) // 16) * 16, 3, 1, 1)
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            assert self.head.bias is not None
            self.head.bias.zero_()
            self.head.bias[2] = 2.0  # start from the bent warp

    def describe(self, small: Tensor, pivot: Tensor, driving: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Candidate displacements [B, N, 2, 64, 64], and what the network sees: at most 48 channels in all."""
        warps = candidate_warps(pivot, driving)
        grid = identity_grid(MOTION_SIZE, MOTION_SIZE, small)
        shown = [small, sample(small, grid + warps[:, 1]), sample(small, grid + warps[:, 2])]
        heat, still = heat_maps(driving), heat_maps(pivot)
        return warps, [*[s - 0.5 for s in shown], heat - still, heat, warps[:, 1], warps[:, 2]]

    def where(self, _pivot: Tensor, driving: Tensor) -> Tensor:
        """The driving frame's keypoints in the picture [B, 10, 2]."""
        return driving

    def forward(self, small: Tensor, pivot: Tensor, driving: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """small [B, 3, 64, 64] the pivot, keypoints [B, 10, 2] of both frames.

        Returns displacement [B, 2, 64, 64], occlusion [B, 1, 64, 64] in [0, 1] and hidden features [B, C, 64, 64].
        """
        warps, parts = self.describe(small, pivot.float(), driving.float())
        x = torch.cat([p.to(small.dtype) for p in parts], 1)
        x = torch.cat([x, torch.zeros_like(x[:, : SEEN - int(x.shape[1])])], 1)
        s0 = self.stem(x)
        s1 = self.down1(s0)
        s2 = self.down2(s1)
        x = self.up2(torch.cat([upsample(self.down3(s2)), s2], 1))
        x = self.up1(torch.cat([upsample(x), s1], 1))
        hidden = self.up0(torch.cat([upsample(x), s0], 1))
        out = self.head(hidden).float()
        n = self.candidates
        # Softmax, in the order of channels: ONNX Runtime's own transposes them, and takes three times as long.
        mix = (out[:, :n] - out[:, :n].amax(1, keepdim=True)).exp()
        mixed = (mix[:, :, None] * warps).sum(1) / mix.sum(1, keepdim=True)
        displacement = mixed + RESIDUAL * torch.tanh(out[:, n : n + 2])
        occlusion = torch.sigmoid(out[:, n + 2 : n + 3] + 2.0)
        return unfolded(displacement, self.where(pivot, driving).float()), occlusion, hidden
