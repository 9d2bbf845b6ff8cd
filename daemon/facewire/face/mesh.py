"""478 landmarks of a face by MediaPipe's face mesh (Kartynnik et al. 2019; irises: Ablavatski et al. 2020)."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from facewire.face.mediapipe import Solution
from facewire.types import Picture

Landmarks = NDArray[np.float32]
"""float32 [478, 3]: x, y in pixels of the picture, z in the same unit (smaller is nearer, 0 at the head's middle)."""

# "Left" and "right" are the picture's, not the person's.
LIPS_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
LIPS_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
LEFT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
RIGHT_EYE = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
        150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)


class FaceMesh:
    """Landmarks of the largest face; about 8 ms on one core. Each picture is looked at by itself: no memory. Threads
    take turns."""

    def __init__(self, min_score: float = 0.5) -> None:
        """Load the network. May raise MissingDependency."""
        self._network = Solution("face_mesh", "FaceMesh", static_image_mode=True, max_num_faces=1,
                                 refine_landmarks=True, min_detection_confidence=min_score)
        self._turn = threading.Lock()

    def landmarks(self, picture: Picture) -> Landmarks | None:
        """Landmarks in an RGB picture, None when there is no face."""
        with self._turn:
            found = self._network.process(picture).multi_face_landmarks
        if not found:
            return None
        height, width = picture.shape[:2]
        points = np.array([(point.x, point.y, point.z) for point in found[0].landmark], np.float32)
        return points * np.array((width, height, width), np.float32)

    def close(self) -> None:
        """Free the network."""
        self._network.close()


def mouth(landmarks: Landmarks) -> NDArray[np.float32]:
    """The outer lips' contour, float32 [20, 2] in pixels."""
    return np.ascontiguousarray(landmarks[list(LIPS_OUTER), :2])


def eyes(landmarks: Landmarks) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Contours of the picture's left and right eye, float32 [16, 2] each, in pixels."""
    return np.ascontiguousarray(landmarks[list(LEFT_EYE), :2]), np.ascontiguousarray(landmarks[list(RIGHT_EYE), :2])


def oval(landmarks: Landmarks) -> NDArray[np.float32]:
    """The face's contour, brow to chin, float32 [36, 2] in pixels."""
    return np.ascontiguousarray(landmarks[list(OVAL), :2])


def mouth_opening(landmarks: Landmarks) -> float:
    """Gap between the inner lips relative to the mouth's width; about 0 when shut, 0.3 when speaking."""
    width = float(np.linalg.norm(landmarks[78, :2] - landmarks[308, :2]))
    return float(np.linalg.norm(landmarks[13, :2] - landmarks[14, :2])) / max(width, 1e-6)


def eye_opening(landmarks: Landmarks) -> float:
    """Mean gap between the lids relative to the eyes' width; about 0.1 when shut, 0.3 when open."""
    gaps = [np.linalg.norm(landmarks[up, :2] - landmarks[down, :2]) / max(
        float(np.linalg.norm(landmarks[left, :2] - landmarks[right, :2])), 1e-6)
        for up, down, left, right in ((159, 145, 33, 133), (386, 374, 362, 263))]
    return float(np.mean(gaps))
