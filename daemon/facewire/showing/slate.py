"""The picture that is shown before there is one."""

from __future__ import annotations

import cv2
import numpy as np

from facewire.types import Picture


def slate(size: int) -> Picture:
    """What is shown before the first picture: dark, with a few words, uint8 [size, size, 3]."""
    picture = np.full((size, size, 3), 18, np.uint8)
    text, scale = "waiting for picture", size / 900
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    place = ((size - width) // 2, size // 2)
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (130, 130, 130), 1, cv2.LINE_AA)
    return picture
