"""Fits deformations: where the keypoints' movement misses the real frame, a coarse grid of displacements puts it right.

The sender knows what the receiver will do: it moves the same pivot by the same network, and sees the frame that it
should have come to. `Fitter` looks for the deformation that brings the moved pivot nearest to the frame, by
Gauss-Newton steps (Lucas, Kanade, IJCAI 1981; Baker, Matthews, IJCV 56(3), 2004) on a free-form deformation's nodes
(Rueckert et al., IEEE TMI 18(8), 1999). What the generator paints over, and what fits nothing, counts little. No
network is asked for derivatives, and the receiver's work stays the same.

How near two pictures are is measured in colour and in fine structure of even contrast, at half the coded size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.networks import Networks
from facewire.showing.scenes import scene_feeds
from facewire.types import Bundle, Epoch, GridDeformation, Picture, Points
from facewire.wire.deformation import KINDS
from facewire.wire.keypoints import from_grid as to_points
from facewire.wire.pivot import decode_pivot

FIELD = 64
"""Side of the grid on which movement is estimated."""
SIDE = 128
"""Side of the pictures that are compared."""
FIRST_STEPS, STEPS = 8, 3
"""Gauss-Newton steps for a frame that nothing leads to, and for one that follows another."""
STILL, SMALL, ROUGH = 4e-2, 5e-3, 1e-1
"""Price of a squared change since the frame before, of a squared displacement, and of a squared difference between
neighbours, in half crops. The last keeps faces' shapes (docs/training.md)."""
FACE, REACH = 6.0, 0.12
"""How much more places at keypoints count, and how far around (half crops)."""
STRIDE = 0.08
"""Longest step of a node, half crops."""
FAR = 0.25
"""Difference (of 1.0 in colour) from which on a place counts less, as Huber would have it."""
_STRUCTURE, _LEVEL, _RADIUS = 0.12, 0.03, 3.0
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

Array = NDArray[np.float32]


@cache
def basis(nodes: int) -> Array:
    """How much each node moves each place of the field, along one side: float32 [nodes, 64] (cubic convolution)."""
    return np.asarray(cv2.resize(np.eye(nodes, dtype=np.float32), (FIELD, nodes), interpolation=cv2.INTER_CUBIC))


def spread(nodes: NDArray[Any]) -> Array:
    """The field float32 [1, 2, 64, 64] of displacements [2, n, n], in the same unit."""
    line = basis(nodes.shape[-1])
    return np.asarray(line.T @ nodes.astype(np.float32) @ line, np.float32)[np.newaxis]


def from_grid(deformation: GridDeformation | None) -> Array:
    """The generator's input float32 [1, 2, 64, 64], half crops, of what was sent; None: zeros."""
    if deformation is None:
        return _none()
    step = next(kind.step for kind in KINDS if kind.nodes == deformation.shape[-1])
    return spread(deformation * np.float32(step / 128))


@cache
def stiffness(nodes: int) -> NDArray[np.float64]:
    """The price of displacements as they are, apart from the frame before: float64 [nn, nn], a quadratic form of the
    nodes of one direction."""
    apart = np.diff(np.eye(nodes), axis=0)
    line, unit = apart.T @ apart, np.eye(nodes)
    return ROUGH * (np.kron(line, unit) + np.kron(unit, line)) + SMALL * np.eye(nodes * nodes)


@cache
def _none() -> Array:
    zeros = np.zeros((1, 2, FIELD, FIELD), np.float32)
    zeros.setflags(write=False)  # a GPU's session uploads it once
    return zeros


class Fit(NamedTuple):
    """A deformation as it was found. nodes: float32 [2, n, n], half crops. weights: float64 [2, n, n], what a squared
    half crop that a node is off costs. moved: float32 [2, 64, 64], the displacement that it is added to."""

    nodes: Array
    weights: NDArray[np.float64]
    moved: Array


