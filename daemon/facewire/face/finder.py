"""Face boxes by MediaPipe's BlazeFace detectors (Bazarevsky et al. 2019)."""

from __future__ import annotations

from typing import Any

from facewire.face.box import FaceBox, overlap
from facewire.face.mediapipe import Solution
from facewire.types import Picture

NEAR = 0.22
"""A face box this large, relative to the picture's shorter side, is one that the short-range detector sees well."""
SURE = 0.75
"""Faces that fill the picture as they do in a video call score 0.87 to 0.96."""
ZOOM = 2.0
"""A distant face is looked at again in a square this many times as large as its box: there the short-range detector
sees it at the size that it sees best. So all boxes come from one detector and mean the same."""
SAME = 0.4
"""Boxes that overlap more than this (intersection over union) are one face."""


class FaceFinder:
    """Finds faces near (a desk) and far (a room). About 3 ms for a near face, 10 ms otherwise, on one core."""

    def __init__(self, min_score: float = 0.5) -> None:
        """Load the near detector; the far one is loaded when it is needed first. May raise MissingDependency."""
        self._min_score = min_score
        self._near = self._load(0)
        self._far: Solution | None = None

    def _load(self, model: int) -> Solution:
        return Solution("face_detection", "FaceDetection", model_selection=model,
                        min_detection_confidence=self._min_score)

    def find(self, picture: Picture) -> list[FaceBox]:
        """All faces in an RGB picture, best first; empty when there is none."""
        height, width = picture.shape[:2]
        short = min(height, width)
        if short < 32:
            return []
        near = self._run(self._near, picture)
        if near and near[0].score >= SURE and near[0].side >= NEAR * short:
            return near
        if self._far is None:
            self._far = self._load(1)
        faces: list[FaceBox] = []
        for box in self._run(self._far, picture):
            add(faces, self._again(picture, box) or box)
        for box in near:
            # It takes things for faces at sizes that it was not made for; a real one it sees again.
            add(faces, self._again(picture, box))
        return sorted(faces, key=lambda face: -face.score)

    def _again(self, picture: Picture, face: FaceBox) -> FaceBox | None:
        side = face.side * ZOOM
        left = max(0, round(face.centre[0] - side / 2))
        top = max(0, round(face.centre[1] - side / 2))
        part = picture[top:top + round(side), left:left + round(side)]
        if min(part.shape[:2]) < 16:
            return None
        found = [FaceBox(box.x + left, box.y + top, box.w, box.h, box.score) for box in self._run(self._near, part)]
        found = [box for box in found if overlap(box, face) > 0.2]
        return max(found, key=lambda box: overlap(box, face)) if found else None

    def _run(self, network: Solution, picture: Picture) -> list[FaceBox]:
        height, width = picture.shape[:2]
        detections: list[Any] = network.process(picture).detections or []
        faces = []
        for detection in detections:
            box = detection.location_data.relative_bounding_box
            face = FaceBox(box.xmin * width, box.ymin * height, box.width * width, box.height * height,
                           float(detection.score[0]))
            if face.w > 4 and face.h > 4:
                faces.append(face)
        return sorted(faces, key=lambda face: -face.score)

    def close(self) -> None:
        """Free the networks."""
        self._near.close()
        if self._far is not None:
            self._far.close()


def add(faces: list[FaceBox], face: FaceBox | None) -> None:
    """Append a face unless it is one of those that are there already."""
    if face is not None and all(overlap(face, other) < SAME for other in faces):
        faces.append(face)
