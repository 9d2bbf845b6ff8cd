"""Measures what the pivot policy asks about: where the head looks, and what is behind it. A coded picture in, a
`Scene` out; about 20 ms on one x86 core, so it is done a few times a second and not for each frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facewire.coding.pivots import Scene
from facewire.face.mask import PersonMask
from facewire.face.mesh import FaceMesh, Landmarks
from facewire.face.pose import head_pose
from facewire.networks import Session
from facewire.showing.planes import resized, to_planes
from facewire.types import Picture


class SceneMeter:
    """Head pose by MediaPipe's mesh, background by mask and embedding network (None: the background is not looked at).

    Raises MissingDependency if MediaPipe is not installed.
    """

    def __init__(self, background: Session | None) -> None:
        self._mesh = FaceMesh()
        self._background = background
        self._mask = None if background is None else PersonMask()

    def measure(self, picture: Picture) -> Scene:
        """What the coded picture [S, S, 3] shows."""
        landmarks = self._mesh.landmarks(picture)
        pose = None if landmarks is None else head_pose(landmarks, picture.shape[0])
        if self._background is None or self._mask is None:
            return Scene(pose, face=landmarks)
        return Scene(pose, embedding(self._background, picture, self._mask.mask(picture)), face=landmarks)

    def face(self, picture: Picture) -> Landmarks | None:
        """Landmarks of the face in the coded picture, None where there is none: 5 ms."""
        return self._mesh.landmarks(picture)

    def close(self) -> None:
        """Free MediaPipe's memory."""
        self._mesh.close()
        if self._mask is not None:
            self._mask.close()


def embedding(network: Session, picture: Picture, person: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Unit vector float32 [E] of the picture with its person [S, S] painted mid grey; None if hardly any is left."""
    if float(person.mean()) > 0.95:
        return None
    size = network.inputs["picture"][-1] or 128
    planes = resized(to_planes(picture), size)
    mask = resized(np.ascontiguousarray(np.broadcast_to(person, (1, 3, *person.shape))), size)
    vector = network.run({"picture": planes * (1 - mask) + 0.5 * mask})["embedding"].reshape(-1)
    length = float(np.linalg.norm(vector))
    return vector / length if np.isfinite(length) and length > 1e-6 else None
