"""A Fréchet distance between two sets of pictures, on SqueezeNet's features.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", NeurIPS 2017: both
sets' features are taken for normal distributions. Theirs (FID) are Inception's last pooled features, whose weights
are not at hand; here they are the last tapped layer (512 channels) of LPIPS' SqueezeNet, averaged over the picture at
224x224. Numbers compare within one table, never with a paper's FID. Fewer pictures than features bias it upwards,
for all alike.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg

from facewire.types import Picture
from facewire_export.lpips import Lpips, to_tensor
from facewire_export.metrics import MetricError

SIDE = 224

Features = NDArray[np.float32]
"""float32 [n, 512], one row for each picture."""


def describe(net: Lpips, picture: Picture) -> Features:
    """float32 [512] of one picture."""
    small = np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    with torch.inference_mode():
        x = ((to_tensor(small) - net.shift) / net.scale).contiguous(memory_format=torch.channels_last)
        features: torch.Tensor = net.features(x)
        return np.asarray(features.mean((2, 3))[0].numpy(), np.float32)


def distance(first: Features, second: Features) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)); 0 for the same set, symmetric. Raises MetricError under two rows."""
    if min(len(first), len(second)) < 2:
        raise MetricError("a Fréchet distance needs at least two pictures on each side")
    a, b = first.astype(np.float64), second.astype(np.float64)
    # With A = X'X and B = Y'Y, tr((A B)^(1/2)) is the sum of the singular values of X Y': exact however few rows.
    x = (a - a.mean(0)) / np.sqrt(len(a) - 1)
    y = (b - b.mean(0)) / np.sqrt(len(b) - 1)
    shared = linalg.svdvals(x @ y.T).sum()
    apart = float(np.sum((a.mean(0) - b.mean(0)) ** 2))
    return max(0.0, apart + float((x * x).sum() + (y * y).sum() - 2 * shared))
