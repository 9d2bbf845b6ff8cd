"""Shut eyes for a pivot, out of a blink that was seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.facewire.coding.test_encoding import face

from facewire.coding.album import Seen
from facewire.coding.lids import MAX_BYTES, NEAR, SHUT, blink, lidded
from facewire.coding.pivots import Scene
from facewire.face.mesh import OVAL
from facewire.face.pose import HeadPose
from facewire.wire.pivot import decode_whole, encode_pivot


def seen(openness: float, yaw: float = 0.0, shift: tuple[int, int] = (0, 0), level: int = 90) -> Seen:
    """A grey head whose eyes, where they are open, are bright."""
    picture = np.full((256, 256, 3), level, np.uint8)
    x, y = shift
    for left in (90, 140):
        picture[96 + y : 104 + y, left + x : left + 25 + x] = 220 if openness > 0.2 else level - 30
    marks = face(openness)
    marks[:, :2] += shift
    return Seen(picture, Scene(HeadPose(yaw, 0.0, 0.0), face=marks))


PIVOT = seen(0.3)
DATA = encode_pivot(PIVOT.picture, 4000)


def test_the_blink_that_fits_the_pose_best_is_taken() -> None:
    near, far = seen(0.05, yaw=3.0), seen(0.05, yaw=-8.0)
    assert blink([far, PIVOT, near, seen(0.25)], PIVOT, 0.3) is near
    assert blink([seen(0.05, yaw=NEAR + 1), seen(1.1 * SHUT * 0.3)], PIVOT, 0.3) is None
    assert blink([Seen(PIVOT.picture, Scene()), Seen(PIVOT.picture, Scene(HeadPose(0, 0, 0)))], PIVOT, 0.3) is None
    assert blink([near], Seen(PIVOT.picture, Scene()), 0.3) is None


def test_eyes_that_are_screwed_up_as_a_rule_are_not_shut_because_the_pivots_are_wide_open() -> None:
    screwed_up = seen(0.13)
    assert blink([screwed_up], PIVOT, 0.0) is screwed_up
    assert blink([screwed_up], PIVOT, 0.2) is None
    made = lidded(DATA, PIVOT, [seen(0.05)], 0.2)
    assert made is not None
    assert made.gate == pytest.approx((0.2 + 0.05) / 2, abs=0.01)


@pytest.mark.parametrize(("shift", "level"), [((0, 0), 90), ((14, -9), 90), ((0, 0), 110)])
def test_its_eyes_are_laid_where_the_pivot_has_its(shift: tuple[int, int], level: int) -> None:
    made = lidded(DATA, PIVOT, [PIVOT, seen(0.05, 2.0, shift, level)], 0.3)
    assert made is not None
    assert made.gate == pytest.approx((0.3 + 0.05) / 2, abs=0.01)
    assert len(DATA) < len(made.data) <= len(DATA) + MAX_BYTES
    opened, shut, *_ = decode_whole(made.data)
    assert shut is not None
    for left in (90, 140):
        assert opened[97:103, left + 4 : left + 21].mean() == pytest.approx(220, abs=12)
        assert shut[97:103, left + 4 : left + 21].mean() == pytest.approx(60, abs=12)
    assert np.abs(shut[:60].astype(int) - opened[:60]).max() == 0
    assert np.abs(shut[85:90].astype(int) - 90).max() < 14  # another light leaves no band


def test_what_is_beside_the_face_stays_the_pivots() -> None:
    pictures = []
    for one, wall in ((PIVOT, 200), (seen(0.05), 20)):
        picture = one.picture.copy()
        picture[:, :84] = wall
        turned = face(0.3 if one is PIVOT else 0.05)
        turned[list(OVAL), 0] = np.maximum(turned[list(OVAL), 0], 86)  # the eye is near the contour
        pictures.append(Seen(picture, replace(one.scene, face=turned)))
    pivot, shut_one = pictures
    made = lidded(encode_pivot(pivot.picture, 4000), pivot, [shut_one], 0.3)
    assert made is not None
    opened, shut, *_ = decode_whole(made.data)
    assert shut is not None
    assert np.abs(shut[90:110, :84].astype(int) - opened[90:110, :84]).max() < 40
    assert shut[97:103, 94:111].mean() == pytest.approx(60, abs=12)


def test_where_nothing_fits_the_pivot_stays_as_it_is() -> None:
    assert lidded(DATA, PIVOT, [PIVOT], 0.3) is None
    assert lidded(DATA, PIVOT, [], 0.0) is None
    edge = replace(PIVOT.scene, face=np.asarray(face(0.3) - (95, 0, 0), np.float32))
    assert lidded(DATA, Seen(PIVOT.picture, edge), [seen(0.05)], 0.3) is None