def fit_bundle(fitter: Fitter, message: Bundle, epoch: Epoch, pictures: Mapping[int, Picture]) -> list[Fit]:
    """Deformations of a bundle's frames that are not of low confidence; pictures: what was coded, by frame number."""
    sure = [frame for frame in message.frames if not frame.low_confidence]
    return [
        fitter.fit(to_points(frame.points, epoch.step, epoch.reference), pictures[frame.number]) for frame in sure
    ]


def displacements(message: Bundle, fits: Sequence[Fit]) -> list[Array]:
    """What a receiver will make of those frames: float32 [2, 64, 64] each, deformations included. fits: of its frames
    that are not of low confidence."""
    sure = (frame for frame in message.frames if not frame.low_confidence)
    return [fit.moved + from_grid(frame.deformation)[0] for frame, fit in zip(sure, fits, strict=True)]


class Movement:
    """What keypoints alone make of a pivot, as the receiver has it. Raises ModelError."""

    def __init__(self, networks: Networks, pivot: bytes) -> None:
        self.feeds = scene_feeds(networks, decode_pivot(pivot))
        self._motion = networks["motion"]
        self._still = {"small": self.feeds["small"], "pivot_keypoints": self.feeds["pivot_keypoints"]}

    def of(self, points: Points) -> dict[str, Array]:
        """Of one frame: displacement float32 [1, 2, 64, 64] half crops, occlusion float32 [1, 1, 64, 64]."""
        return self._motion.run({**self._still, "keypoints": points[np.newaxis]})

    def of_bundle(self, message: Bundle, epoch: Epoch) -> list[Array]:
        """Displacements float32 [2, 64, 64] of the frames that are not of low confidence."""
        sure = (frame for frame in message.frames if not frame.low_confidence)
        return [self.of(to_points(frame.points, epoch.step, epoch.reference))["displacement"][0] for frame in sure]


