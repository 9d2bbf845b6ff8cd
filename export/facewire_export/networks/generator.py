"""Pivot encoder and repair network: warp the pivot's picture and features, then mend what warping cannot show."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facewire_export.networks.blocks import (
    Residual,
    conv,
    enlarged_blocks,
    exact,
    identity_grid,
    sample,
    to_blocks,
    upsample,
)
from facewire_export.networks.motion import Motion, off_keypoints
from facewire_export.networks.tiers import Tier


class PivotFeatures(NamedTuple):
    """What is computed once for each pivot: small [B, 3, 64, 64] and features at 128, 64 and 32 pixels."""

    small: Tensor
    fine: Tensor
    middle: Tensor
    coarse: Tensor


class PivotEncoder(nn.Module):
    """Pivot [B, 3, 256, 256] -> PivotFeatures."""

    def __init__(self, tier: Tier) -> None:
        super().__init__()
        a, b, c = tier.pivot
        self.fine = nn.Sequential(conv(12, a), nn.ReLU(inplace=True), conv(a, a))
        self.middle = nn.Sequential(nn.ReLU(), conv(a, b, stride=2), nn.ReLU(inplace=True), conv(b, b))
        self.coarse = nn.Sequential(nn.ReLU(), conv(b, c, stride=2), nn.ReLU(inplace=True), conv(c, c))

    def forward(self, pivot: Tensor) -> PivotFeatures:
        """pivot [B, 3, 256, 256] in [0, 1]."""
        small = F.avg_pool2d(pivot, 4)
        fine = self.fine(to_blocks(pivot - 0.5, 2))
        middle = self.middle(fine)
        return PivotFeatures(small, fine, middle, self.coarse(middle))


class Warped(NamedTuple):
    """The pivot's picture and features as the keypoints move them."""

    picture: Tensor
    fine: Tensor
    middle: Tensor
    coarse: Tensor
    occlusion: Tensor
    hidden: Tensor
    displacement: Tensor


def warp(pivot: Tensor, features: PivotFeatures, motion: tuple[Tensor, Tensor, Tensor]) -> Warped:
    """Move picture and features by the displacement [B, 2, 64, 64] at each one's own resolution."""
    displacement, occlusion, hidden = motion

    def moved(values: Tensor, move: Tensor) -> Tensor:
        return sample(values, identity_grid(int(move.shape[2]), int(move.shape[3]), move) + move)

    half = upsample(displacement)
    return Warped(
        moved(pivot, upsample(displacement, 4)),
        moved(features.fine, half),
        moved(features.middle, displacement) * occlusion.to(pivot.dtype),
        moved(features.coarse, F.avg_pool2d(displacement, 2)) * F.avg_pool2d(occlusion, 2).to(pivot.dtype),
        occlusion,
        hidden,
        half,
    )


class Layers(NamedTuple):
    """What a picture is made of: the moved pivot shines through where `keep` is 1, and `paint` lies on top."""

    displacement: Tensor
    """[B, 2, 64, 64], half crops."""
    keep: Tensor
    """[B, 1, 256, 256] in [0, 1]."""
    paint: Tensor
    """[B, 3, 256, 256]."""


EVEN = 5
"""Side of the squares, in blocks of four pixels, in which the four must be as bright as each other."""

MUCH = 4.0
"""Of where a quarter or more is painted that is wanted; elsewhere it would only take what is fine."""


KEPT = 1.0
"""Added to the mask: at first most of the pivot shines through."""


