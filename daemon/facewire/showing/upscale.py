"""Upscaling: coded size to shown size, bicubic first, then sharpened patch by patch by the upscaler network.

The network was taught pictures that were enlarged to TAUGHT, and knows no others: at 1024 it would draw a grid over
skin. So it always sees them at that size, and what it made is fitted to the shown one.

It takes patches of one fixed side (patches.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.errors import ConfigError, ModelError
from facewire.networks.session import Session, host
from facewire.showing.patches import grid
from facewire.showing.planes import Planes, fitted, resized, to_picture
from facewire.types import Picture

MIN_SIZE, MAX_SIZE = 64, 2160
TAUGHT = 512
"""Side of the pictures that the network knows: twice the coded one."""
BATCH_PIXELS = 128 * 128
"""Pixels in one run of the network, at least one patch: larger batches leave the cache (see Upscaler)."""


class Upscaler:
    """Turns reconstructions into shown pictures of `size` x `size`. Not for two threads at once (it owns buffers).

    finisher: the network that a GPU's set has for all of it. composer: the one that makes a picture at TAUGHT at once,
    of a pivot that is as large. Without a network, or where nothing is enlarged, it only resizes. Raises
    ConfigError for a size it does not do, ModelError for a network that does something else.
    """

    def __init__(
        self,
        session: Session | None,
        size: int = 512,
        finisher: Session | None = None,
        composer: Session | None = None,
    ) -> None:
        if not MIN_SIZE <= size <= MAX_SIZE:
            raise ConfigError(f"size = {size}: allowed {MIN_SIZE} to {MAX_SIZE}")
        self.size = size
        self._session, self._finisher, self._composer = session, finisher, composer
        if session is None:
            return
        self._input, shape = next(iter(session.inputs.items()))
        self._output = next(iter(session.outputs))
        side = shape[-1]
        if len(shape) != 4 or side is None or side != shape[-2] or side > TAUGHT or shape[1] != 3:
            raise ModelError(f"network upscaler: takes {shape}, not square patches of 3 colours, {TAUGHT} at most")
        self._patch = side
        self._spots = grid(TAUGHT, side, overlap=max(8, side // 16))
        batch = max(1, BATCH_PIXELS // (side * side)) if shape[0] is None else shape[0]
        self._gathered = np.empty((batch, 3, side, side), np.float32)
        self._canvas = np.empty((1, 3, TAUGHT, TAUGHT), np.float32)

    @property
    def patches(self) -> int:
        """How many patches the network sees for one picture; 0 without a network."""
        return 0 if self._session is None else len(self._spots)

    def show(self, planes: Planes, large: Mapping[str, NDArray[Any]] | None = None) -> Picture:
        """float32 [1, 3, coded, coded] in 0..1 to uint8 [size, size, 3]. large: the composer's inputs, where the same
        may be made from a large pivot (animator.Rebuilt). Raises ModelError if the network fails."""
        if self.size <= planes.shape[-1] or (self._session is None and self._finisher is None):
            return to_picture(resized(planes, self.size))
        if large is not None and self._composer is not None:
            return fitted(to_picture(self._composer.run(large)["between"]), self.size)
        if self._finisher is not None:
            return fitted(np.asarray(host(self._finisher.run({"picture": planes})["shown"])[0], np.uint8), self.size)
        return fitted(to_picture(self._sharpened(resized(planes, TAUGHT))), self.size)

    def _sharpened(self, large: Planes) -> Planes:
        assert self._session is not None
        side, batch, canvas = self._patch, len(self._gathered), self._canvas
        canvas.fill(0)
        for first in range(0, len(self._spots), batch):
            spots = self._spots[first : first + batch]
            for index, (top, left, _) in enumerate(spots):
                self._gathered[index] = large[0, :, top : top + side, left : left + side]
            # A network with a fixed batch gets its full number; what is left over from the run before is ignored.
            free = next(iter(self._session.inputs.values()))[0] is None
            given = self._gathered[: len(spots)] if free else self._gathered
            sharp = self._session.run({self._input: given})[self._output]
            for index, (top, left, share) in enumerate(spots):
                for made, whole in zip(sharp[index], canvas[0], strict=True):
                    cv2.accumulateProduct(made, share, whole[top : top + side, left : left + side])
        return canvas
