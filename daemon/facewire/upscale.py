"""Upscaling: coded size to shown size, bicubic first, then sharpened patch by patch by the upscaler network.

The network sees patches of one fixed side, the shown picture may have any; so patches overlap. They are spread so
that the first and the last touch the picture's edges exactly, and blended with ramps that add up to one everywhere:
what a patch knows badly (its rim, where the convolutions see padding) weighs next to nothing.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.errors import ConfigError, ModelError
from facewire.networks.session import Session, host
from facewire.planes import Planes, resized, to_picture
from facewire.types import Picture

MIN_SIZE, MAX_SIZE = 64, 2160
BLOCK = 4
"""The network works on blocks of 4x4 pixels, and was taught what enlargement does at each place of one: a patch that
began between two blocks would be sharpened where it is not blurred (0.003 LPIPS at 512)."""
BATCH_PIXELS = 128 * 128
"""Pixels in one run of the network, at least one patch: larger batches leave the cache (see Upscaler)."""


def places(size: int, patch: int, overlap: int) -> list[int]:
    """Where patches start along one side: the fewest that cover `size` and overlap by at least `overlap` pixels,
    spread as evenly as blocks allow, the last one ending exactly at `size`. `patch` must not exceed `size`."""
    room = size - patch
    if room <= 0:
        return [0]
    count = math.ceil(room / ((patch - overlap) // BLOCK * BLOCK))
    return [min(room, math.ceil(index * room / count / BLOCK) * BLOCK) for index in range(count + 1)]


def weights(starts: list[int], patch: int) -> NDArray[np.float32]:
    """float32 [len(starts), patch]: each patch's share of the pixels it covers, ramps where it overlaps its
    neighbours, one elsewhere. Shares of one pixel add up to one."""
    shares = np.ones((len(starts), patch), np.float32)
    for index in range(len(starts) - 1):
        width = starts[index] + patch - starts[index + 1]
        ramp = ((np.arange(width) + 0.5) / width).astype(np.float32)
        shares[index + 1, :width] *= ramp
        shares[index, patch - width :] *= ramp[::-1]
    total = np.zeros(starts[-1] + patch, np.float32)
    for start, share in zip(starts, shares, strict=True):
        total[start : start + patch] += share
    return np.stack([share / total[start : start + patch] for start, share in zip(starts, shares, strict=True)])


class Upscaler:
    """Turns reconstructions into shown pictures of `size` x `size`. Not for two threads at once (it owns buffers).

    finisher: the network that a GPU's set has for all of it. Without a network, or where nothing is enlarged, it only
    resizes. Raises ConfigError for a size it does not do.
    """

    def __init__(self, session: Session | None, size: int = 512, finisher: Session | None = None) -> None:
        if not MIN_SIZE <= size <= MAX_SIZE:
            raise ConfigError(f"size = {size}: allowed {MIN_SIZE} to {MAX_SIZE}")
        self.size = size
        self._session = session
        # On a GPU one network does it all, for the one size that it was made for.
        fits = finisher is not None and next(iter(finisher.outputs.values()))[1] == size
        self._finisher = finisher if fits else None
        if session is None:
            return
        self._input, shape = next(iter(session.inputs.items()))
        self._output = next(iter(session.outputs))
        side = shape[-1]
        if len(shape) != 4 or side is None or side != shape[-2] or shape[1] != 3:
            raise ModelError(f"network upscaler: takes {shape}, not square patches of 3 colours")
        self._patch = side
        starts = places(max(size, side), side, overlap=max(8, side // 16))
        self._spots = [(top, left) for top in starts for left in starts]
        along = weights(starts, side)
        self._weights = [np.outer(row, column) for row in along for column in along]
        batch = max(1, BATCH_PIXELS // (side * side)) if shape[0] is None else shape[0]
        self._gathered = np.empty((batch, 3, side, side), np.float32)
        self._canvas = np.empty((1, 3, max(size, side), max(size, side)), np.float32)

    @property
    def patches(self) -> int:
        """How many patches the network sees for one picture; 0 without a network."""
        return 0 if self._session is None else len(self._spots)

    def show(self, planes: Planes) -> Picture:
        """float32 [1, 3, coded, coded] in 0..1 to uint8 [size, size, 3]. Raises ModelError if the network fails."""
        if self._finisher is not None:
            return np.asarray(host(self._finisher.run({"picture": planes})["shown"])[0], np.uint8)
        large = resized(planes, self.size)
        if self._session is None or self.size <= planes.shape[-1]:
            return to_picture(large)
        if self.size < self._patch:
            large = self._padded(large)
        return to_picture(self._sharpened(large)[:, :, : self.size, : self.size])

    def _padded(self, planes: Planes) -> Planes:
        room = self._patch - self.size
        out = np.empty_like(self._canvas)
        for channel in range(3):
            out[0, channel] = cv2.copyMakeBorder(planes[0, channel], 0, room, 0, room, cv2.BORDER_REPLICATE)
        return out

    def _sharpened(self, large: Planes) -> Planes:
        assert self._session is not None
        side, batch, canvas = self._patch, len(self._gathered), self._canvas
        canvas.fill(0)
        for first in range(0, len(self._spots), batch):
            spots = self._spots[first : first + batch]
            for index, (top, left) in enumerate(spots):
                self._gathered[index] = large[0, :, top : top + side, left : left + side]
            # A network with a fixed batch gets its full number; what is left over from the run before is ignored.
            free = next(iter(self._session.inputs.values()))[0] is None
            given = self._gathered[: len(spots)] if free else self._gathered
            sharp = self._session.run({self._input: given})[self._output]
            for index, (top, left) in enumerate(spots):
                share = self._weights[first + index]
                canvas[0, :, top : top + side, left : left + side] += sharp[index] * share
        return canvas
