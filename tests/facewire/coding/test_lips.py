"""How far lips are apart, as the sender finds it."""

from __future__ import annotations

import numpy as np
import pytest
from tests.facewire.coding.test_encoding import face

from facewire.coding.lips import CALM, EXTRA_BYTES, Lips, place_of, spoken, taken_from, with_mouth
from facewire.face.mesh import Landmarks
from facewire.types import Between, Bundle, KeypointFrame, Picture
from facewire.wire.mouth import LIMIT, Place, stretch, stretched
from facewire.wire.pivot import decode_whole, encode_pivot

STILL = encode_pivot(np.full((256, 256, 3), 90, np.uint8), 2000)
NOWHERE = np.zeros((2, 64, 64), np.float32)


def lips(apart: float = 8.0) -> Lips:
    return Lips(with_mouth(STILL, face(0.3, apart)), lambda _: face(0.3, apart))


def shown_gap(place: Place, amount: int, apart: float) -> float:
    """How far a pivot's lips are apart where they are shown, in pixels, after a stretch."""
    (part,) = stretch(place, amount).astype(float)
    y = np.linspace(-0.2, 0.7, 40_001)
    v = (y - part[1]) * part[5]
    taken = y + part[7] * np.tanh(part[8] * v) * np.exp(-v * v / 2)
    middle = part[1] if amount else 160 / 128 - 1
    upper, lower = (y[np.argmin(np.abs(taken - (middle + sign * apart / 256)))] for sign in (-1, 1))
    return float(lower - upper) * 128


@pytest.mark.parametrize("apart", [0.0, 3.0, 6.0, 8.0, 11.0])
def test_lips_are_shown_as_far_apart_as_they_are(apart: float) -> None:
    """They are looked at a little inside, so that what touches is not told apart from what does not: nearly."""
    amount = lips(8.0).amount(NOWHERE, face(0.3, apart), 256)
    place = place_of(face(0.3, 8.0), 256)
    assert place is not None
    before, after = abs(8.0 - apart), abs(shown_gap(place, amount, 8.0) - apart)
    assert after <= max(0.5 * before, 1.0)
    assert (amount > 0) == (apart < 8)
    assert (amount < 0) == (apart > 8)


def test_what_the_displacement_does_already_is_not_done_again() -> None:
    """A face that is nearer to the camera has its lips further apart."""
    grid = (np.arange(64, dtype=np.float32) + 0.5) / 32 - 1
    closer = -0.2 * np.stack(np.broadcast_arrays(grid[None, :], grid[:, None]))
    near = face(0.3, 8.0)
    near[:, :2] = (near[:, :2] - 128) / 0.8 + 128
    assert abs(lips(8.0).amount(closer, near, 256)) <= 1
    assert lips(8.0).amount(NOWHERE, near, 256) < 0


def test_a_displacement_that_misses_the_mouth_stretches_nothing() -> None:
    below = NOWHERE + np.float32(0.2)
    assert lips(8.0).amount(below, face(0.3, 2.0), 256) == 0


def test_places_are_looked_up_between_the_fields_nodes() -> None:
    field = np.zeros((2, 64, 64), np.float32)
    field[0, :, 32:] = 0.1
    assert taken_from(field, np.array([[0.5, 0.2], [-0.5, 0.2]])) == pytest.approx(np.array([[0.6, 0.2], [-0.5, 0.2]]))


def test_an_amount_that_hardly_changes_stays() -> None:
    one = lips(8.0)
    first = one.amount(NOWHERE, face(0.3, 4.0), 256)
    assert one.amount(NOWHERE, face(0.3, 4.0 + CALM / 4), 256) == first
    assert one.amount(NOWHERE, None, 256) == first  # no face was found
    assert one.amount(NOWHERE, face(0.3, 8.0), 256) == 0
    assert abs(one.amount(NOWHERE, face(0.3, 90.0), 256)) <= LIMIT


def test_without_a_mouth_there_is_none() -> None:
    assert Lips(STILL, lambda _: face(0.3, 8.0)).amount(NOWHERE, face(0.3, 2.0), 256) == 0
    assert Lips(with_mouth(STILL, face(0.3, 8.0)), lambda _: None).amount(NOWHERE, face(0.3, 2.0), 256) == 0
    assert with_mouth(STILL, face(0.3)) == STILL  # landmarks without a mouth
    assert with_mouth(STILL, None) == STILL
    assert place_of(face(0.3, 2.0) + np.float32(150), 256) is None  # outside


@pytest.mark.parametrize("side", [256, 512])
def test_a_place_is_in_256ths_of_the_picture(side: int) -> None:
    marks = face(0.3, 4.0) * np.float32(side / 256)
    marks[[13, 14], 1] += 3 * side / 256
    assert place_of(marks, side) == Place((108, 160), (148, 160), 6)
    data = with_mouth(STILL, marks, side)
    assert decode_whole(data).mouth == Place((108, 160), (148, 160), 6)
    assert len(data) == len(STILL) + EXTRA_BYTES


