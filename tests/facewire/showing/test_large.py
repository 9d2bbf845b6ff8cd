"""Large pivots are restored a patch at a time, while they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.showing.large import OVERLAP, LargePivot
from facewire.showing.patches import places
from facewire.showing.planes import to_planes
from facewire.types import Picture
from facewire.wire.pivot import Large

SIDE = 192


class Brighter:
    """A restorer that adds a tenth, and counts what it sees."""

    inputs: Mapping[str, tuple[int | None, ...]] = {"pivot": (1, 3, SIDE, SIDE)}
    outputs: Mapping[str, tuple[int | None, ...]] = {"restored": (1, 3, SIDE, SIDE)}

    def __init__(self) -> None:
        self.runs = 0

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        self.runs += 1
        return {"restored": inputs["pivot"] + np.float32(0.1)}


@pytest.fixture
def picture() -> Picture:
    return np.random.default_rng(1).integers(0, 200, (512, 512, 3), np.uint8)


PATCHES = len(places(512, SIDE, OVERLAP)) ** 2


def test_a_picture_is_shown_as_decoded_until_all_of_it_is_restored(picture: Picture) -> None:
    restorer = Brighter()
    pivot = LargePivot(Large(picture, None), restorer)
    for _ in range(PATCHES - 1):
        pivot.advance()
    assert np.array_equal(pivot.planes(False), to_planes(picture))
    pivot.advance()
    assert np.allclose(pivot.planes(False), to_planes(picture) + 0.1, atol=1e-5)
    assert pivot.planes(True) is pivot.planes(False)
    assert not pivot.planes(False).flags.writeable
    pivot.advance()
    assert restorer.runs == PATCHES


def test_of_shut_eyes_only_the_patches_that_differ_are_restored_again(picture: Picture) -> None:
    shut = picture.copy()
    shut[40:60, 40:80] = 0
    restorer = Brighter()
    pivot = LargePivot(Large(picture, shut), restorer)
    for _ in range(PATCHES):
        pivot.advance()
    assert restorer.runs == PATCHES + 1
    for planes, decoded in ((pivot.planes(False), picture), (pivot.planes(True), shut)):
        assert np.allclose(planes, to_planes(decoded) + 0.1, atol=1e-5)


def test_without_a_restorer_they_stay_as_they_are(picture: Picture) -> None:
    pivot = LargePivot(Large(picture, None), None)
    pivot.advance()
    assert np.array_equal(pivot.planes(True), to_planes(picture))