def evened(out: Tensor) -> Tensor:
    """What the repair network's head made, colours and mask in blocks of four pixels [B, 16, H, W], without the comb
    where much is painted and one of the four is brighter all over a place: each one's mean there gives way to what all
    four have, enlarged."""
    blocks = torch.unflatten(out, 1, (-1, 4))
    means = F.avg_pool2d(out, EVEN, 1, EVEN // 2, count_include_pad=False)
    means = torch.unflatten(means, 1, (-1, 4))
    change = enlarged_blocks(means.mean(2)) - means
    painted = 1 - torch.sigmoid(blocks[:, 3:] + change[:, 3:] + KEPT)
    return (blocks + change * (MUCH * painted).clamp(max=1)).flatten(1, 2)


class Repair(nn.Module):
    """A U-net from 32 to 128 pixels; the last step to 256 is a pixel shuffle of colours and a blend mask."""

    def __init__(self, tier: Tier) -> None:
        super().__init__()
        pivot_a, pivot_b, pivot_c = tier.pivot
        a, b, c = tier.repair
        hidden = tier.motion[0]
        self.enter = conv(pivot_b + hidden, c, stride=2)
        self.join = nn.Conv2d(c + pivot_c, c, 1)
        self.deep = nn.Sequential(*[Residual(c) for _ in range(tier.repair_blocks)])
        self.up_middle = nn.Conv2d(c, b, 1)
        self.middle = conv(b + pivot_b + hidden, b)
        self.middle_block = Residual(b)
        self.up_fine = nn.Conv2d(b, a, 1)
        self.fine = nn.Sequential(conv(a + pivot_a + 16, a), nn.ReLU(inplace=True), conv(a, a), nn.ReLU(inplace=True))
        self.head = conv(a, 16)
        with torch.no_grad():
            self.head.weight.mul_(0.1)

    def forward(self, w: Warped) -> tuple[Tensor, Tensor]:
        """Warped inputs (whole frames, or the same window cut from all of them) -> keep [B, 1, H, W] and paint
        [B, 3, H, W]; the picture is w.picture * keep + paint."""
        hidden = w.hidden
        x = self.enter(torch.cat([w.middle, hidden], 1))
        x = self.deep(self.join(torch.cat([x, w.coarse], 1)))
        x = upsample(self.up_middle(F.relu(x)))
        x = self.middle_block(self.middle(torch.cat([x, w.middle, hidden], 1)))
        x = upsample(self.up_fine(F.relu(x)))
        occlusion = upsample(w.occlusion).to(x.dtype)
        half = w.displacement.to(x.dtype)
        detail = torch.cat([to_blocks(w.picture - 0.5, 2), occlusion, half, half.square().sum(1, True)], 1)
        out = self.head(self.fine(torch.cat([x, w.fine, detail], 1)))
        painted, shines = torch.split(F.pixel_shuffle(evened(out), 2), [3, 1], 1)
        keep = torch.sigmoid(shines + KEPT)
        return keep, (painted + 0.5) * (1 - keep) + painted * 0.1


CALM, MOVING = 0.5 / 128, 1.5 / 128
"""Changes of displacement since the frame before, in half crops (half a pixel of 256 and one and a half): below the
first a place is taken to stand still, above the second to move."""
FACE = 0.15
"""Around keypoints, in half crops, nothing is held still: lips and eyelids move by less than a pixel."""


@exact
def steadied(displacement: Tensor, before: Tensor, points: Tensor) -> Tensor:
    """The displacement [B, 2, 64, 64] without the trembling of keypoints [B, 10, 2]: what hardly moved since the frame
    before stays where it was. A static background is then the same picture in each frame."""
    change = displacement - before
    size = change.square().sum(1, keepdim=True).sqrt()
    share = ((size - CALM) / (MOVING - CALM)).clamp(0, 1)
    share = F.avg_pool2d(share, 3, 1, 1, count_include_pad=False)
    away = off_keypoints(points.float(), displacement)
    return before + torch.maximum(share, (2 * torch.exp(-away / (2 * FACE**2))).clamp(max=1)) * change


@exact
def stretched(displacement: Tensor, stretch: Tensor) -> Tensor:
    """The displacement [B, 2, 64, 64] and a stretch across a line (stretch [B, 9], see facewire.wire.mouth):
    what lies on the two sides of it in the pivot comes apart, or together."""
    grid = identity_grid(int(displacement.shape[2]), int(displacement.shape[3]), displacement)
    parts = torch.split(stretch.float()[..., None, None], [2, 2, 2, 2, 1], 1)
    centre, along, across, apart, steep = parts
    away = grid + displacement - centre
    u = (away * along).sum(1, keepdim=True)
    v = (away * across).sum(1, keepdim=True)
    return displacement + apart * torch.tanh(steep * v) * torch.exp(-u * u - 0.5 * v * v)


class Generator(nn.Module):
    """Motion, warps and repair: everything that runs for each keypoint frame."""

    def __init__(self, tier: Tier, motion: Motion | None = None) -> None:
        """motion: another way of describing movement than the shipped one, for comparisons."""
        super().__init__()
        self.motion = Motion(tier) if motion is None else motion
        self.repair = Repair(tier)

    def forward(
        self,
        pivot: Tensor,
        features: PivotFeatures,
        still: Tensor,
        driving: Tensor,
        deformation: Tensor | None = None,
        stretch: Tensor | None = None,
        before: Tensor | None = None,
    ) -> tuple[Tensor, Layers, Warped]:
        """pivot [B, 3, 256, 256], keypoints [B, 10, 2] of both frames -> picture, layers, what those were made from.

        deformation [B, 2, 64, 64], half crops: what the sender adds to the displacement (facewire.showing.deformation).
        stretch [B, 9]: what it adds at the lips (see stretched).
        before: the displacement of the frame before, far away if there was none (see steadied).
        """
        displacement, occlusion, hidden = self.motion(features.small, still, driving)
        if deformation is not None:
            displacement = displacement + deformation
        if stretch is not None:
            displacement = stretched(displacement, stretch)
        if before is not None:
            displacement = steadied(displacement, before, driving)
        warped = warp(pivot, features, (displacement, occlusion, hidden))
        keep, paint = self.repair(warped)
        return warped.picture * keep + paint, Layers(displacement, keep, paint), warped
