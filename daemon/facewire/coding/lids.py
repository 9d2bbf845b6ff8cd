"""Shut eyes for a pivot, out of a blink that was seen: the sender's side of wire.lids.

Blinks are frequent, and a face that never blinks is a mask. Whoever has a picture with open eyes and one with shut eyes
lays the second one's eyes over the first, by what no mimic moves, and has the same face with its eyes shut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.coding.album import Seen, usual_opening
from facewire.coding.pivots import Scene
from facewire.face.mesh import Landmarks, eyes, oval
from facewire.types import Picture
from facewire.wire.lids import EDGE
from facewire.wire.pivot import add_lids

SHUT = 0.5
"""Eyes that are open by less than this part of the usual are shut; of the pivot's, where these are less open still. A
pivot's own may be wide open: who screws up his eyes does not blink all the time."""
NEAR = 12.0
"""Degrees by which the head may be turned away from the pivot's pose."""
MAX_BYTES = 800
"""What they may add to a pivot."""
_AROUND = 0.42
"""How far beyond the eyes' contours the second picture reaches, in widths of an eye."""
_FADE = 5
"""Pixels over which the face's edge fades out."""
_RIGID = (33, 133, 362, 263, 168, 6, 197, 1, 4, 50, 280, 9)
"""Landmarks that neither speech nor blinking moves."""


class Lidded(NamedTuple):
    """A pivot with shut eyes: its coded bytes, and the opening (face.mesh.eye_opening) below which eyes are shut."""

    data: bytes
    gate: float


def opening(pivot: Scene, usual: float) -> float | None:
    """How far a pivot's eyes are open, where they are not wide open; None: not known. usual: of this face, 0: unknown.
    """
    return min(pivot.eyes, usual) if pivot.eyes is not None and usual else pivot.eyes


def blink(seen: Sequence[Seen], pivot: Seen, usual: float) -> Seen | None:
    """The picture among `seen` whose shut eyes fit the pivot best; None where there is none. usual: see `opening`."""
    pose, openness = pivot.scene.pose, opening(pivot.scene, usual)
    if pose is None or openness is None:
        return None
    turned = [
        (one.scene.pose.distance(pose), index)
        for index, one in enumerate(seen)
        if one.scene.eyes is not None and one.scene.eyes < SHUT * openness and one.scene.pose is not None
    ]
    far, index = min(turned, default=(np.inf, -1))
    return seen[index] if far <= NEAR else None


def blinks(seen: Sequence[Seen]) -> bool:
    """Whether there is a blink among these pictures of one face."""
    shut = SHUT * usual_opening(seen)
    return any(one.scene.eyes is not None and one.scene.eyes < shut for one in seen)


def lidded(
    data: bytes, pivot: Seen, seen: Sequence[Seen], usual: float, max_bytes: int = MAX_BYTES
) -> Lidded | None:
    """A coded pivot with the eyes of a blink among `seen`, in `max_bytes` bytes more at most; pivot: what it was coded
    from; usual: see `opening`. None: no blink fits."""
    found, openness = blink(seen, pivot, usual), opening(pivot.scene, usual)
    if found is None or pivot.scene.face is None or openness is None or found.scene.eyes is None:
        return None
    face = found.scene.face
    cut = None if face is None else _cut(pivot.picture, pivot.scene.face, found.picture, face)
    if cut is None:
        return None
    left, top, patch = cut
    scale = 256 / pivot.picture.shape[0]
    added = add_lids(data, round(left * scale), round(top * scale), patch, max_bytes)
    return None if added is None else Lidded(added, (openness + found.scene.eyes) / 2)


def _cut(pivot: Picture, face: Landmarks, shut: Picture, shut_face: Landmarks) -> tuple[int, int, Picture] | None:
    """The band of the shut eyes, as it lies in the pivot: left, top, picture; None where it does not lie in it."""
    here, there = (marks[list(_RIGID), :2].astype(np.float32) for marks in (face, shut_face))
    turn, _ = cv2.estimateAffinePartial2D(there, here, method=cv2.LMEDS)
    if turn is None:
        return None
    side = pivot.shape[0]
    laid = cv2.warpAffine(shut, turn, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    contours = eyes(face)
    both = np.concatenate(contours)
    margin = _AROUND * max(float(np.ptp(one[:, 0])) for one in contours)
    left, top = (int(np.floor(both[:, axis].min() - margin)) for axis in (0, 1))
    # Sides are even: chroma has half of them.
    width, height = (2 * round((float(np.ptp(both[:, axis])) + 2 * margin) / 2) for axis in (0, 1))
    if left < 0 or top < 0 or left + width > side or top + height > side or min(width, height) < 3 * EDGE:
        return None
    box = np.s_[top : top + height, left : left + width]
    band, under = laid[box].astype(np.float32), pivot[box].astype(np.float32)
    skin = _skin(face, side)[box]
    rim = np.ones((height, width), bool)
    rim[EDGE:-EDGE, EDGE:-EDGE] = False
    lit = (skin > 0.5) & rim
    # Light changes between two pictures; and what is behind the face may be anything.
    lighter = np.median((under - band)[lit if lit.any() else rim], axis=0)
    shown = under + skin[:, :, np.newaxis] * (band + lighter - under)
    return left, top, np.clip(np.rint(shown), 0, 255).astype(np.uint8)


def _skin(face: Landmarks, side: int) -> NDArray[np.float32]:
    """Where the face is in a picture of that side, 0 to 1, float32 [side, side]; its edge fades out, inwards."""
    mask = np.zeros((side, side), np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(oval(face)).astype(np.int32)), 1.0)
    return np.asarray(cv2.blur(cv2.erode(mask, np.ones((_FADE, _FADE))), (_FADE, _FADE)), np.float32)
