"""Convolution blocks and warps that every network shares.

Channel counts are multiples of 16 wherever a layer is worth any time: ONNX Runtime's blocked CPU convolutions need it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

P = ParamSpec("P")
R = TypeVar("R")


def exact(function: Callable[P, R]) -> Callable[P, R]:
    """Geometry is computed in float32 even where the convolutions around it run in bfloat16."""

    @functools.wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            return function(*args, **kwargs)

    return inner


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size (or halves it with stride 2)."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)


class ConvNorm(nn.Sequential):
    """Convolution, batch norm (folded into the convolution by ONNX Runtime), ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))), without norms: a picture's brightness must survive it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.second = conv(channels, channels)
        with torch.no_grad():
            self.second.weight.mul_(0.3)

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.second(F.relu(self.first(F.relu(x))))
        return x + inner


def upsample(x: Tensor, scale: int = 2) -> Tensor:
    """Bilinear enlargement by a whole factor."""
    return F.interpolate(x, scale_factor=float(scale), mode="bilinear", align_corners=False)


def enlarged_blocks(x: Tensor) -> Tensor:
    """What `upsample` makes of x [B, C, H, W], as it lies in blocks of 2x2 pixels: [B, C, 4, H, W]. For ONNX Runtime's
    CPU provider a convolution is a fifth of the work of an enlargement and of what takes it to pieces."""
    near = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]], dtype=x.dtype, device=x.device)
    shares = (near[:, None, :, None] * near[None, :, None, :]).reshape(4, 1, 3, 3)
    channels = int(x.shape[1])
    wide = torch.cat([x[..., :1], x, x[..., -1:]], 3)
    wide = torch.cat([wide[:, :, :1], wide, wide[:, :, -1:]], 2)  # no padding by the edge: runtimes differ in it
    return torch.unflatten(F.conv2d(wide, shares.repeat(channels, 1, 1, 1), groups=channels), 1, (-1, 4))


def to_blocks(picture: Tensor, side: int) -> Tensor:
    """Pixels [B, C, H, W] as blocks [B, C side^2, H / side, W / side], which `pixel_shuffle` undoes. As a convolution,
    for ONNX Runtime's CPU provider takes four times as long to transpose."""
    channels = int(picture.shape[1])
    one_each = torch.eye(channels * side * side, dtype=picture.dtype, device=picture.device)
    return F.conv2d(picture, one_each.view(-1, channels, side, side), stride=side)


@exact
def identity_grid(height: int, width: int, like: Tensor) -> Tensor:
    """Pixel centres of a picture as [1, 2, height, width]: x, y in [-1, 1] (align_corners=False convention)."""
    x = (torch.arange(width, dtype=torch.float32, device=like.device) * 2 + 1) / width - 1
    y = (torch.arange(height, dtype=torch.float32, device=like.device) * 2 + 1) / height - 1
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])[None]


@exact
def sample(features: Tensor, grid: Tensor) -> Tensor:
    """Look features [B, C, H, W] up at grid [B, 2, h, w] (x, y in [-1, 1]), bilinear, repeating the border.

    The grid is clamped to the outermost pixel centres and padding is `zeros`: the one GridSample that ONNX Runtime's
    CPU provider runs fast. Always in float32: half precision misplaces pixels.
    """
    height, width = int(features.shape[-2]), int(features.shape[-1])
    limit = torch.tensor([1 - 1 / width, 1 - 1 / height], dtype=torch.float32, device=grid.device).view(1, 2, 1, 1)
    clamped = torch.maximum(torch.minimum(grid.float(), limit), -limit)
    return F.grid_sample(
        features.float(), clamped.permute(0, 2, 3, 1), mode="bilinear", padding_mode="zeros", align_corners=False
    ).to(features.dtype)
