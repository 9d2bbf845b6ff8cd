"""Interpolator: a frame between two keypoint frames, out of what the generator already knows of both.

The paper's is a GAN on the two finished pictures. Both are the same pivot moved by two displacements, so the frame
between them is the pivot moved by a displacement in between: sampled once from the sharp picture, where a network that
looks at two finished pictures blurs both (docs/training.md has the figures). What was painted is cross-faded. Lips that
meet in between, though they are apart before and after, the sender says. There is nothing to train.
"""

from __future__ import annotations

from torch import Tensor, nn

from facewire_export.networks.blocks import identity_grid, sample, upsample
from facewire_export.networks.generator import Layers, stretched


class Interpolator(nn.Module):
    """(pivot, layers before, layers after, share, stretch) -> the frame that is `share` of the way between."""

    def forward(self, pivot: Tensor, before: Layers, after: Layers, share: Tensor, stretch: Tensor) -> Tensor:
        """pivot [B, 3, 256, 256], share [1] in [0, 1]: 0 is before, 1 is after, stretch [B, 9] (generator.stretched) ->
        picture, unclamped."""
        displacement, keep, paint = (a + (b - a) * share for a, b in zip(before, after, strict=True))
        displacement = stretched(displacement, stretch)
        grid = identity_grid(int(pivot.shape[2]), int(pivot.shape[3]), pivot)
        moved = sample(pivot, grid + upsample(displacement, 4))
        return moved * keep + paint
