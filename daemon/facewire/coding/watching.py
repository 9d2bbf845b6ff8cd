"""Looks for the face every few frames and says what that means for coding. No clock: frame numbers count the time."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from facewire.face.box import FaceBox
from facewire.face.crop import CropDecision, CropFollower
from facewire.types import Crop, Picture

DETECT_SECONDS = 0.2
"""Seconds between two looks for the face; each frame until the first one is found."""
SURE = 0.75
"""A face of this score is taken for the first pivot at once, others after SEEN looks in a row."""
SEEN = 3
MISSED = 2
"""Looks without the face before the receiver is told to hold: one miss is a blink of the detector."""


class Finder(Protocol):
    """Finds faces in an RGB picture (face.finder.FaceFinder)."""

    def find(self, picture: Picture) -> list[FaceBox]: ...


class FaceWatch:
    """Follows one face through a stream.

    crop: what to cut, None until a face was seen. face_seen: there is a face now (one missed look does not count).
    stable: the face has been seen well enough for a first pivot.
    """

    def __init__(self, finder: Finder, fps: float) -> None:
        self.face_seen = False
        self.stable = False
        self._finder = finder
        self._follower = CropFollower()
        self._decision = CropDecision(None, False, True)
        self._every = max(1, round(DETECT_SECONDS * fps))
        self._looked = -self._every
        self._in_row = self._missed = 0
        self._shape: tuple[int, ...] = ()

    @property
    def crop(self) -> Crop | None:
        return self._decision.crop

    def update(self, picture: Picture, number: int, at_once: bool) -> None:
        """Take frame `number`; looks at it if a look is due, the picture has another size, or `at_once`."""
        if not at_once and picture.shape == self._shape and number - self._looked < self._every:
            return
        self._shape = picture.shape
        self._looked = number
        self._decision = decision = self._follower.update(self._finder.find(picture), picture.shape)
        if decision.face is None:
            self._missed += 1
            self._in_row = 0
        else:
            self._missed = 0
            self._in_row = SEEN if decision.face.score >= SURE else self._in_row + 1
        self.stable = self._in_row >= SEEN
        self.face_seen = self._missed < MISSED and decision.crop is not None

    def adopt(self, crop: Crop) -> bool:
        """Code by an earlier crop from now on, if the face lies well in it; says whether it does."""
        fits = self._follower.adopt(crop)
        if fits:
            self._decision = replace(self._decision, crop=crop)
        return fits

    def lies_in(self, crop: Crop) -> bool:
        """Whether the face's middle lies in `crop`, as far as the last look knows."""
        face = self._decision.face
        if face is None:
            return True
        x, y = face.centre
        return 0 <= x - crop.left < crop.side and 0 <= y - crop.top < crop.side
