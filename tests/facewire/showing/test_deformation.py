from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewire.coding.trellis import to_grid
from facewire.networks import SENDER, Networks, open_networks
from facewire.showing.animator import Animator
from facewire.showing.deformation import FIELD, Fitter, Movement, from_grid
from facewire.types import Bundle, Epoch, KeypointFrame, Picture, PivotSlice, Points
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
    return np.asarray(Movement(networks, pivot).feeds["pivot_keypoints"][0], np.float32)


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("shift", [-4.0, 0.0, 2.0])
def test_what_keypoints_do_not_say_is_found(networks: Networks, kind: int, shift: float) -> None:
    pivot = encode_pivot(scene(), 12_000)
    fit = Fitter(networks, pivot, kind).fit(still_points(networks, pivot), scene(shift))
    field = from_grid(to_grid([fit], kind, 0.0)[0])[0] * 128  # pixels; a place that came from the left: negative
    inner = field[:, 16:-16, 16:-16]
    assert abs(inner[0].mean() + shift) < 0.6
    assert abs(inner[1].mean()) < 0.6


def test_it_is_added_to_what_keypoints_say(networks: Networks) -> None:
    pivot = encode_pivot(scene(), 12_000)
    points = still_points(networks, pivot) + np.array([4 / 128, 0], np.float32)  # all that was seen moved right by 4
    fit = Fitter(networks, pivot, 2).fit(points, scene(4.0))
    assert np.abs(fit.nodes[:, 1:-1, 1:-1]).max() < 1.0 / 128


def test_a_receiver_moves_the_picture_by_them(networks: Networks) -> None:
    pivot = encode_pivot(np.full((256, 256, 3), 90, np.uint8), 4000)
    epoch = Epoch(1, 0, 0, content_id(pivot), len(pivot), 256, 25.0, 1, networks.id, 1.0)
    frame = KeypointFrame(0, np.zeros((10, 2), np.int16))
    whole = np.full((2, 6, 6), 20, np.int16)  # 30 pixels of 256
    shown = []
    for deformation in (None, whole):
        animator = Animator(networks)
        for message in (PivotSlice(epoch.pivot_id, 0, len(pivot), pivot), epoch):
            assert not list(animator.push(message))
        (rebuilt,) = animator.push(Bundle(0, (replace(frame, deformation=deformation),)))
        shown.append(np.asarray(rebuilt.planes).mean())
    assert shown[1] - shown[0] == pytest.approx(30 / 128, abs=0.01)  # the tiny generator brightens what moves


def test_what_a_node_moves_has_weight_and_what_nothing_shows_has_little(networks: Networks) -> None:
    half = scene()
    half[:, 128:] = 90  # a plain wall
    fit = Fitter(networks, encode_pivot(half, 12_000), 2).fit(still_points(networks, encode_pivot(half, 12_000)), half)
    assert fit.weights.shape == fit.nodes.shape
    assert (fit.weights > 0).all()
    assert fit.weights[:, :, 1].mean() > 1.5 * fit.weights[:, :, 4].mean()


def test_no_deformation_is_a_field_of_zeros() -> None:
    assert from_grid(None).shape == (1, 2, FIELD, FIELD)
    assert not from_grid(None).any()
