"""Faces that are looked for beside other work."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.facewire.coding.test_encoding import face

from facewire.coding.glances import WAITING, Glances
from facewire.face.mesh import Landmarks
from facewire.types import Picture


def picture(level: int) -> Picture:
    return np.full((4, 4, 3), level, np.uint8)


def landmarks(coded: Picture) -> Landmarks | None:
    level = int(coded[0, 0, 0])
    return None if level == 3 else face(level / 100)


def test_faces_come_by_their_numbers_whoever_looks() -> None:
    with ThreadPoolExecutor(1) as thread:
        for glances in (Glances(landmarks), Glances(landmarks, thread)):
            for number in range(3 * WAITING):
                glances.at(100 + number, picture(number))
            found = glances.take()
            assert set(found) == {100 + number for number in range(3 * WAITING) if number != 3}
            assert np.array_equal(found[107].face, face(0.07))
            assert found[107].picture[0, 0, 0] == 7
            assert glances.take() == {}


def test_who_brings_too_many_waits() -> None:
    go, seen = threading.Event(), []

    def slowly(coded: Picture) -> None:
        assert go.wait(10)
        seen.append(int(coded[0, 0, 0]))

    with ThreadPoolExecutor(1) as thread:
        glances = Glances(slowly, thread)
        for number in range(WAITING):
            glances.at(number, picture(number))
        assert seen == []
        threading.Timer(0.1, go.set).start()
        glances.at(WAITING, picture(WAITING))
        assert 0 in seen
        assert glances.take() == {}
        assert seen == [*range(WAITING + 1)]


def test_what_goes_wrong_is_told() -> None:
    def broken(_: Picture) -> None:
        raise RuntimeError("no mesh")

    with ThreadPoolExecutor(1) as thread:
        glances = Glances(broken, thread)
        glances.at(1, picture(1))
        with pytest.raises(RuntimeError, match="no mesh"):
            glances.take()
