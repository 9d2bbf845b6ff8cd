"""What a pivot is made into before it is animated: the same at both ends, so a sender can see what a receiver sees."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.networks import Networks
from facewire.showing.planes import resized, to_planes
from facewire.types import Picture


def coded_size(networks: Networks) -> int:
    """Side of the pictures that the networks work on."""
    return networks["pivot_encoder"].inputs["pivot"][-1] or 256


def scene_feeds(
    networks: Networks, picture: Picture, keypoints: NDArray[np.float32] | None = None
) -> dict[str, NDArray[Any]]:
    """The inputs of generator and motion that stay the same for a decoded pivot: restored picture, keypoints, features.

    keypoints: of the pivot, where they are known [1, 10, 2]. Raises ModelError.
    """
    pivot = resized(to_planes(picture), coded_size(networks))
    restorer = networks.get("restorer")
    if restorer is not None:
        pivot = restorer.run({"pivot": pivot})["restored"]
    else:
        pivot.setflags(write=False)  # a GPU's session uploads it once
    if keypoints is None:
        # The pivot's own keypoints cost no bytes: both ends hold the same picture and the same network.
        detector = networks["keypoints"]
        found = detector.run({"picture": resized(pivot, detector.inputs["picture"][-1] or coded_size(networks))})
        keypoints = found["keypoints"]
    feeds: dict[str, NDArray[Any]] = {"pivot": pivot, "pivot_keypoints": keypoints}
    return {**feeds, **networks["pivot_encoder"].run(feeds)}
