"""Where a head looks: yaw, pitch and roll from landmarks and a rigid model of the face (perspective-n-point)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.face.mesh import Landmarks

# Points that neither speech nor mimic moves, with their places in MediaPipe's canonical face model (Apache-2.0,
# face_geometry/data/canonical_face_model.obj; centimetres, x to the picture's right, y up, z towards the camera).
MODEL = {
    1: (0.000, -1.127, 7.476), 4: (0.000, -0.463, 7.587), 6: (0.000, 2.473, 5.789), 168: (0.000, 3.271, 5.236),
    197: (0.000, 1.728, 6.317), 10: (0.000, 8.262, 4.482), 151: (0.000, 6.545, 5.027), 9: (0.000, 4.886, 5.385),
    33: (-4.446, 2.664, 3.173), 133: (-1.856, 2.585, 3.758), 50: (-4.766, -0.702, 3.535),
    362: (1.856, 2.585, 3.758), 263: (4.446, 2.664, 3.173), 280: (4.766, -0.702, 3.535),
    127: (-7.743, 2.365, -2.005), 234: (-7.664, 0.673, -2.436), 103: (-5.133, 7.486, 2.660),
    356: (7.743, 2.365, -2.005), 454: (7.664, 0.673, -2.436), 332: (5.133, 7.486, 2.660),
}
FOCAL = 2.5
"""Focal length in sides of the picture given: a crop of a camera's picture sees the face through a narrow angle."""


@dataclass(frozen=True)
class HeadPose:
    """Degrees. yaw: > 0 looks to the picture's right; pitch: > 0 looks up; roll: > 0 leans clockwise as seen."""

    yaw: float
    pitch: float
    roll: float

    def distance(self, other: HeadPose) -> float:
        """The largest of the three differences, in degrees, each by the shorter way round."""
        pairs = ((self.yaw, other.yaw), (self.pitch, other.pitch), (self.roll, other.roll))
        return max(abs((one - two + 180.0) % 360.0 - 180.0) for one, two in pairs)


def head_pose(landmarks: Landmarks, side: float) -> HeadPose | None:
    """Pose of the head in a picture whose longer side is `side` pixels; None when the landmarks are no face."""
    import cv2

    seen = np.ascontiguousarray(landmarks[list(MODEL), :2], np.float64)
    # OpenCV's camera looks along z with y down.
    model = np.array(list(MODEL.values()), np.float64) * (1.0, -1.0, -1.0)
    focal = FOCAL * side
    centre = seen.mean(axis=0)
    # The principal point is put on the face: in a crop it is unknown, and a face off centre is not a turned one.
    camera = np.array(((focal, 0.0, centre[0]), (0.0, focal, centre[1]), (0.0, 0.0, 1.0)))
    spread = float(np.ptp(seen[:, 0])) + 1e-6
    if not np.isfinite(seen).all() or spread < 2.0:
        return None
    far = focal * float(np.ptp(model[:, 0])) / spread
    try:
        done, turn, _ = cv2.solvePnP(model, seen, camera, None, np.zeros(3), np.array((0.0, 0.0, far)), True,
                                     cv2.SOLVEPNP_ITERATIVE)
    except cv2.error:
        return None
    if not done:
        return None
    return pose_of(cv2.Rodrigues(turn)[0])


def pose_of(rotation: NDArray[np.float64]) -> HeadPose:
    """Angles of a rotation matrix [3, 3] (OpenCV's axes) that turns a face which looks into the camera."""
    x, y, z = (-rotation[:, 2]).tolist()
    yaw, pitch = float(np.arctan2(x, -z)), float(np.arcsin(np.clip(-y, -1.0, 1.0)))
    # Undo yaw and pitch; what is left is the roll about the line of sight.
    cos_y, sin_y, cos_p, sin_p = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    turn_y = np.array(((cos_y, 0.0, -sin_y), (0.0, 1.0, 0.0), (sin_y, 0.0, cos_y)))
    turn_p = np.array(((1.0, 0.0, 0.0), (0.0, cos_p, sin_p), (0.0, -sin_p, cos_p)))
    left = (turn_y @ turn_p).T @ rotation
    roll = float(np.arctan2(left[1, 0], left[0, 0]))
    yaw_degrees, pitch_degrees, roll_degrees = np.degrees((yaw, pitch, roll)).tolist()
    return HeadPose(yaw_degrees, pitch_degrees, roll_degrees)
