"""Head pose: exact on a projected model, signs as documented."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.face.pose import MODEL, HeadPose, head_pose, pose_of


def rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    y, p, r = np.radians((yaw, pitch, roll))
    turn_y = np.array(((np.cos(y), 0, -np.sin(y)), (0, 1, 0), (np.sin(y), 0, np.cos(y))))
    turn_p = np.array(((1, 0, 0), (0, np.cos(p), np.sin(p)), (0, -np.sin(p), np.cos(p))))
    turn_r = np.array(((np.cos(r), -np.sin(r), 0), (np.sin(r), np.cos(r), 0), (0, 0, 1)))
    return np.asarray(turn_y @ turn_p @ turn_r, np.float64)


def project(turn: NDArray[np.float64], noise: float = 0.0) -> NDArray[np.float32]:
    """Landmarks of the model face, turned, seen from 1.2 m in a picture of 256."""
    points = np.array(list(MODEL.values())) * (1.0, -1.0, -1.0) @ turn.T + (0.0, 0.0, 70.0)
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[list(MODEL), :2] = points[:, :2] / points[:, 2:] * 2.5 * 256 + 128
    landmarks[:, :2] += np.random.default_rng(0).normal(0, noise, (478, 2)) if noise else 0.0
    return landmarks


ANGLES = [(0, 0, 0), (20, 0, 0), (-35, 0, 0), (0, 15, 0), (0, -20, 0), (0, 0, 25), (0, 0, -40), (15, -10, 8),
          (-25, 12, -15)]


@pytest.mark.parametrize(("yaw", "pitch", "roll"), ANGLES)
def test_angles_come_back(yaw: float, pitch: float, roll: float) -> None:
    turn = rotation(yaw, pitch, roll)
    exact = pose_of(turn)
    assert (exact.yaw, exact.pitch, exact.roll) == pytest.approx((yaw, pitch, roll), abs=1e-6)
    seen = head_pose(project(turn), 256)
    assert seen is not None
    # The camera's axis is put on the face, which costs a few degrees when a turn moves it off the middle.
    assert seen.distance(HeadPose(yaw, pitch, roll)) < 3.5
    noisy = head_pose(project(turn, 0.5), 256)
    assert noisy is not None
    assert noisy.distance(HeadPose(yaw, pitch, roll)) < 5.0


def test_signs() -> None:
    """Looking to the picture's right brings the nose to the right of the ears' middle; looking up brings it up."""
    right = project(rotation(20, 0, 0))
    assert right[1, 0] > right[[234, 454], 0].mean()
    up = project(rotation(0, 15, 0))
    assert up[1, 1] < project(rotation(0, 0, 0))[1, 1]
    leaning = project(rotation(0, 0, 10))
    assert leaning[263, 1] > leaning[33, 1]


@pytest.mark.parametrize("landmarks", [np.zeros((478, 3), np.float32), np.full((478, 3), np.nan, np.float32),
                                       np.full((478, 3), 1e30, np.float32)])
def test_nonsense_has_no_pose(landmarks: NDArray[np.float32]) -> None:
    assert head_pose(landmarks, 256) is None


def test_distance_goes_the_shorter_way_round() -> None:
    assert HeadPose(0, 0, 179).distance(HeadPose(0, 0, -179)) == pytest.approx(2)
    assert HeadPose(10, -5, 3).distance(HeadPose(-6, 0, 0)) == pytest.approx(16)
