"""The crop that is coded: a square that frames the head and stays still until the face leaves its safe zone.

Each move of the crop moves the whole picture for the receiver and costs a new pivot, so a crop that is a little off is
better than one that moves. Pure policy: no picture is looked at, no clock is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facewire.face.box import FaceBox, overlap
from facewire.types import Crop, Picture

# Measured on 17 held-out clips of talking heads that were framed by hand (detector's box, relative to the clip's side):
# width 0.52, centre (0.51, 0.56); within the clips the centre wanders +-0.09 and the width +-0.06.
FACE = 0.50
"""The face box takes this part of the crop's side."""
CENTRE = (0.50, 0.56)
"""Where the middle of the face box lies in the crop."""
SAFE = 0.17
"""The face may be this far off CENTRE, in crop sides, before the crop follows."""
SAFE_SIZE = (0.34, 0.76)
"""The face box may take this part of the crop's side before the crop follows."""
AT_ONCE = 0.30
"""So far off, the crop follows without waiting."""
PATIENCE = 3
"""Updates in a row outside the safe zone before the crop moves: a nod or a reach for a cup is not a move."""
FORGET = 10
"""Updates without the followed face after which any other face is taken."""
FULL = 0.25
"""A square picture with a face of at least this part of its side has been framed already: all of it is the crop."""
KEEP_FULL = 0.18
"""...and it stays so until the face is smaller than this."""


@dataclass(frozen=True)
class CropDecision:
    """What to cut now.

    crop: None until the first face was seen (see `centre_crop`); moved: the crop is another one than before, so a new
    pivot is due; low_confidence: no face now, the crop is the last one; face: the followed face.
    """

    crop: Crop | None
    moved: bool
    low_confidence: bool
    face: FaceBox | None = None


class CropFollower:
    """Follows one face through the updates, a few each second are enough."""

    def __init__(self) -> None:
        self._crop: Crop | None = None
        self._face: FaceBox | None = None
        self._shape: tuple[int, int] = (0, 0)
        self._missing = 0
        self._outside: list[FaceBox] = []

    def update(self, faces: Sequence[FaceBox], picture_shape: tuple[int, ...]) -> CropDecision:
        """Take the faces found in a picture of `picture_shape` (height, width, ...); return what to cut."""
        shape = (int(picture_shape[0]), int(picture_shape[1]))
        if shape != self._shape:
            self._crop = self._face = None
            self._shape = shape
        face = self._choose(faces)
        if face is None:
            self._missing += 1
            self._outside.clear()
            return CropDecision(self._crop, False, True)
        known = self._missing < FORGET
        self._missing = 0
        self._face = face
        if self._crop is None:
            return self._move(face)
        off = self._off(face, self._crop)
        if off <= 1.0:
            self._outside.clear()
            return CropDecision(self._crop, False, False, face)
        self._outside.append(face)
        if len(self._outside) < PATIENCE and off < AT_ONCE / SAFE and known:
            return CropDecision(self._crop, False, False, face)
        return self._move(_median(self._outside))

    def adopt(self, crop: Crop) -> bool:
        """Take an earlier crop instead of the present one, if the face lies well in it; says whether it does."""
        fits = self._face is not None and self._off(self._face, crop) <= 1.0
        if fits:
            self._crop = crop
            self._outside.clear()
        return fits

    def _move(self, face: FaceBox) -> CropDecision:
        crop = framing(face, self._shape)
        moved = crop != self._crop
        self._crop = crop
        self._outside.clear()
        return CropDecision(crop, moved, False, face)

    def _choose(self, faces: Sequence[FaceBox]) -> FaceBox | None:
        """The followed face if it is still there, else the largest."""
        if not faces:
            return None
        last = self._face
        if last is not None:
            near = min(faces, key=lambda face: _distance(face, last))
            reach = last.side * (0.75 + 0.15 * self._missing)
            alike = 0.4 < near.side / last.side < 2.5
            if overlap(near, last) > 0.1 or (_distance(near, last) < reach and alike):
                return near
            if self._missing < FORGET and len(faces) > 1:
                return None
        return max(faces, key=lambda face: face.w * face.h * face.score)

    def _off(self, face: FaceBox, crop: Crop) -> float:
        """How far the face is from where it should be; above 1 it has left the safe zone."""
        if is_square(self._shape) and crop.side == min(self._shape):
            x, y = face.centre
            inside = 0.0 <= x - crop.left <= crop.side and 0.0 <= y - crop.top <= crop.side
            return 0.0 if inside and face.side >= KEEP_FULL * crop.side else 2.0
        off = max(abs((face.centre[0] - crop.left) / crop.side - CENTRE[0]),
                  abs((face.centre[1] - crop.top) / crop.side - CENTRE[1])) / SAFE
        size = face.side / crop.side
        if not SAFE_SIZE[0] <= size <= SAFE_SIZE[1]:
            off = max(off, 1.01)
        # At the picture's edge the best crop is off too: do not chase what cannot be had.
        return min(off, 1.0) if framing(face, self._shape) == crop else off


def framing(face: FaceBox, shape: tuple[int, int]) -> Crop:
    """The square that frames `face` best in a picture of shape (height, width)."""
    height, width = shape
    short = min(height, width)
    if is_square(shape) and face.side >= FULL * short:
        return Crop((width - short) // 2, (height - short) // 2, short)
    wanted = face.side / FACE
    # Rather a little tight and inside the picture than framed by invented pixels.
    side = round(min(wanted, max(short, face.side / 0.7)) / 2) * 2
    left = round(face.centre[0] - CENTRE[0] * side)
    top = round(face.centre[1] - CENTRE[1] * side)
    if side <= width:
        left = min(max(left, 0), width - side)
    if side <= height:
        top = min(max(top, 0), height - side)
    return Crop(left, top, side)


def centre_crop(shape: tuple[int, ...]) -> Crop:
    """The middle square of a picture, for as long as no face has been seen."""
    height, width = int(shape[0]), int(shape[1])
    side = min(height, width)
    return Crop((width - side) // 2, (height - side) // 2, side)


def is_square(shape: tuple[int, ...]) -> bool:
    """Width and height differ by at most 2 %."""
    return abs(shape[0] - shape[1]) <= 0.02 * max(shape[0], shape[1])


def cut(picture: Picture, crop: Crop, size: int) -> Picture:
    """Cut `crop` out of a picture and scale it to [size, size, 3]; the edge's pixels fill what lies outside."""
    import cv2

    height, width = picture.shape[:2]
    left, top = max(crop.left, 0), max(crop.top, 0)
    right, bottom = min(crop.left + crop.side, width), min(crop.top + crop.side, height)
    if crop.side < 1 or right <= left or bottom <= top:
        raise ValueError(f"{crop} lies outside a picture of {width}x{height}")
    part = picture[top:bottom, left:right]
    if part.shape[0] != crop.side or part.shape[1] != crop.side:
        part = np.pad(part, ((top - crop.top, crop.top + crop.side - bottom),
                             (left - crop.left, crop.left + crop.side - right), (0, 0)), mode="edge")
    if crop.side == size:
        return np.ascontiguousarray(part)
    method = cv2.INTER_AREA if size < crop.side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (size, size), interpolation=method), np.uint8)


def _distance(one: FaceBox, other: FaceBox) -> float:
    return float(np.hypot(one.centre[0] - other.centre[0], one.centre[1] - other.centre[1]))


def _median(faces: Sequence[FaceBox]) -> FaceBox:
    x, y, w, h, score = np.median([(face.x, face.y, face.w, face.h, face.score) for face in faces], axis=0).tolist()
    return FaceBox(x, y, w, h, score)
