"""Which picture would have been the best pivot."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from tests.facewire.coding.test_encoding import face

from facewire.coding.album import FEWEST, MOST, Album, Seen, fittest
from facewire.coding.likeness import THUMB, Look
from facewire.coding.pivots import Scene

POINTS = np.random.default_rng(1).uniform(-0.5, 0.5, (10, 2)).astype(np.float32)


def seen(grey: float, openness: float | None = 0.3, apart: float | None = None) -> Seen:
    """A picture of one grey; `apart` is the difference of greys."""
    look = Look(np.full((THUMB, THUMB, 3), grey, np.float32), POINTS)
    marks = None if openness is None else face(openness, apart)
    return Seen(np.zeros((8, 8, 3), np.uint8), Scene(None, None, look, marks))


def test_the_one_in_the_middle_is_the_fittest() -> None:
    all_seen = [seen(grey) for grey in (0.2, 0.3, 0.4, 0.9)]
    assert fittest(all_seen, seen(0.9)) in all_seen[1:3]
    current = seen(0.35)
    assert fittest(all_seen, current) is current  # none is better


def test_shut_eyes_are_no_pivot() -> None:
    all_seen = [seen(0.3), seen(0.38, 0.1), seen(0.4), seen(0.42), seen(0.9, None)]
    assert fittest(all_seen, seen(0.9)) is all_seen[2]
    blinking = seen(0.39, 0.1)
    assert fittest(all_seen, blinking) is all_seen[2]  # although it is the nearest to all


def test_lips_that_are_shut_are_no_pivot_where_they_mostly_are_not() -> None:
    grey = (0.2, 0.3, 0.35, 0.36, 0.5, 0.9)
    talking = [seen(one, apart=apart) for one, apart in zip(grey, (6.0, 8.0, 0.0, 7.0, 7.0, 9.0), strict=True)]
    assert fittest(talking, seen(0.9, apart=8.0)) is talking[3]
    assert fittest(talking, talking[2]) is talking[3]
    silent = [seen(one, apart=1.0) for one in grey]
    assert any(fittest(silent, seen(0.9, apart=1.0)) is one for one in silent[2:4])


def test_eyes_out_of_focus_are_no_pivot() -> None:
    sharp = np.random.default_rng(2).integers(0, 256, (256, 256, 3), np.uint8)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 1.0).astype(np.uint8)
    in_turn = [sharp, sharp, blurred, sharp, sharp]
    all_seen = [
        replace(seen(grey), picture=picture) for grey, picture in zip((0.2, 0.3, 0.38, 0.4, 0.6), in_turn, strict=True)
    ]
    assert fittest(all_seen, seen(0.9)) is all_seen[3]
    assert fittest([replace(one, picture=blurred) for one in all_seen], seen(0.9)).scene is all_seen[2].scene


def test_few_pictures_choose_nothing() -> None:
    current = seen(0.9)
    assert fittest([seen(0.3)] * (FEWEST - 1), current) is current
    without = [Seen(one.picture, Scene()) for one in [seen(0.3)] * 9]
    assert fittest(without, current) is current


def test_an_album_is_bounded_and_spread_over_all_that_was_shown() -> None:
    album = Album()
    shown = [seen(number / 1000) for number in range(1000)]
    for one in shown:
        album.add(one)
    album.add(Seen(shown[0].picture, Scene()))
    places = [next(index for index, one in enumerate(shown) if one is kept) for kept in album.seen]
    assert MOST // 2 <= len(places) <= MOST
    assert len(set(np.diff(places))) == 1
    assert places[0] == 0
    assert places[-1] > 900
    album.clear()
    assert album.seen == ()