def test_frames_without_a_face_say_nothing() -> None:
    points = np.zeros((10, 2), np.int16)
    message = Bundle(0, (KeypointFrame(0, points), KeypointFrame(2, points, True), KeypointFrame(4, points)))
    faces: dict[int, Landmarks] = {0: face(0.3, 2.0), 4: face(0.3, 12.0)}
    first, held, last = spoken(message, [NOWHERE, NOWHERE], lips(8.0), faces, 256).frames
    assert first.mouth > 0
    assert held.mouth == 0
    assert last.mouth < 0


def said(message: Bundle, lips: Lips, faces: dict[int, Landmarks], gate: float | None = None) -> list[KeypointFrame]:
    sure = sum(not frame.low_confidence for frame in message.frames)
    return [*spoken(message, [NOWHERE] * sure, lips, faces, 256, gate).frames]


def line(*numbers: int, low: tuple[int, ...] = (), shut: tuple[int, ...] = ()) -> Bundle:
    points = np.zeros((10, 2), np.int16)
    return Bundle(0, tuple(KeypointFrame(n, points, n in low, shut=n in shut) for n in numbers))


def test_lips_that_meet_between_two_frames_are_said_to() -> None:
    faces = {0: face(0.3, 8.0), 1: face(0.3, 1.0), 2: face(0.3, 8.0), 3: face(0.3, 8.0), 4: face(0.3, 8.0)}
    one = lips(8.0)
    first, second, third = said(line(0, 2, 4), one, faces)
    assert [frame.mouth for frame in (first, second, third)] == [0, 0, 0]
    assert first.between == (Between(),)  # of all as many, or of none
    assert second.between[0].mouth >= 2
    assert third.between == (Between(),)
    (after,) = said(line(6), one, {5: face(0.3, 1.0), 6: face(0.3, 8.0)})  # the frame before is in another bundle
    assert after.between[0].mouth >= 2
    assert [frame.between for frame in said(line(8, 10), one, {n: face(0.3, 8.0) for n in range(7, 11)})] == [(), ()]


def test_lips_half_way_need_not_be_told() -> None:
    faces = {0: face(0.3, 2.0), 1: face(0.3, 5.0), 2: face(0.3, 8.0)}
    assert [frame.between for frame in said(line(0, 2), lips(8.0), faces)] == [(), ()]


def test_a_gap_too_wide_or_a_held_picture() -> None:
    shut = {n: face(0.3, 1.0) for n in range(20)} | {n: face(0.3, 8.0) for n in (0, 2, 7)}
    one = lips(8.0)
    *_, last = said(line(0, 2, 7), one, shut)
    assert last.between == (Between(),)  # nothing is made up in a gap of four
    held = said(line(9, 11, low=(9,)), lips(8.0), {10: face(0.3, 1.0), 11: face(0.3, 8.0)})
    assert [frame.between for frame in held] == [(), ()]  # nothing came before
    held = said(line(9, 11, low=(9,)), one, {10: face(0.3, 1.0), 11: face(0.3, 8.0)})
    assert held[0].between == ()
    assert held[1].between[0].mouth >= 2


@pytest.mark.parametrize("with_a_mouth", [True, False])
def test_eyes_that_shut_early_or_late_are_said_to(with_a_mouth: bool) -> None:
    open_, shut = face(0.3, 8.0), face(0.05, 8.0)
    one = lips(8.0) if with_a_mouth else Lips(STILL, lambda _: open_)
    faces = {0: open_, 1: open_, 2: shut, 3: shut, 4: open_}
    frames = said(line(0, 2, 4, shut=(2,)), one, faces, 0.15)
    assert [frame.between for frame in frames] == [(Between(),), (Between(0, False),), (Between(0, True),)]
    frames = said(line(6, 8, 10, shut=(8,)), one, {7: shut, 9: open_}, 0.15)
    assert [frame.between for frame in frames] == [(), (), ()]  # as the nearer one, the later of two


def test_a_receiver_stretches_as_the_sender_thinks() -> None:
    field = np.random.default_rng(1).normal(0, 0.02, (2, 64, 64)).astype(np.float32)
    assert stretched(field, stretch(None, 0)) is field
    part = stretch(Place((108, 160), (148, 160)), 5)
    places = np.array([[0.0, 0.2], [0.1, 0.3], [-0.1, 0.28]])
    moved = taken_from(stretched(field, part), places) - taken_from(field, places)
    assert moved[0, 1] < -0.01  # above the lips: from further up
    assert moved[1, 1] > 0.01
    assert np.abs(moved[:, 0]).max() < 1e-6


def test_the_pivots_own_lips_are_looked_at_as_they_are_coded() -> None:
    asked: list[Picture] = []

    def landmarks(picture: Picture) -> Landmarks:
        asked.append(picture)
        return face(0.3, 8.0)

    Lips(with_mouth(STILL, face(0.3, 8.0)), landmarks)
    assert [picture.shape for picture in asked] == [(256, 256, 3)]
