"""The faces in a bundle's frames, looked for while other work goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import NamedTuple

from facewire.face.mesh import Landmarks
from facewire.types import Picture

WAITING = 4
"""Pictures that may wait to be looked at; who brings more waits."""


class Glance(NamedTuple):
    """A coded picture, and the face in it."""

    picture: Picture
    face: Landmarks


class Glances:
    """landmarks: finds a face in a coded picture; called by one thread at a time. beside: runs it, in the order in
    which it is asked; None: the caller's thread does."""

    def __init__(self, landmarks: Callable[[Picture], Landmarks | None], beside: Executor | None = None) -> None:
        self._landmarks, self._beside = landmarks, beside
        self._pictures: dict[int, Picture] = {}
        self._asked: dict[int, Future[Landmarks | None]] = {}
        self._found: dict[int, Landmarks | None] = {}

    def at(self, number: int, coded: Picture) -> None:
        """Look at frame `number`."""
        self._pictures[number] = coded
        if self._beside is None:
            self._found[number] = self._landmarks(coded)
            return
        self._asked[number] = self._beside.submit(self._landmarks, coded)
        if len(self._asked) > WAITING:
            oldest = next(iter(self._asked))
            self._found[oldest] = self._asked.pop(oldest).result()

    def take(self) -> dict[int, Glance]:
        """The faces found since the last call, by frame number; waits for those that are being looked for."""
        self._found |= {number: asked.result() for number, asked in self._asked.items()}
        pictures, found = self._pictures, self._found
        self._pictures, self._asked, self._found = {}, {}, {}
        return {number: Glance(pictures[number], face) for number, face in found.items() if face is not None}
