"""How far lips are apart: the sender's side of wire.mouth.

Keypoints and a coarse grid put a face's parts in their places within a pixel or two, which is how much lips move. The
sender sees the lips' landmarks in the frame, knows where in the pivot the displacement takes them from, and so by how
much the pivot's own lips are too far apart there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.face.mesh import Landmarks
from facewire.types import Bundle, Picture
from facewire.wire.mouth import LIMIT, PLACE_BYTES, Place, stretch
from facewire.wire.pivot import FINAL_SPEED, add_mouth, decode_whole, encode_pivot

EXTRA_BYTES = 1 + PLACE_BYTES
"""What a mouth's place adds to a coded pivot."""
FRAME_BYTES = 0.4
"""What a frame's mouth takes, on average."""
CALM = 0.8
"""An amount stays as it is while the wanted one is no further away (steps)."""
_CORNERS, _MEETING = (78, 308), (13, 14)
_INNER = ((82, 13, 312), (87, 14, 317))
_OUTER = ((37, 0, 267), (84, 17, 314))
_DEPTH = 0.2
"""Between the inner contour (0) and the outer one (1) of the lips: where they are looked at. On the inner one itself
lips that touch could not be told from each other."""
_LEAST = 0.05
"""Keeps an amount small where the lips' places say little of it."""
_ASTRIDE = 0.05
"""Between what a stretch does below and above. With less the displacement has both lips on one side of the pivot's
mouth: it is far off, and nothing is to be stretched."""

Array = NDArray[np.float64]


def place_of(face: Landmarks, side: int) -> Place | None:
    """Where the mouth is in a picture of so many pixels a side; None where it is too small, or outside."""
    corners = [face[index, :2] * (256 / side) for index in _CORNERS]
    left, right = sorted(((round(float(x)), round(float(y))) for x, y in corners))
    try:
        place = Place(left, right)
        middle, _, across = place.frame()
        meeting = face[list(_MEETING), :2].mean(0) * (2 / side) - 1
        return replace(place, below=round(float((meeting - middle) @ across) * 256))
    except ValueError:
        return None


def encode_face(picture: Picture, face: Landmarks | None, max_bytes: int, speed: int = FINAL_SPEED) -> bytes:
    """A pivot of `picture` in `max_bytes` bytes at most (encode_pivot), which says where the mouth is if that is known.
    """
    room = 0 if face is None else EXTRA_BYTES
    return with_mouth(encode_pivot(picture, max_bytes - room, speed), face, picture.shape[0])


def with_mouth(data: bytes, face: Landmarks | None, side: int = 256) -> bytes:
    """A coded pivot that says where its mouth is. face: landmarks in a picture of that side; None: it is left as it is.
    """
    place = None if face is None else place_of(face, side)
    return data if place is None else add_mouth(data, place)


class Lips:
    """The lips of one pivot. landmarks: finds a face in a coded picture."""

    def __init__(self, pivot: bytes, landmarks: Callable[[Picture], Landmarks | None]) -> None:
        shown = decode_whole(pivot)
        face = None if shown.mouth is None else landmarks(shown.picture)
        self._mouth: tuple[Place, Array] | None = None
        """Where it is, and how far its lips are apart."""
        if shown.mouth is not None and face is not None:
            self._mouth = shown.mouth, _gap(*_edges(face, shown.picture.shape[0]), shown.mouth)
        self._last = 0

    def amount(self, displacement: NDArray[np.float32], face: Landmarks | None, side: int) -> int:
        """By how much a frame's lips have to come together (wire.mouth), in order of frames; displacement: float32
        [2, 64, 64] half crops, without that; face: its landmarks in a picture of that side, None where none was found.
        """
        if self._mouth is None:
            return 0
        if face is not None:
            wanted = _wanted(*self._mouth, displacement, face, side)
            if abs(wanted - self._last) > CALM:
                self._last = round(wanted)
        return self._last


def spoken(
    message: Bundle,
    displacements: Sequence[NDArray[np.float32]],
    lips: Lips,
    faces: Mapping[int, Landmarks],
    side: int,
) -> Bundle:
    """A bundle with mouths. displacements: of its frames that are not of low confidence (facewire.deformation); faces:
    their landmarks, by frame number, in pictures of that side."""
    found, frames = iter(displacements), []
    for frame in message.frames:
        if not frame.low_confidence:
            frame = replace(frame, mouth=lips.amount(next(found), faces.get(frame.number), side))
        frames.append(frame)
    return replace(message, frames=tuple(frames))


def _wanted(place: Place, gap: Array, displacement: NDArray[np.float32], face: Landmarks, side: int) -> float:
    """The amount that puts the lips as far apart as they are in the pivot, in least squares."""
    upper, lower = (taken_from(displacement, edge) for edge in _edges(face, side))
    missing = gap - _gap(upper, lower, place)
    way = 1 if missing.mean() > 0 else -1
    reach = _reach(lower, place, way) - _reach(upper, place, way)
    if reach.min() < _ASTRIDE:
        return 0.0
    amount = 128 * float((missing * reach).sum() / ((reach * reach).sum() + _LEAST))
    return min(max(amount, -LIMIT), LIMIT)


def taken_from(displacement: NDArray[np.float32], places: Array) -> Array:
    """Where in the pivot a displacement float32 [2, 64, 64] takes places [n, 2] from; all in half crops."""
    side = displacement.shape[-1]
    columns, rows = ((places.T[:, np.newaxis] + 1) * (side / 2) - 0.5).astype(np.float32)
    moved = [
        cv2.remap(part, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0] for part in displacement
    ]
    return np.asarray(places + np.stack(moved, 1), np.float64)


def _edges(face: Landmarks, side: int) -> tuple[Array, Array]:
    """The upper and the lower lip, [3, 2] each, half crops."""
    points = face[:, :2].astype(np.float64) * (2 / side) - 1
    upper, lower = (
        points[list(inner)] * (1 - _DEPTH) + points[list(outer)] * _DEPTH
        for inner, outer in zip(_INNER, _OUTER, strict=True)
    )
    return upper, lower


def _gap(upper: Array, lower: Array, place: Place) -> Array:
    """How far the lips are apart across the pivot's mouth."""
    return np.asarray((lower - upper) @ place.frame()[2])


def _reach(places: Array, place: Place, way: int) -> Array:
    """The part of a stretch that is felt at places of the pivot, where it shuts (way 1) or opens (-1); wire.mouth."""
    (parts,) = stretch(place, way).astype(np.float64)
    away = places - parts[0:2]
    u, v = away @ parts[2:4], away @ parts[4:6]
    return np.asarray(np.tanh(parts[8] * v) * np.exp(-u * u - v * v / 2))
