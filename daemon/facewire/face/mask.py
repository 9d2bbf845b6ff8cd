"""Where the person is in a picture, by MediaPipe's selfie segmentation (MobileNetV3-like, 256x256)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facewire.face.mediapipe import Solution
from facewire.types import Picture


class PersonMask:
    """Person against background; 6 to 10 ms on one core."""

    def __init__(self) -> None:
        """Load the network. May raise MissingDependency."""
        self._network = Solution("selfie_segmentation", "SelfieSegmentation", model_selection=0)

    def mask(self, picture: Picture) -> NDArray[np.float32]:
        """float32 [height, width] in [0, 1]: 1 where the person is."""
        found = self._network.process(picture).segmentation_mask
        return np.clip(np.asarray(found, np.float32), 0.0, 1.0)

    def close(self) -> None:
        """Free the network."""
        self._network.close()