class Fitter:
    """Fits the frames of one pivot, in order. Raises ModelError.

    pivot: coded, as the receiver has it. kind: place in wire.deformation.KINDS, not 0.
    """

    def __init__(self, networks: Networks, pivot: bytes, kind: int) -> None:
        self._movement = Movement(networks, pivot)
        self.kind, self._nodes = kind, KINDS[kind].nodes
        line = basis(self._nodes)
        self._line = line.astype(np.float64)
        self._pairs = np.einsum("iy,ky->iky", self._line, self._line).reshape(-1, FIELD)
        self._pivot = _features(np.ascontiguousarray(self._movement.feeds["pivot"][0].transpose(1, 2, 0)))
        unit = SIDE / 2 / 8  # Sobel's weights add up to 8; positions are in half crops
        self._slopes = [cv2.Sobel(self._pivot, cv2.CV_32F, *axis, scale=unit, borderType=cv2.BORDER_REPLICATE)
                        for axis in ((1, 0), (0, 1))]  # fmt: skip
        rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
        self._places = columns, rows
        self._last: Array | None = None

    def fit(self, points: Points, coded: Picture) -> Fit:
        """The deformation of a frame: keypoints as they are sent, and its picture."""
        columns, rows = ((places + 0.5) / (SIDE / 2) - 1 for places in self._places)
        away = np.min([(columns - x) ** 2 + (rows - y) ** 2 for x, y in points], axis=0)
        here = 1 + FACE * np.exp(-away / (2 * REACH**2))
        found = self._movement.of(points)
        moved, seen = found["displacement"][0], cv2.resize(found["occlusion"][0, 0], (SIDE, SIDE))
        seen = here * (0.1 + 0.9 * seen)
        real = _features(np.asarray(coded, np.float32) / 255)
        before = np.zeros((2, self._nodes, self._nodes), np.float32) if self._last is None else self._last
        nodes, damping = before, 1e-4
        cost, weights, misses = self._cost(real, moved, seen, nodes, before)
        for _ in range(FIRST_STEPS if self._last is None else STEPS):
            matrix, pull = self._normal(moved, nodes, before, weights, misses)
            step = _solved(matrix, pull, damping).reshape(nodes.shape)
            tried = nodes + np.clip(step, -STRIDE, STRIDE)
            now = self._cost(real, moved, seen, tried, before)
            if now[0] >= cost:
                damping = 10 * damping + 1e-3
                continue
            gain = cost - now[0]
            nodes, damping, (cost, weights, misses) = tried, max(damping / 4, 1e-6), now
            if gain < 1e-3 * cost:
                break
        self._last = nodes
        return Fit(nodes, np.diagonal(matrix).reshape(nodes.shape), moved)

    def _tension(self, nodes: Array) -> NDArray[np.float64]:
        """What draws nodes back, half the slope of their price: [2, n, n]."""
        return (nodes.reshape(2, -1) @ stiffness(self._nodes)).reshape(nodes.shape)

    def _at(self, picture: Array, field: Array) -> Array:
        """The picture [128, 128, c] as a displacement field [2, 64, 64] moves it."""
        wide = cv2.resize(field.transpose(1, 2, 0), (SIDE, SIDE)) * (SIDE / 2)
        columns, rows = self._places
        return np.asarray(
            cv2.remap(picture, columns + wide[..., 0], rows + wide[..., 1], cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)
        )  # fmt: skip

    def _cost(self, real: Array, moved: Array, seen: Array, nodes: Array, before: Array) -> tuple[float, Array, Array]:
        """What is to be made small; the weights [128, 128] of places, and what is missed there."""
        misses = real - self._at(self._pivot, moved + spread(nodes)[0])
        squares = np.einsum("yxc,yxc->yx", misses, misses)
        weights = seen * np.minimum(1, FAR / np.sqrt(np.maximum(squares, 1e-12)))
        price = STILL * ((nodes - before) ** 2).sum() + (nodes * self._tension(nodes)).sum()
        return float((weights * squares).mean() + price), weights, misses

    def _normal(
        self, moved: Array, nodes: Array, before: Array, weights: Array, misses: Array
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gauss-Newton's normal equations: matrix [2nn, 2nn] and right side [2nn]."""
        field = moved + spread(nodes)[0]
        across, down = (self._at(slope, field) for slope in self._slopes)

        def gathered(one: Array, other: Array) -> NDArray[np.float64]:
            """Weighted products, summed over what is compared: [64, 64]."""
            products = np.einsum("yxc,yxc->yx", one, other) * weights
            return np.asarray(cv2.resize(products, (FIELD, FIELD), interpolation=cv2.INTER_AREA), np.float64) / FIELD**2

        line, pairs, side = self._line, self._pairs, self._nodes
        blocks = [pairs @ gathered(*slopes) @ pairs.T for slopes in ((across, across), (across, down), (down, down))]
        # From rows and columns of nodes, each paired with its like, to pairs of nodes.
        aa, ad, dd = (b.reshape([side] * 4).transpose(0, 2, 1, 3).reshape(side**2, side**2) for b in blocks)
        matrix = np.block([[aa, ad], [ad, dd]])
        pull = np.stack([line @ gathered(slope, misses) @ line.T for slope in (across, down)])
        pull = (pull + STILL * (before - nodes) - self._tension(nodes)).reshape(-1)
        matrix += np.kron(np.eye(2), stiffness(side))
        matrix[np.diag_indices_from(matrix)] += STILL
        return matrix, pull


def _solved(matrix: NDArray[np.float64], pull: NDArray[np.float64], damping: float) -> NDArray[np.float64]:
    """A step, damped as by Levenberg and Marquardt."""
    damped = matrix.copy()
    damped[np.diag_indices_from(damped)] += damping * np.diagonal(matrix)
    return np.asarray(np.linalg.solve(damped, pull))


def _features(picture: Array) -> Array:
    """What is compared of a picture [h, w, 3] in 0..1: float32 [128, 128, 4], colours and structure."""
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    grey = small @ _LUMA
    fine = grey - cv2.GaussianBlur(grey, (0, 0), _RADIUS)
    contrast = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), _RADIUS) + _LEVEL**2)
    return np.dstack([small, _STRUCTURE * fine / contrast]).astype(np.float32)
