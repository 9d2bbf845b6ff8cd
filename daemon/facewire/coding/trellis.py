"""Fitted deformations as whole steps, for as few bytes as may be: trellis quantisation.

What a node's movement costs is the error that it leaves, by the fit's own measure, and the bits of its changes. The
path with the least of both is found by dynamic programming, node by node (Viterbi, IEEE Trans. IT 13(2), 1967; for
video coders' coefficients: Wen, Luttrell, Villasenor, IEEE Trans. IP 9(8), 2000). What trembles stands still, and what
moves begins to when it is cheapest. What a change costs depends on those around it, so all paths are found again, as
each is cheapest beside the others of the time before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facewire.showing.deformation import Fit
from facewire.types import Bundle, GridDeformation
from facewire.wire.deformation import ESCAPE, KINDS, LIMIT, change_bits
from facewire.wire.packets import pack

_CHANGE, _DOUBLING = 3.5, 1.5
"""Bits that any change of a node takes more than none, and each doubling of it, whatever is around it."""
_FIRST = 1.2
"""Bits for each doubling of the first value, which is never free."""
AGAIN = 3
"""How often paths are found again: 9 % fewer bytes for the same error in long bundles, 6 % in those of six frames."""
LEAST, MOST, TRIALS = 1e-6, 1e-1, 8
"""Between which prices of a bit (in the fit's cost) the one that keeps to the bytes is looked for, and how often."""
CLOSE = 0.01
"""The share of the bytes that may be left over."""

_Float = NDArray[np.float64]
_Whole = NDArray[np.int64]


def to_grid(fits: Sequence[Fit], kind: int, price: float) -> list[GridDeformation]:
    """Whole steps of the deformations of a bundle's frames. price: of a bit, in the fit's cost; 0: the nearest."""
    step = KINDS[kind].step / 128
    exact = np.stack([np.clip(fit.nodes / step, -LIMIT, LIMIT).reshape(-1) for fit in fits]).astype(np.float64)
    weights = np.stack([fit.weights.reshape(-1) for fit in fits]) * step**2
    shape = fits[0].nodes.shape
    return [whole.reshape(shape).astype(np.int16) for whole in _paths(exact, weights, price, shape)]


def _paths(exact: _Float, weights: _Float, price: float, shape: tuple[int, ...]) -> _Whole:
    """The best whole numbers [frames, values] for these. shape: of a frame's."""
    levels = np.arange(np.floor(min(exact.min(), 0)), np.ceil(max(exact.max(), 0)) + 1).astype(np.int64)
    errors = weights[..., None] * (exact[..., None] - levels) ** 2
    errors[0] += price * _FIRST * np.log2(1 + np.abs(levels))
    changes = levels - levels[:, None]
    anywhere = price * np.where(changes, _CHANGE + _DOUBLING * np.log2(np.maximum(abs(changes), 1)), 0)
    whole = levels[_cheapest(errors, [anywhere] * (len(errors) - 1))]
    places = np.clip(changes, -ESCAPE, ESCAPE) + ESCAPE
    for _ in range(AGAIN if price and len(errors) > 1 else 0):
        bits = change_bits(np.diff(whole.reshape(-1, *shape), axis=0))
        whole = levels[_cheapest(errors, (price * of.reshape(-1, of.shape[-1])[:, places] for of in bits))]
    return whole


def _cheapest(errors: _Float, moves: Iterable[_Float]) -> _Whole:
    """The path of each value that costs least: which of its levels in each frame, [frames, values]. errors: [frames,
    values, levels]; moves: from each frame to the next [values or nothing, from, to]."""
    total, origins = errors[0], []
    for error, move in zip(errors[1:], moves, strict=True):
        tried = total[:, :, None] + move
        origins.append(tried.argmin(1))
        total = tried.min(1) + error
    places = [total.argmin(1)]
    values = np.arange(errors.shape[1])
    for origin in reversed(origins):
        places.append(origin[values, places[-1]])
    return np.stack(places[::-1])


def deformed(
    bundles: Sequence[Bundle], fitted: Sequence[Sequence[Fit]], kind: int, frame_bytes: float
) -> list[Bundle]:
    """The bundles with deformations (one for each frame that is not of low confidence) of a kind.

    They take `frame_bytes` a frame at most, all in all; where even the coarsest would take more, there are none.
    """
    most = frame_bytes * sum(len(fits) for fits in fitted) + sum(len(pack(message)) for message in bundles)

    def tried(price: float) -> tuple[list[Bundle], float]:
        """With this price; and how far below the bytes that is, as a share of them."""
        out = [
            _with(message, to_grid(fits, kind, price)) if fits else message
            for message, fits in zip(bundles, fitted, strict=True)
        ]
        return out, 1 - sum(len(pack(message)) for message in out) / most

    best, spare = tried(0.0)
    if spare >= 0:
        return best
    best, above = tried(MOST)
    if above < 0:
        return list(bundles)
    low, high, below = np.log(LEAST), np.log(MOST), spare
    for _ in range(TRIALS):
        if above <= CLOSE:
            break
        # Where a straight line through both ends would meet the bytes; halfway between that and the middle.
        middle = high - (high - low) * (0.25 + 0.5 * above / (above - below))
        found, spare = tried(float(np.exp(middle)))
        if spare < 0:
            low, below = middle, spare
        else:
            best, high, above = found, middle, spare
    return best


def _with(message: Bundle, deformations: Sequence[GridDeformation]) -> Bundle:
    found = iter(deformations)
    frames = [frame if frame.low_confidence else replace(frame, deformation=next(found)) for frame in message.frames]
    return replace(message, frames=tuple(frames))
