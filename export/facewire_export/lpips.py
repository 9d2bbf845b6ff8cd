"""LPIPS v0.1, written from its paper and weight files, for measuring.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018. The weight files
(`lpips_squeeze.pth`, `lpips_alex.pth`: torchvision-named `features.*` plus `lin{k}.model.1.weight`) are given by a
folder at run time and are no part of this project.

A picture's features can be kept and compared with several others, which halves the work when one real frame is set
against several shown ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facewire_export.metrics import MetricError

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""ImageNet's mean and deviation for pictures in [-1, 1], as the reference implementation rounds them."""


class Fire(nn.Module):
    """SqueezeNet's block: squeeze to few channels, expand by 1x1 and 3x3 beside each other."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs, h, w] -> [n, 2 * expand, h, w]."""
        x = torch.relu(self.squeeze(x))
        return torch.cat([torch.relu(self.expand1x1(x)), torch.relu(self.expand3x3(x))], 1)


def _pool(ceil: bool) -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=ceil)


def _squeeze_layers() -> list[nn.Module]:
    return [
        nn.Conv2d(3, 64, 3, 2), nn.ReLU(), _pool(True), Fire(64, 16, 64), Fire(128, 16, 64),
        _pool(True), Fire(128, 32, 128), Fire(256, 32, 128), _pool(True), Fire(256, 48, 192),
        Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
    ]  # fmt: skip


def _alex_layers() -> list[nn.Module]:
    return [
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), _pool(False), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(),
        _pool(False), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    ]  # fmt: skip


BACKBONES = {
    "squeeze": (_squeeze_layers, (1, 4, 7, 9, 10, 11, 12), (64, 128, 256, 384, 384, 512, 512)),
    "alex": (_alex_layers, (1, 4, 7, 9, 11), (64, 192, 384, 256, 256)),
}
"""Name -> (layers, the layers whose outputs are compared, their channels)."""


class _Weighing(nn.Module):
    """One learned weight for each channel; nested as the weight files name it (`model.1.weight`)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Identity(), nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x)
        return out


class Lpips(nn.Module):
    """The metric as a torch module; pictures are float [n, 3, h, w] in [-1, 1], result float [n]; 0 is identical."""

    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: str = "squeeze") -> None:
        super().__init__()
        layers, self.taps, channels = BACKBONES[backbone]
        self.features = nn.Sequential(*layers())
        for k, count in enumerate(channels):
            self.add_module(f"lin{k}", _Weighing(count))
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1), persistent=False)

    def describe(self, pictures: Tensor) -> list[Tensor]:
        """Unit-length features at each tapped layer."""
        # Channels last: half the usual order's time on a CPU.
        x = ((pictures - self.shift) / self.scale).contiguous(memory_format=torch.channels_last)
        found = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                # Clamped so that a spot without any activity has a gradient of zero, not NaN, when this is a loss.
                length = torch.sqrt(torch.sum(x * x, 1, keepdim=True).clamp_min(1e-20))
                found.append(x / (length + 1e-10))
        return found

    def distance(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """Distance [n] between two lots of features from `describe`."""
        total = torch.zeros(())
        for k, (a, b) in enumerate(zip(first, second, strict=True)):
            weighed = self.get_submodule(f"lin{k}")((a - b) ** 2)
            total = total + weighed.mean((1, 2, 3))
        return total

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distance [n] between pictures."""
        return self.distance(self.describe(first), self.describe(second))


def load_lpips(weights: Path, backbone: str = "squeeze") -> Lpips:
    """Read `lpips_<backbone>.pth` from the weights folder; raises MetricError when it is not there or does not fit."""
    path = weights / f"lpips_{backbone}.pth"
    if not path.is_file():
        raise MetricError(f"{path}: not there; give the folder with LPIPS weights by --weights")
    net = Lpips(backbone)
    try:
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, ValueError, KeyError) as error:
        raise MetricError(f"{path}: no LPIPS weights for {backbone} ({str(error).splitlines()[0]})") from error
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net.eval().requires_grad_(False)


def to_tensor(picture: NDArray[np.uint8]) -> Tensor:
    """uint8 [h, w, 3] -> float32 [1, 3, h, w] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float().div_(127.5).sub_(1.0)[None]
