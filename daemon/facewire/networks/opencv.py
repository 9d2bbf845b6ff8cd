"""The interpolator and the composer on a CPU, by OpenCV.

They have no weights: layers of two frames are mixed, and the pivot is looked up where their displacement says
(`facewire_export.networks.interpolator`). ONNX Runtime's GridSample and Resize take three times as long for that. Here
places are rounded to 1/32 pixel: pictures of people are 60 dB and more from the network's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.networks.manifest import NetworkEntry, Shape
from facewire.networks.session import Arrays, feed_of
from facewire.networks.uploads import Uploads
from facewire.wire.mouth import stretched

MOVERS = frozenset({"interpolator", "composer"})
_LAYERS = ("displacement", "keep", "paint")
_WHEN = ("before", "after")
_INPUTS = frozenset({"pivot", "share", "stretch", *(f"{name}_{when}" for name in _LAYERS for when in _WHEN)})

Array = NDArray[np.float32]


class OpencvMover:
    """Implements session.Session. Not for two threads at once."""

    def __init__(self, entry: NetworkEntry) -> None:
        self._name = entry.name
        self.inputs: Mapping[str, Shape] = entry.inputs
        self.outputs: Mapping[str, Shape] = entry.outputs
        self._side = entry.inputs["pivot"][-1] or 0
        self._columns, self._rows = np.meshgrid(*[np.arange(self._side, dtype=np.float32)] * 2)
        self._pivots = Uploads()

    @staticmethod
    def does(entry: NetworkEntry) -> bool:
        """Whether this network is one of these two, and takes what they take."""
        return entry.name in MOVERS and set(entry.inputs) == _INPUTS and set(entry.outputs) == {"between"}

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """As session.Session's. Raises ModelError for an input that is missing or of another shape."""
        feed = feed_of(self._name, self.inputs, inputs)
        displacement, keep, paint = (_mixed(feed, name) for name in _LAYERS)
        x, y = (self._enlarged(part) for part in stretched(displacement, feed["stretch"]) * np.float32(self._side / 2))
        moved = cv2.remap(
            self._pivot(feed["pivot"]), x + self._columns, y + self._rows, cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        cv2.multiply(moved, self._enlarged(cv2.merge([keep[0]] * 3)), dst=moved)
        cv2.add(moved, self._enlarged(cv2.merge(list(paint))), dst=moved)
        made = np.empty((1, 3, self._side, self._side), np.float32)
        cv2.split(moved, list(made[0]))
        return {"between": np.clip(made, 0, 1, out=made)}

    def _enlarged(self, picture: Any) -> Any:
        return cv2.resize(picture, (self._side, self._side), interpolation=cv2.INTER_LINEAR)

    def _pivot(self, planes: Array) -> Any:
        """As OpenCV has it, [side, side, 3]; a pivot that stays is turned once."""
        found = self._pivots.get(planes)
        if found is None:
            found = cv2.merge(list(planes[0]))
            self._pivots.put(planes, found)
        return found


def _mixed(feed: Mapping[str, Array], name: str) -> Array:
    """A layer at its share of the way from one frame to the next: float32 [c, n, n]."""
    before, after = (feed[f"{name}_{when}"] for when in _WHEN)
    if before is after:  # a keypoint frame's own
        return np.asarray(before[0], np.float32)
    return np.asarray(before[0] + (after[0] - before[0]) * feed["share"][0], np.float32)
