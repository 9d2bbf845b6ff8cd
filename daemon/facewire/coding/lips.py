"""How far lips are apart: the sender's side of wire.mouth.

Keypoints and a coarse grid put a face's parts in their places within a pixel or two, which is how much lips move. The
sender sees the lips' landmarks in the frame, knows where in the pivot the displacement takes them from, and so by how
much the pivot's own lips are too far apart there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.face.mesh import Landmarks, eye_opening
from facewire.types import MAX_BETWEEN, Between, Bundle, KeypointFrame, Picture
from facewire.wire.mouth import LIMIT, PLACE_BYTES, Place, felt, stretch, stretched
from facewire.wire.pivot import FINAL_SPEED, add_mouth, decode_whole, encode_pivot

EXTRA_BYTES = 1 + PLACE_BYTES
"""What a mouth's place adds to a coded pivot."""
FRAME_BYTES = 0.8
"""What a frame's mouth takes, and what is said of those between, on average."""
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
Field = NDArray[np.float32]


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


class _Last(NamedTuple):
    """The frame before: its number, its eyes, its displacement with what is said of its lips."""

    number: int
    shut: bool
    moved: Field


class Lips:
    """The lips of one pivot, in order of frames. landmarks: finds a face in a coded picture.

    Displacements are float32 [2, 64, 64] half crops, without what is said of lips; faces are landmarks in a picture of
    a given side.
    """

    def __init__(self, pivot: bytes, landmarks: Callable[[Picture], Landmarks | None]) -> None:
        shown = decode_whole(pivot)
        face = None if shown.mouth is None else landmarks(shown.picture)
        self._mouth: tuple[Place, Array] | None = None
        """Where it is, and how far its lips are apart."""
        if shown.mouth is not None and face is not None:
            self._mouth = shown.mouth, _gap(*_edges(face, shown.picture.shape[0]), shown.mouth)
        self._amount = 0
        self._before: _Last | None = None

    def amount(self, displacement: Field, face: Landmarks | None, side: int) -> int:
        """By how much a frame's lips have to come together (wire.mouth). face: None where none was found."""
        if self._mouth is not None and face is not None:
            wanted = _wanted(*self._mouth, displacement, face, side)
            if abs(wanted - self._amount) > CALM:
                self._amount = round(wanted)
        return self._amount

    def between(
        self, frame: KeypointFrame, displacement: Field, faces: Mapping[int, Landmarks], side: int, gate: float | None
    ) -> tuple[tuple[Between, ...], bool]:
        """What is true of the frames that a receiver makes up before this one, and whether it would think otherwise; ()
        where it makes up none. faces: theirs, by number; gate: the opening of the eyes below which they are shut."""
        if self._mouth is not None:
            displacement = stretched(displacement, stretch(self._mouth[0], frame.mouth))
        before, self._before = self._before, _Last(frame.number, frame.shut, displacement)
        if before is None or not 1 < frame.number - before.number <= MAX_BETWEEN + 1:
            return (), False
        found, usual = [], []
        for number in range(before.number + 1, frame.number):
            share = (number - before.number) / (frame.number - before.number)
            mouth, shut = 0, before.shut if share < 0.5 else frame.shut
            usual.append(Between(mouth, shut))
            face = faces.get(number)
            if face is not None and self._mouth is not None:
                mixed = before.moved + (displacement - before.moved) * np.float32(share)
                wanted = _wanted(*self._mouth, mixed, face, side)
                mouth = round(wanted) if abs(wanted) > CALM else 0
            if face is not None and gate is not None and before.shut != frame.shut:
                shut = eye_opening(face) < gate
            found.append(Between(mouth, shut))
        return tuple(found), found != usual

    def held(self, number: int) -> None:
        """A receiver holds its picture in this frame."""
        if self._before is not None:
            self._before = self._before._replace(number=number)


def spoken(
    message: Bundle,
    displacements: Sequence[Field],
    lips: Lips,
    faces: Mapping[int, Landmarks],
    side: int,
    gate: float | None = None,
) -> Bundle:
    """A bundle with mouths. displacements: of its frames that are not of low confidence
    (facewire.showing.deformation); faces: by frame number, interpolated ones included, as far as they were looked at;
    gate: see Lips.between."""
    moved, frames, said, is_news = iter(displacements), [], [], False
    for frame in message.frames:
        between: tuple[Between, ...] = ()
        if frame.low_confidence:
            lips.held(frame.number)
        else:
            displacement = next(moved)
            frame = replace(frame, mouth=lips.amount(displacement, faces.get(frame.number), side))
            between, differs = lips.between(frame, displacement, faces, side, gate)
            is_news = is_news or differs
        frames.append(frame)
        said.append(between)
    if is_news:
        most = max(len(between) for between in said)
        frames = [
            frame
            if frame.low_confidence
            else replace(frame, between=between if len(between) == most else (Between(0, frame.shut),) * most)
            for frame, between in zip(frames, said, strict=True)
        ]
    return replace(message, frames=tuple(frames))


def _wanted(place: Place, gap: Array, displacement: Field, face: Landmarks, side: int) -> float:
    """The amount that puts the lips as far apart as they are in the pivot, in least squares."""
    upper, lower = (taken_from(displacement, edge) for edge in _edges(face, side))
    missing = gap - _gap(upper, lower, place)
    way = 1 if missing.mean() > 0 else -1
    reach = _reach(lower, place, way) - _reach(upper, place, way)
    if reach.min() < _ASTRIDE:
        return 0.0
    amount = 128 * float((missing * reach).sum() / ((reach * reach).sum() + _LEAST))
    return min(max(amount, -LIMIT), LIMIT)


def taken_from(displacement: Field, places: Array) -> Array:
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
    return felt(places, stretch(place, way)[0].astype(np.float64))
