"""Pivots at twice the coded side: where the camera shows more than is coded, and there are bytes for it.

A file chooses its pivots when it has seen a stretch of video (lookahead), so all of it is kept that long, as JPEG:
15 MB for 20 s instead of 200.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from facewire.coding.keyframes import CODED_SIZE
from facewire.coding.lips import encode_face
from facewire.face.crop import cut
from facewire.face.mesh import Landmarks
from facewire.types import Crop, Picture
from facewire.wire.pivot import add_difference

ENOUGH = 1.25
"""A crop of so many times the coded side has more to show than is coded."""
LEAST_BYTES = 16_000
"""A file's pivot of fewer bytes is better off at the coded side (docs/training.md)."""
COARSE_SHARE = 0.25
"""Part of them for the coarse picture, which the difference goes behind."""
QUALITY = 95
"""JPEG's: what it loses is nothing beside what AV1 does."""


def twice(picture: Picture, crop: Crop) -> Picture | None:
    """What a crop shows of a camera's picture at twice the coded side; None: no more than is coded."""
    return cut(picture, crop, 2 * CODED_SIZE) if crop.side >= ENOUGH * CODED_SIZE else None


class Shots:
    """Large pictures by frame number, kept in few bytes. wanted: whether there will be pivots of `most` bytes."""

    def __init__(self, most: int) -> None:
        self._wanted = most >= LEAST_BYTES
        self._coded: dict[int, bytes] = {}

    def add(self, number: int, picture: Picture, crop: Crop) -> None:
        """Keep what the crop shows of the camera's picture, if that is more than is coded."""
        large = twice(picture, crop) if self._wanted else None
        if large is not None:
            Image.fromarray(large).save(out := io.BytesIO(), "JPEG", quality=QUALITY)
            self._coded[number] = out.getvalue()

    def get(self, number: int) -> Picture | None:
        """The picture [512, 512, 3]; None: it was not kept."""
        coded = self._coded.get(number)
        return None if coded is None else np.asarray(Image.open(io.BytesIO(coded)), np.uint8)

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self._coded)

    def clear(self) -> None:
        """Nothing of them is needed any more."""
        self._coded.clear()


def encode_large(
    picture: Picture, large: Picture | None, face: Landmarks | None, max_bytes: int, speed: int
) -> bytes:
    """A pivot in `max_bytes` bytes at most: of the large picture too, if there is one and there are bytes for it.
    Raises ValueError like encode_pivot."""
    if large is None or max_bytes < LEAST_BYTES:
        return encode_face(picture, face, max_bytes, speed)
    coarse = encode_face(picture, face, round(COARSE_SHARE * max_bytes), speed)
    return add_difference(coarse, large, max_bytes, speed)
