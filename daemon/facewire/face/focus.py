"""How sharp the eyes are in a picture: who turns quickly or blinks is blurred there first."""

from __future__ import annotations

import cv2
import numpy as np

from facewire.face.mesh import Landmarks, eyes
from facewire.types import Picture

_AROUND = 0.3
"""How far beyond the eyes' contours is looked, in widths of an eye."""


def eye_sharpness(picture: Picture, face: Landmarks) -> float:
    """Root mean square of the Laplacian around both eyes, in grey levels; 0 where they are outside the picture.

    A measure of focus (Pertuz et al., Pattern Recognition 2013, LAP family): compare pictures of one face, of one size.
    """
    contours = eyes(face)
    both = np.concatenate(contours)
    margin = _AROUND * max(float(np.ptp(one[:, 0])) for one in contours)
    left, top = np.maximum(np.floor(both.min(0) - margin), 0).astype(int)
    right, bottom = np.maximum(np.ceil(both.max(0) + margin), 0).astype(int)
    seen = picture[top:bottom, left:right]
    if not seen.size:
        return 0.0
    grey = cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY)
    return float(np.sqrt((cv2.Laplacian(grey, cv2.CV_32F) ** 2).mean()))
