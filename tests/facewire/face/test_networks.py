"""Detector, mesh, mask and pose on the sample and, where they are at hand, on real clips; and their silence."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

if importlib.util.find_spec("mediapipe") is None:
    pytest.skip("mediapipe is not installed", allow_module_level=True)

from facewire.face.crop import CropFollower, centre_crop
from facewire.face.finder import FaceFinder
from facewire.face.mask import PersonMask
from facewire.face.mesh import FaceMesh, eye_opening, eyes, mouth, mouth_opening
from facewire.face.pose import head_pose
from facewire.sources import frames, open_source
from facewire.sources.sample_motion import Expression
from facewire.sources.sample_portrait import Portrait
from facewire.types import Picture

CLIPS = Path(__file__).parents[4] / "shared" / "clips" / "val"
needs_sample = pytest.mark.skipif(importlib.util.find_spec("skimage") is None, reason="scikit-image is not installed")
needs_clips = pytest.mark.skipif(not CLIPS.is_dir(), reason="the clips for measuring are not at hand")


@pytest.fixture(scope="module")
def finder() -> Iterator[FaceFinder]:
    made = FaceFinder()
    yield made
    made.close()


@pytest.fixture(scope="module")
def mesh() -> Iterator[FaceMesh]:
    made = FaceMesh()
    yield made
    made.close()


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return Portrait(512)


def in_a_room(picture: Picture, left: int, top: int, side: int) -> Picture:
    """The picture, scaled to `side`, on a plain wall of 1280x720."""
    import cv2

    wall = np.full((720, 1280, 3), (150, 140, 130), np.uint8)
    wall[top:top + side, left:left + side] = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    return wall


def test_no_face_no_box(finder: FaceFinder, mesh: FaceMesh) -> None:
    grey = np.full((480, 640, 3), 128, np.uint8)
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    assert finder.find(grey) == finder.find(noise) == finder.find(grey[:10, :10]) == []
    assert mesh.landmarks(grey) is None


@needs_sample
def test_the_sample_is_taken_whole(finder: FaceFinder, portrait: Portrait) -> None:
    picture = portrait.render(Expression())
    faces = finder.find(picture)
    assert len(faces) == 1
    assert faces[0].score > 0.85
    assert CropFollower().update(faces, picture.shape).crop == centre_crop(picture.shape)


@needs_sample
@pytest.mark.parametrize(("left", "top", "side"), [(600, 100, 500), (60, 200, 300), (1000, 400, 200)])
def test_near_and_far_faces_are_framed_alike(finder: FaceFinder, portrait: Portrait, left: int, top: int,
                                             side: int) -> None:
    picture = in_a_room(portrait.render(Expression()), left, top, side)
    faces = finder.find(picture)
    assert len(faces) == 1
    crop = CropFollower().update(faces, picture.shape).crop
    assert crop is not None
    assert faces[0].side / crop.side == pytest.approx(0.5, abs=0.03)
    assert faces[0].side / side == pytest.approx(0.43, abs=0.08)
    assert left - 0.1 * side < crop.left + crop.side / 2 - side / 2 + 0.1 * side < left + 0.3 * side


@needs_sample
def test_two_faces(finder: FaceFinder, portrait: Portrait) -> None:
    import cv2

    picture = in_a_room(portrait.render(Expression()), 100, 200, 320)
    picture[200:500, 800:1100] = cv2.resize(portrait.render(Expression(yaw=8.0)), (300, 300))
    found = sorted(face.centre[0] for face in finder.find(picture))
    assert found == pytest.approx([260, 950], abs=30)


@needs_sample
def test_landmarks_follow_the_sample(mesh: FaceMesh, portrait: Portrait) -> None:
    def look(now: Expression) -> tuple[float, float, float, float, float]:
        landmarks = mesh.landmarks(portrait.render(now))
        assert landmarks is not None
        assert landmarks.shape == (478, 3)
        pose = head_pose(landmarks, 512)
        assert pose is not None
        return pose.yaw, pose.pitch, pose.roll, mouth_opening(landmarks), eye_opening(landmarks)

    rest = look(Expression())
    assert look(Expression(yaw=15.0))[0] > rest[0] + 4 > look(Expression(yaw=-15.0))[0] + 8
    assert look(Expression(pitch=10.0))[1] > rest[1] + 1.5
    assert look(Expression(roll=8.0))[2] == pytest.approx(rest[2] + 8, abs=2)
    assert look(Expression(mouth=2.0))[3] > 1.4 * rest[3] > 3 * look(Expression(mouth=0.0))[3]
    assert look(Expression(blink=1.0))[4] < 0.6 * rest[4]


@needs_sample
def test_contours(mesh: FaceMesh, portrait: Portrait) -> None:
    landmarks = mesh.landmarks(portrait.render(Expression()))
    assert landmarks is not None
    left, right = eyes(landmarks)
    lips = mouth(landmarks)
    assert lips.shape == (20, 2)
    assert left.shape == right.shape == (16, 2)
    assert left[:, 0].max() < right[:, 0].min()
    assert left[:, 1].max() < lips[:, 1].min()


@needs_sample
def test_mask(portrait: Portrait) -> None:
    network = PersonMask()
    found = network.mask(portrait.render(Expression()))
    network.close()
    assert found.dtype == np.float32
    assert found.shape == (512, 512)
    assert found[150:300, 200:320].mean() > 0.9
    assert found[:200, :60].mean() < 0.1


@needs_clips
def test_clips_are_taken_whole_and_the_crop_never_moves(finder: FaceFinder) -> None:
    for path in sorted(CLIPS.glob("*.mp4"))[::4]:
        source = open_source(f"file:{path}", pace=False)
        follower = CropFollower()
        moves = 0
        for number, frame in enumerate(frames(source)):
            if number % 10 == 0 and number < 130:
                decision = follower.update(finder.find(frame.picture), frame.picture.shape)
                assert decision.crop == centre_crop(frame.picture.shape)
                moves += decision.moved
        assert moves == 1
        source.close()


def test_nothing_reaches_stderr() -> None:
    code = """
import numpy as np
from facewire.face.finder import FaceFinder
from facewire.face.mask import PersonMask
from facewire.face.mesh import FaceMesh
picture = np.zeros((360, 640, 3), np.uint8)
try:
    from facewire.sources.sample_portrait import portrait
    picture = portrait()
except Exception:
    pass
finder, mesh, mask = FaceFinder(), FaceMesh(), PersonMask()
for _ in range(3):
    finder.find(picture), mesh.landmarks(picture), mask.mask(picture)
wide = np.zeros((720, 1280, 3), np.uint8)
wide[100:300, 100:300] = picture[::2, ::2][:200, :200] if picture.shape[0] == 512 else 0
for _ in range(2):
    finder.find(wide), mask.mask(wide), mesh.landmarks(wide)
finder.close(), mesh.close(), mask.close()
"""
    paths = [path for path in sys.path if path]
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", f"import sys; sys.path[:0] = {paths!r}\n{code}"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout == ""
