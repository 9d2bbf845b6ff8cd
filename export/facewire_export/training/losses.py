"""The picture loss that all pixel networks share, the scores they are judged by, and their contact sheets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from facewire_export.lpips import Lpips
from facewire_export.perceptual import PyramidLoss


class PictureLoss:
    """Colour, perceptual pyramid and LPIPS of pictures [B, 3, H, W] in [0, 1]."""

    def __init__(self, lpips: Lpips, pyramid: PyramidLoss, colour: float) -> None:
        self.lpips, self.pyramid, self.colour = lpips, pyramid, colour

    def distance(self, fake: Tensor, real: Tensor) -> Tensor:
        """Mean LPIPS."""
        return self.lpips(fake * 2 - 1, real * 2 - 1).mean()  # type: ignore[no-any-return]

    def __call__(self, fake: Tensor, real: Tensor, weight: Tensor | None = None) -> tuple[Tensor, dict[str, float]]:
        """Total and its parts; weight [B, 1, H, W] counts in the colour part."""
        fake = fake.float()
        error = (fake - real).abs()
        colour = error.mean() if weight is None else (error * weight).mean() / weight.mean()
        perceptual, distance = self.pyramid(fake, real), self.distance(fake, real)
        total = self.colour * colour + perceptual + 2 * distance
        return total, {"colour": colour.item(), "perceptual": perceptual.item(), "lpips": distance.item()}


class Scores:
    """LPIPS and PSNR by name, averaged over pictures."""

    def __init__(self, loss: PictureLoss) -> None:
        self._loss = loss
        self._values: dict[str, list[float]] = {}

    def add(self, name: str, fake: Tensor, real: Tensor) -> None:
        """Judge one picture [1, 3, H, W] against the real one."""
        error = F.mse_loss(fake, real).item()
        self._values.setdefault(f"lpips_{name}", []).append(self._loss.distance(fake, real).item())
        self._values.setdefault(f"psnr_{name}", []).append(-10 * float(np.log10(error + 1e-10)))

    def means(self) -> dict[str, float]:
        """Names in the order in which they were first added: the first one is what the best weights are chosen by."""
        return {name: round(float(np.mean(values)), 4) for name, values in self._values.items()}


def sheet(rows: Sequence[Sequence[Tensor]]) -> NDArray[np.uint8]:
    """Rows of pictures [3, H, W] -> uint8 [rows * H, columns * W, 3]."""
    whole = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
    return np.asarray(whole.clamp(0, 1).permute(1, 2, 0).mul(255).round().byte().cpu().numpy())
