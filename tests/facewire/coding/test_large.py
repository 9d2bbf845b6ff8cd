"""Pivots of files at twice the coded side, where there is more to show and there are bytes for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facewire.coding.large import LEAST_BYTES, Shots, encode_large
from facewire.coding.lookahead import Lookahead
from facewire.face.box import FaceBox
from facewire.face.crop import cut
from facewire.networks import open_networks
from facewire.profiles import profile
from facewire.types import Crop, Frame, Picture, PivotSlice
from facewire.wire.pivot import PROBE_SPEED, decode_whole

CROP = Crop(40, 40, 512)


@pytest.fixture
def camera() -> Picture:
    """Grains of four pixels: more than the coded side can show, and nothing that a coder makes small."""
    grains = np.random.default_rng(1).integers(90, 160, (160, 160, 3), np.uint8)
    return grains.repeat(4, 0).repeat(4, 1)


def test_large_pictures_are_kept_until_the_stretch_ends(camera: Picture) -> None:
    shots = Shots(LEAST_BYTES)
    shots.add(7, camera, CROP)
    kept = shots.get(7)
    assert kept is not None
    assert np.abs(kept.astype(int) - cut(camera, CROP, 512)).mean() < 5
    assert shots.get(8) is None
    shots.clear()
    assert shots.get(7) is None


@pytest.mark.parametrize(("most", "side"), [(LEAST_BYTES - 1, 512), (LEAST_BYTES, 300)])
def test_nothing_is_kept_in_vain(camera: Picture, most: int, side: int) -> None:
    shots = Shots(most)
    shots.add(7, camera, Crop(40, 40, side))
    assert shots.get(7) is None


@pytest.mark.parametrize(("most", "is_large"), [(LEAST_BYTES, True), (LEAST_BYTES - 1, False)])
def test_there_must_be_bytes_for_it(camera: Picture, most: int, is_large: bool) -> None:
    data = encode_large(cut(camera, CROP, 256), cut(camera, CROP, 512), None, most, PROBE_SPEED)
    assert len(data) <= most
    assert (decode_whole(data).large is not None) == is_large


class Faces:
    """A finder that always sees the same face."""

    def find(self, _: Picture) -> list[FaceBox]:
        return [FaceBox(200, 200, 220, 220, 0.9)]


def test_a_file_has_large_pivots_where_its_profile_has_the_bytes(
    tiny_models: Path, camera: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("plan", "lookahead"):
        monkeypatch.setattr(f"facewire.coding.{module}.PATIENT_SPEED", PROBE_SPEED - 1)
    steps = Lookahead(open_networks(tiny_models), profile("lan"), Faces())
    messages = [message for number in range(20) for message in steps.push(Frame(camera, number / 25))]
    messages += steps.flush()
    pivot = b"".join(message.data for message in messages if isinstance(message, PivotSlice))
    assert decode_whole(pivot).large is not None
