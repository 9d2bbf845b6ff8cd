from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewire.animator import Animator
from facewire.deformation import FIELD, Array, Fitter, deformed, from_grid, to_grid
from facewire.networks import SENDER, Networks, open_networks
from facewire.types import Bundle, Epoch, KeypointFrame, Picture, PivotSlice, Points
from facewire.wire.deformation import KINDS, LIMIT
from facewire.wire.packets import pack
from facewire.wire.pivot import content_id, encode_pivot


@pytest.fixture(scope="module")
def networks(tiny_models: Path) -> Networks:
    return open_networks(tiny_models, names=SENDER)


def scene(shift: float = 0.0) -> Picture:
    """Blobs, moved to the right by some pixels."""
    noise = np.random.default_rng(2).integers(30, 226, (16, 16, 3)).astype(np.uint8)
    large = cv2.resize(noise, (256, 256), interpolation=cv2.INTER_CUBIC)
    matrix = np.array([[1, 0, shift], [0, 1, 0]], np.float32)
    return np.asarray(cv2.warpAffine(large, matrix, (256, 256), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def still_points(networks: Networks, pivot: bytes) -> Points:
    """Keypoints for which the motion network moves nothing."""
    fitter = Fitter(networks, pivot, 1)
    return np.asarray(fitter._still["pivot_keypoints"][0], np.float32)


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("shift", [-4.0, 0.0, 2.0])
def test_what_keypoints_do_not_say_is_found(networks: Networks, kind: int, shift: float) -> None:
    pivot = encode_pivot(scene(), 12_000)
    fit = Fitter(networks, pivot, kind).fit(still_points(networks, pivot), scene(shift))
    field = from_grid(to_grid([fit], kind, 0.5)[0])[0] * 128  # pixels; a place that came from the left: negative
    inner = field[:, 16:-16, 16:-16]
    assert abs(inner[0].mean() + shift) < 0.6
    assert abs(inner[1].mean()) < 0.6


def test_it_is_added_to_what_keypoints_say(networks: Networks) -> None:
    pivot = encode_pivot(scene(), 12_000)
    points = still_points(networks, pivot) + np.array([4 / 128, 0], np.float32)  # all that was seen moved right by 4
    fit = Fitter(networks, pivot, 2).fit(points, scene(4.0))
    assert np.abs(fit[:, 1:-1, 1:-1]).max() < 1.0 / 128


def test_whole_steps_are_the_nearest() -> None:
    dice = np.random.default_rng(0)
    fits = [dice.normal(0, 0.05, (2, 4, 4)).astype(np.float32) for _ in range(3)]
    step = KINDS[1].step / 128
    for fit, whole in zip(fits, to_grid(fits, 1, 0.5), strict=True):
        assert np.abs(whole * step - fit).max() <= step / 2 + 1e-6
    far = np.full((2, 4, 4), 9.0, np.float32)
    assert to_grid([far], 1, 0.5)[0].max() == LIMIT


def test_slack_keeps_still_what_trembles() -> None:
    dice = np.random.default_rng(4)
    fits = [(dice.normal(0, 0.3, (2, 6, 6)) * 2 / 128).astype(np.float32) for _ in range(9)]
    assert len({whole.tobytes() for whole in to_grid(fits, 2, 2.0)}) == 1
    assert len({whole.tobytes() for whole in to_grid(fits, 2, 0.5)}) > 5


def frames_with_a_gap() -> tuple[Bundle, list[Array]]:
    points = np.zeros((10, 2), np.int16)
    bundle = Bundle(0, tuple(KeypointFrame(at, points, at == 1) for at in range(4)))
    dice = np.random.default_rng(5)
    return bundle, [dice.normal(0, 0.05, (2, 6, 6)).astype(np.float32) for _ in range(3)]


def test_they_keep_to_the_bytes() -> None:
    bundle, fits = frames_with_a_gap()
    plain = len(pack(bundle))
    for most in (0.1, 60.0, 120.0):
        (out,) = deformed([bundle], [fits], 2, most)
        assert len(pack(out)) - plain <= 3 * most
        assert [frame.deformation is None for frame in out.frames] == [most < 1, True, most < 1, most < 1]


def test_a_receiver_moves_the_picture_by_them(networks: Networks) -> None:
    pivot = encode_pivot(np.full((256, 256, 3), 90, np.uint8), 4000)
    epoch = Epoch(1, 0, 0, content_id(pivot), len(pivot), 256, 25.0, 1, networks.id, 1.0)
    frame = KeypointFrame(0, np.zeros((10, 2), np.int16))
    whole = np.full((2, 6, 6), 16, np.int16)  # 32 pixels of 256
    shown = []
    for deformation in (None, whole):
        animator = Animator(networks)
        for message in (PivotSlice(epoch.pivot_id, 0, len(pivot), pivot), epoch):
            assert not list(animator.push(message))
        (rebuilt,) = animator.push(Bundle(0, (replace(frame, deformation=deformation),)))
        shown.append(np.asarray(rebuilt.planes).mean())
    assert shown[1] - shown[0] == pytest.approx(32 / 128, abs=0.01)  # the tiny generator brightens what moves


def test_no_deformation_is_a_field_of_zeros() -> None:
    assert from_grid(None).shape == (1, 2, FIELD, FIELD)
    assert not from_grid(None).any()
