"""Interpolator: a frame between two keypoint frames, out of what the generator already knows of both.

The paper's is a GAN on the two finished pictures. Both are the same pivot moved by two displacements, so the frame
between them is the pivot moved by a displacement in between: sampled once from the sharp picture, where a network that
looks at two finished pictures blurs both (docs/training.md has the figures). What was painted is cross-faded. Lips that
meet in between, though they are apart before and after, the sender says. There is nothing to train.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facewire_export.networks.blocks import identity_grid, sample, upsample
from facewire_export.networks.generator import Layers, stretched


class Interpolator(nn.Module):
    """(pivot, layers before, layers after, share, stretch) -> the frame that is `share` of the way between."""

    def forward(self, pivot: Tensor, before: Layers, after: Layers, share: Tensor, stretch: Tensor) -> Tensor:
        """pivot [B, 3, 256, 256], or twice as large (the composer), share [1] in [0, 1]: 0 is before, 1 is after,
        stretch [B, 9] (generator.stretched) -> picture of the pivot's size, unclamped."""
        displacement, keep, paint = (a + (b - a) * share for a, b in zip(before, after, strict=True))
        displacement = stretched(displacement, stretch)
        side, coded = int(pivot.shape[3]), int(keep.shape[3])
        x, y = upsample(displacement, side // int(displacement.shape[3])).split(1, dim=1)  # type: ignore[no-untyped-call]
        places = identity_grid(side, side, pivot)  # its lines are enough, and half a megabyte less in the file
        grid = torch.cat([x + places[:, :1, :1], y + places[:, 1:, :, :1]], dim=1)
        moved = sample(pivot, grid)
        if side != coded:
            keep, paint = upsample(keep, side // coded), upsample(paint, side // coded)
        return moved * keep + paint
