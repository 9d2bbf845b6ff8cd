"""What landmarks tell of mouth, eyelids, head and lips, on a made-up face."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from facewire.face.mesh import Landmarks
from facewire.face.pose import MODEL
from facewire_export.evaluation.faces import FACE_SCORES, FEWEST, GAPS, Faces, lip_gap

SIDE = 512.0


def face(turn: float = 0.0, gap: float = 0.0, shift: float = 0.0, openness: float = 0.3) -> Landmarks:
    """Landmarks of a rigid head turned by so many degrees, its lips apart by `gap` pixels, its eyes open by `openness`
    of their width, all moved by `shift`."""
    points = np.zeros((478, 3), np.float32)
    places = np.array(list(MODEL.values())) * (1, -1, -1)
    rotation = cv2.Rodrigues(np.array([0.0, math.radians(turn), 0.0]))[0]
    far = places @ rotation.T + (0, 0, 80)
    points[list(MODEL), :2] = far[:, :2] / far[:, 2:] * 2.5 * SIDE + 256
    for up, down in GAPS:
        points[up, :2], points[down, :2] = (256, 300 - gap / 2), (256, 300 + gap / 2)
    for up, down, left, right in ((159, 145, 33, 133), (386, 374, 362, 263)):
        middle = (points[left, :2] + points[right, :2]) / 2
        wide = float(np.linalg.norm(points[left, :2] - points[right, :2]))
        points[up, :2], points[down, :2] = middle - (0, openness * wide), middle
    return points + np.array([0.6 * shift, 0.8 * shift, 0], np.float32)


def scores(real: list[Landmarks | None], shown: list[Landmarks | None]) -> tuple[dict[str, float], dict[str, int]]:
    faces = Faces(SIDE)
    for one, other in zip(real, shown, strict=True):
        faces.add(one, other)
    return faces.result()


SPEECH = [float(g) for g in (2, 12, 5, 20, 1, 9, 16, 3, 11, 7)]


def talk(scale: float = 1.0, turn: float = 0.0, shift: float = 0.0, late: int = 0) -> list[Landmarks | None]:
    return [face(turn, scale * gap, shift) for gap in np.roll(SPEECH, late)]


def test_the_same_face_is_perfect() -> None:
    found, counts = scores(talk(), talk())
    assert found.pop("blinks") != found["lips"]  # nobody blinks
    assert found == pytest.approx({"mouth": 0.0, "eyelids": 0.0, "pose": 0.0, "lips": 1.0})
    assert counts == dict.fromkeys(FACE_SCORES, len(SPEECH))


def test_distances_are_in_percent_of_the_face() -> None:
    width = float(np.linalg.norm(face()[234, :2] - face()[454, :2]))
    near, far = (scores(talk(), talk(shift=s))[0] for s in (3.0, 9.0))
    assert near["mouth"] == pytest.approx(300 / width, rel=1e-3)
    assert far["eyelids"] == pytest.approx(900 / width, rel=1e-3)
    # Moved, not turned, and the lips follow.
    assert far["pose"] < 0.5
    assert far["lips"] == pytest.approx(1.0)


def test_pose_is_the_mean_of_three_angles() -> None:
    found, _ = scores(talk(), talk(turn=9.0))
    assert found["pose"] == pytest.approx(3.0, abs=0.3)
    more, _ = scores(talk(), talk(turn=18.0))
    assert more["pose"] > found["pose"]


def test_lips_must_move_together_not_equally() -> None:
    assert scores(talk(), talk(scale=0.3))[0]["lips"] == pytest.approx(1.0, abs=1e-3)
    late = scores(talk(), talk(late=1))[0]["lips"]
    assert late < 0.3
    assert scores(talk(), talk(scale=0.0))[0]["lips"] == pytest.approx(0.0)


def test_eyes_must_shut_together() -> None:
    def winking(*shut: int, to: float = 0.05) -> list[Landmarks | None]:
        return [face(gap=gap, openness=to if at in shut else 0.3) for at, gap in enumerate(SPEECH)]

    assert scores(winking(3, 7), winking(3, 7, to=0.2))[0]["blinks"] == pytest.approx(1.0)
    assert scores(winking(3, 7), winking(1, 5))[0]["blinks"] < 0
    assert scores(winking(3, 7), winking())[0]["blinks"] == pytest.approx(0, abs=1e-6)
    assert math.isnan(scores(winking(3, 7, to=0.22), winking(3, 7))[0]["blinks"])  # they narrow, no more


def test_what_cannot_be_told_is_nan() -> None:
    shut: list[Landmarks | None] = [face(gap=2.0 + 0.1 * (i % 2)) for i in range(10)]
    assert math.isnan(scores(shut, talk())[0]["lips"])
    few = talk()[: FEWEST - 1]
    assert math.isnan(scores(few, few)[0]["lips"])
    none: list[Landmarks | None] = [None] * len(SPEECH)
    found, counts = scores(talk(), none)
    assert all(math.isnan(found[name]) for name in FACE_SCORES)
    assert counts == dict.fromkeys(FACE_SCORES, 0)


def test_the_gap_does_not_depend_on_how_near_the_face_is() -> None:
    assert lip_gap(face(gap=12.0)) == pytest.approx(lip_gap(face(gap=12.0) * 2))
    assert lip_gap(face(gap=12.0)) > lip_gap(face(gap=6.0)) > 0.0
