"""A pivot in more bytes, only where they bring something."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import numpy as np
import pytest

from facewire.coding.album import Seen
from facewire.coding.finer import Originals, better
from facewire.coding.likeness import THUMB, Look
from facewire.coding.pivots import LIBRARY, Scene, Taken
from facewire.types import Crop, Picture
from facewire.wire.difference import enlarged, halved
from facewire.wire.pivot import add_difference, coarsest, content_id, decode_pivot, decode_whole, encode_pivot

POINTS = np.random.default_rng(2).uniform(-0.5, 0.5, (10, 2)).astype(np.float32)


@pytest.fixture
def picture() -> Picture:
    return np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)


def taken(picture: Picture, max_bytes: int) -> Taken:
    data = encode_pivot(picture, max_bytes)
    return Taken(content_id(data), data, Crop(1, 2, 64), Scene(), picture.shape)


def test_the_same_picture_in_more_bytes(picture: Picture) -> None:
    originals, first = Originals(), taken(picture, 1000)
    originals.keep(first.pivot_id, Seen(picture, Scene()))
    finer = originals.finer(first, (), 4000)
    assert finer is not None
    made = finer.taken
    assert made.data.startswith(first.data)
    assert made.pivot_id == content_id(made.data)
    assert (made.crop, made.scene, made.shape) == (first.crop, first.scene, first.shape)
    errors = [np.abs(decode_pivot(one.data).astype(int) - picture).mean() for one in (first, made)]
    assert errors[1] < 0.9 * errors[0]
    assert originals.finer(made, (), 8000) is None  # it is the finer one


def test_what_was_not_possible_or_did_not_arrive_may_be_tried_again(picture: Picture) -> None:
    originals, first = Originals(), taken(picture, 1000)
    originals.keep(first.pivot_id, Seen(picture, Scene()))
    assert originals.finer(first, (), 0) is None
    sent_in_vain = originals.finer(first, (), 4000)
    assert sent_in_vain is not None
    assert originals.finer(first, (), 4000) == sent_in_vain


def test_no_finer_one_where_it_brings_nothing(picture: Picture) -> None:
    originals, first = Originals(), taken(picture, 1000)
    flat = np.full((64, 64, 3), 90, np.uint8)
    simple = taken(flat, 1000)
    originals.keep(first.pivot_id, Seen(picture, Scene()))
    originals.keep(simple.pivot_id, Seen(flat, Scene()))
    assert originals.finer(first, (), 1100) is None
    assert originals.finer(simple, (), 4000) is None
    assert originals.finer(taken(picture, 900), (), 4000) is None


def test_a_better_picture_is_taken(picture: Picture) -> None:
    def seen(grey: int) -> Seen:
        scene = Scene(None, None, Look(np.full((THUMB, THUMB, 3), grey / 255, np.float32), POINTS))
        return Seen(np.full_like(picture, grey) + picture // 16, scene)

    first = replace(taken(picture, 1000), scene=seen(200).scene)
    others = [seen(grey) for grey in (60, 70, 72, 74, 80)]
    found = better(first, Seen(picture, first.scene), others, 4000)
    assert found is not None
    assert found.taken.scene is others[2].scene
    coarse = coarsest(found.taken.data)
    assert coarse == encode_pivot(others[2].picture, len(first.data))
    assert found.taken.data == add_difference(coarse, others[2].picture, 4000)


def test_old_pictures_go(picture: Picture) -> None:
    originals, first = Originals(), taken(picture, 1000)
    originals.keep(first.pivot_id, Seen(picture, Scene()))
    for number in range(LIBRARY):
        originals.keep(bytes([number] * 8), Seen(picture, Scene()))
    assert originals.finer(first, (), 4000) is None


def test_it_is_coded_beside_everything_else(picture: Picture) -> None:
    first = taken(picture, 1000)
    with ThreadPoolExecutor(1) as background:
        originals, gate = Originals(background), Event()
        originals.keep(first.pivot_id, Seen(picture, Scene()))
        background.submit(gate.wait)
        assert originals.finer(first, (), 4000) is None
        assert originals.finer(first, (), 4000) is None
        gate.set()
    finer = originals.finer(first, (), 4000)
    assert finer is not None
    assert finer.taken.data == add_difference(first.data, picture, 4000)


def test_what_was_coded_for_a_pivot_that_is_gone_is_not_given_out(picture: Picture) -> None:
    one, other = taken(picture, 1000), taken(picture.transpose(1, 0, 2), 1000)
    with ThreadPoolExecutor(1) as background:
        originals = Originals(background)
        originals.keep(one.pivot_id, Seen(picture, Scene()))
        originals.keep(other.pivot_id, Seen(picture.transpose(1, 0, 2), Scene()))
        assert originals.finer(one, (), 4000) is None
        background.submit(int).result()
        assert originals.finer(other, (), 4000) is None
        background.submit(int).result()
        finer = originals.finer(other, (), 4000)
    assert finer is not None
    assert finer.taken.data == add_difference(other.data, picture.transpose(1, 0, 2), 4000)


@pytest.fixture
def large() -> Picture:
    return np.random.default_rng(5).integers(0, 255, (32, 32, 3), np.uint8).repeat(4, 0).repeat(4, 1)


def test_what_is_finer_is_large_where_that_is_wanted_and_a_large_picture_is_kept(large: Picture) -> None:
    original = Seen(halved(large), Scene(), large)
    first = taken(original.picture, 1000)
    originals = Originals()
    originals.keep(first.pivot_id, original)
    finer = originals.finer(first, (), 6000, large=True)
    assert finer is not None
    shown = decode_whole(finer.taken.data).large
    assert shown is not None
    assert shown.picture.shape == large.shape
    error = np.abs(shown.picture.astype(int) - large).mean()
    assert error < 0.5 * np.abs(enlarged(decode_pivot(first.data), 128).astype(int) - large).mean()


def test_what_was_finer_is_finest_once(large: Picture) -> None:
    original = Seen(halved(large), Scene(), large)
    first = taken(original.picture, 1000)
    originals = Originals()
    originals.keep(first.pivot_id, original)
    finer = originals.finer(first, (), 3000)
    assert finer is not None
    assert decode_whole(finer.taken.data).large is None
    finest = originals.finest(finer.taken, 6000)
    assert finest is not None
    assert decode_whole(finest.taken.data).large is not None
    assert coarsest(finest.taken.data) == coarsest(finer.taken.data)  # of which nothing is sent again
    assert originals.finest(finest.taken, 12_000) is None
    assert originals.finest(finer.taken, 0) is None


def test_nothing_is_larger_than_what_was_seen(picture: Picture) -> None:
    originals, first = Originals(), taken(picture, 1000)
    originals.keep(first.pivot_id, Seen(picture, Scene()))
    finest = originals.finest(first, 4000)
    assert finest is not None
    assert decode_whole(finest.taken.data).large is None
