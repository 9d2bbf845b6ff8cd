"""What a shown face does beside the real one, from the landmarks of both.

    mouth, eyelids    mean distance of their landmarks in percent of the real face's width
    pose              mean absolute difference of the head's yaw, pitch and roll, degrees
    lips              correlation over time of the gap between the inner lips (1 is perfect)
    blinks            the same of how far the eyes are open

On real clips against the same clips blurred, shifted and saved as bad JPEGs the mesh itself gives 0.2 to 0.5 degrees
and correlations of 0.92 to 0.997, 0.986 in the middle: nothing can be told below that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from facewire.face.mesh import LEFT_EYE, LIPS_INNER, LIPS_OUTER, RIGHT_EYE, Landmarks, eye_opening
from facewire.face.pose import HeadPose, head_pose

FACE_SCORES = ("mouth", "eyelids", "pose", "lips", "blinks")
CHEEKS = (234, 454)
"""Face mesh indices of the face's outline beside the ears: its width."""
GAPS = ((82, 87), (13, 14), (312, 317))
"""Upper and lower inner lip, left of the middle, in it, and right of it."""
FEWEST = 8
"""Frames that a correlation needs."""
STILL = 0.008
"""A mouth whose gap deviates less than this (face widths; twice the mesh's noise) does not move: no correlation."""
AWAKE = 0.045
"""... and eyes whose opening (eye widths) deviates less do not blink: shut eyes in one frame of thirty are above it."""


def face_width(landmarks: Landmarks) -> float:
    """From cheek to cheek, pixels."""
    return float(np.linalg.norm(landmarks[CHEEKS[0], :2] - landmarks[CHEEKS[1], :2])) or 1.0


def landmark_distance(real: Landmarks, shown: Landmarks) -> tuple[float, float]:
    """(mouth, eyelids): mean distance of their landmarks in percent of the real face's width; inputs in pixels."""
    away = np.linalg.norm(real[:, :2] - shown[:, :2], axis=1) * (100 / face_width(real))
    return float(away[[*LIPS_OUTER, *LIPS_INNER]].mean()), float(away[[*LEFT_EYE, *RIGHT_EYE]].mean())


def lip_gap(landmarks: Landmarks) -> float:
    """Mean distance of the inner lips over the face's width."""
    gaps = [np.linalg.norm(landmarks[up, :2] - landmarks[down, :2]) for up, down in GAPS]
    return float(np.mean(gaps)) / face_width(landmarks)


def pose_error(one: HeadPose, other: HeadPose) -> float:
    """Mean absolute difference of yaw, pitch and roll, degrees, each by the shorter way round."""
    pairs = ((one.yaw, other.yaw), (one.pitch, other.pitch), (one.roll, other.roll))
    return sum(abs((a - b + 180.0) % 360.0 - 180.0) for a, b in pairs) / len(pairs)


def correlation(real: list[float], shown: list[float], still: float = STILL) -> float:
    """Pearson's; NaN for too few frames, or where the real one deviates by less than `still`. A shown one that never
    moves: 0."""
    if len(real) < FEWEST or float(np.std(real)) < still:
        return math.nan
    if float(np.std(shown)) == 0.0:
        return 0.0
    return float(np.corrcoef(real, shown)[0, 1])


@dataclass
class Faces:
    """Takes frames in order; side: of the pictures, pixels."""

    side: float
    _mouth: list[float] = field(default_factory=list)
    _eyelids: list[float] = field(default_factory=list)
    _pose: list[float] = field(default_factory=list)
    _gaps: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    _openings: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))

    def add(self, real: Landmarks | None, shown: Landmarks | None) -> None:
        """The next frame; one without a face in either picture is passed over."""
        if real is None or shown is None:
            return
        mouth, eyelids = landmark_distance(real, shown)
        self._mouth.append(mouth)
        self._eyelids.append(eyelids)
        poses = head_pose(real, self.side), head_pose(shown, self.side)
        if poses[0] is not None and poses[1] is not None:
            self._pose.append(pose_error(poses[0], poses[1]))
        for gaps, openings, landmarks in zip(self._gaps, self._openings, (real, shown), strict=True):
            gaps.append(lip_gap(landmarks))
            openings.append(eye_opening(landmarks))

    def result(self) -> tuple[dict[str, float], dict[str, int]]:
        """FACE_SCORES over the frames (NaN where one cannot be told), and how many frames they are of."""
        series = {"mouth": self._mouth, "eyelids": self._eyelids, "pose": self._pose}
        scores = {name: float(np.mean(values)) if values else math.nan for name, values in series.items()}
        counts = {name: len(values) for name, values in series.items()}
        scores |= {"lips": correlation(*self._gaps), "blinks": correlation(*self._openings, AWAKE)}
        return scores, counts | dict.fromkeys(("lips", "blinks"), len(self._gaps[0]))
