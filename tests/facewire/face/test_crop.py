"""The crop's policy: frames like the clips, stands still, follows one face, never tears a picture."""

from __future__ import annotations

import numpy as np
import pytest

from facewire.face.box import FaceBox, overlap
from facewire.face.crop import (
    AT_ONCE,
    CENTRE,
    FACE,
    FORGET,
    PATIENCE,
    CropFollower,
    centre_crop,
    cut,
    framing,
)
from facewire.types import Crop

WIDE = (720, 1280, 3)


def face(x: float, y: float, side: float = 160.0, score: float = 0.9) -> FaceBox:
    """A face whose middle is at x, y."""
    return FaceBox(x - side / 2, y - side / 2, side, side, score)


def test_framing_of_a_wide_picture() -> None:
    decision = CropFollower().update([face(640, 360)], WIDE)
    assert decision.moved
    assert not decision.low_confidence
    crop = decision.crop
    assert crop is not None
    assert crop.side == round(160 / FACE)
    assert (640 - crop.left) / crop.side == pytest.approx(CENTRE[0], abs=0.01)
    assert (360 - crop.top) / crop.side == pytest.approx(CENTRE[1], abs=0.01)


@pytest.mark.parametrize("place", [(100, 100), (1200, 80), (60, 700), (1270, 710), (640, 20)])
@pytest.mark.parametrize("side", [40.0, 160.0, 330.0])
def test_the_crop_stays_inside_if_it_fits(place: tuple[int, int], side: float) -> None:
    crop = framing(face(*place, side), (720, 1280))
    assert crop.left >= 0
    assert crop.top >= 0
    assert crop.left + crop.side <= 1280
    assert crop.top + crop.side <= 720


def test_a_face_too_large_for_the_picture_is_framed_by_its_edge() -> None:
    crop = framing(face(640, 360, 700.0), (720, 1280))
    assert crop.side == 1000
    assert cut(np.zeros(WIDE, np.uint8), crop, 256).shape == (256, 256, 3)


@pytest.mark.parametrize("shape", [(512, 512, 3), (256, 256, 3), (480, 484, 3)])
@pytest.mark.parametrize("part", [0.26, 0.5, 0.8])
def test_a_square_picture_with_a_large_face_is_taken_whole(shape: tuple[int, int, int], part: float) -> None:
    side = shape[0]
    follower = CropFollower()
    assert follower.update([face(side * 0.4, side * 0.45, side * part)], shape).crop == centre_crop(shape)
    for x in np.linspace(0.2, 0.8, 30):
        decision = follower.update([face(side * float(x), side * 0.6, side * 0.2)], shape)
        assert decision.crop == centre_crop(shape)
        assert not decision.moved


def test_a_square_picture_with_a_small_face_is_cut() -> None:
    decision = CropFollower().update([face(900, 300, 150)], (1080, 1080, 3))
    assert decision.crop is not None
    assert decision.crop.side == 300


def test_it_stands_still_inside_the_safe_zone() -> None:
    follower = CropFollower()
    first = follower.update([face(640, 360)], WIDE)
    noise = np.random.default_rng(0)
    for _ in range(500):
        x, y, size = noise.normal((640, 360, 160), (14, 12, 8))
        decision = follower.update([face(float(x), float(y), float(size))], WIDE)
        assert decision.crop == first.crop
        assert not decision.moved


def test_one_wild_box_does_not_move_it() -> None:
    follower = CropFollower()
    first = follower.update([face(640, 360)], WIDE)
    for _ in range(10):
        for _ in range(PATIENCE - 1):
            assert not follower.update([face(710, 360)], WIDE).moved
        assert follower.update([face(640, 360)], WIDE).crop == first.crop


def test_it_follows_after_patience_to_the_middle_of_what_it_saw() -> None:
    follower = CropFollower()
    follower.update([face(640, 360)], WIDE)
    moves = [follower.update([face(x, 360)], WIDE) for x in (710, 716, 713)]
    assert [decision.moved for decision in moves] == [False, False, True]
    assert moves[-1].crop == framing(face(713, 360), (720, 1280))


def test_it_follows_a_leap_at_once() -> None:
    follower = CropFollower()
    follower.update([face(640, 360)], WIDE)
    assert follower.update([face(640 + AT_ONCE * 320 + 2, 360)], WIDE).moved


def test_it_follows_a_face_that_comes_nearer() -> None:
    follower = CropFollower()
    follower.update([face(640, 360, 100)], WIDE)
    assert [follower.update([face(640, 360, 170)], WIDE).moved for _ in range(PATIENCE)][-1]


def test_at_the_edge_it_does_not_chase() -> None:
    follower = CropFollower()
    follower.update([face(60, 360)], WIDE)
    assert not any(follower.update([face(30 + n % 5, 360)], WIDE).moved for n in range(50))


def test_no_face_holds_the_crop() -> None:
    follower = CropFollower()
    assert follower.update([], WIDE).crop is None
    first = follower.update([face(640, 360)], WIDE)
    for _ in range(100):
        decision = follower.update([], WIDE)
        assert decision.crop == first.crop
        assert decision.low_confidence
        assert not decision.moved
    elsewhere = follower.update([face(200, 300)], WIDE)
    assert elsewhere.moved, "after a long absence the new place is taken at once"


def test_the_largest_of_several_is_taken_and_kept() -> None:
    follower = CropFollower()
    decision = follower.update([face(200, 300, 100), face(640, 360, 160)], WIDE)
    assert decision.face is not None
    assert decision.face.centre == (640, 360)
    for _ in range(20):
        decision = follower.update([face(200, 300, 240), face(642, 361, 158)], WIDE)
        assert decision.face is not None
        assert decision.face.centre == (642, 361)
        assert not decision.moved


def test_another_face_takes_over_once_the_first_is_gone() -> None:
    follower = CropFollower()
    follower.update([face(640, 360)], WIDE)
    others = [face(150, 300), face(1100, 300, 170)]
    decisions = [follower.update(others, WIDE) for _ in range(FORGET + 2)]
    assert decisions[0].low_confidence
    assert not decisions[0].moved
    assert any(decision.moved for decision in decisions)
    last = decisions[-1].face
    assert last is not None
    assert last.centre == (1100, 300)


def test_another_picture_size_starts_anew() -> None:
    follower = CropFollower()
    follower.update([face(640, 360)], WIDE)
    assert follower.update([], (480, 640, 3)).crop is None
    assert follower.update([face(300, 200)], (480, 640, 3)).moved


def test_cut_takes_the_right_pixels() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    assert np.array_equal(cut(picture, Crop(10, 5, 20), 20), picture[5:25, 10:30])
    outside = cut(picture, Crop(-5, -5, 20), 20)
    assert np.array_equal(outside[5:, 5:], picture[:15, :15])
    assert np.array_equal(outside[0], outside[5])
    for size in (7, 20, 64):
        assert cut(picture, Crop(50, 30, 20), size).shape == (size, size, 3)
    with pytest.raises(ValueError, match="outside"):
        cut(picture, Crop(60, 0, 10), 10)


def test_overlap() -> None:
    assert overlap(face(100, 100, 50), face(100, 100, 50)) == pytest.approx(1.0)
    assert overlap(face(100, 100, 50), face(125, 100, 50)) == pytest.approx(1 / 3)
    assert overlap(face(100, 100, 50), face(151, 100, 50)) == 0.0
