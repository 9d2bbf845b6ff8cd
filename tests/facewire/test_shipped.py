"""The networks that are shipped, if they are here: they fit together, and a picture comes out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facewire.networks import ENCODER, load_manifest, open_networks
from facewire.networks.manifest import MANIFEST, Manifest
from facewire.showing.decoding import Decoding
from facewire.showing.planes import resized, to_planes
from facewire.types import Bundle, Epoch, KeypointFrame, PivotSlice
from facewire.wire.keypoints import to_grid
from facewire.wire.pivot import content_id, decode_pivot, encode_pivot

MODELS = Path(__file__).resolve().parents[2] / "models_onnx"


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    if not (MODELS / MANIFEST).is_file():
        pytest.skip("no shipped networks in models_onnx/")
    return load_manifest(MODELS)


def test_each_file_is_the_one_that_the_manifest_means(manifest: Manifest) -> None:
    for entry in manifest.networks.values():
        assert entry.read()
        assert entry.license
    assert manifest.true_id() == manifest.id


def test_the_encoders_set_opens(manifest: Manifest) -> None:
    assert open_networks(manifest, names=ENCODER).get("background") is not None


def test_unmoved_keypoints_give_back_the_pivot(manifest: Manifest) -> None:
    networks = open_networks(manifest)
    y, x = np.mgrid[:256, :256] / 255
    face = np.stack([x, y, np.hypot(x - 0.5, y - 0.5)], axis=2)
    pivot = encode_pivot(np.asarray(face * 255, np.uint8), 8000)
    shown = decode_pivot(pivot)
    size = networks["keypoints"].inputs["picture"][-1]
    assert size is not None
    points = networks["keypoints"].run({"picture": resized(to_planes(shown), size)})["keypoints"][0]
    ident = content_id(pivot)
    decoding = Decoding(networks, 512)
    frames = [
        frame
        for message in (
            Epoch(1, 0, 0, ident, len(pivot), 256, 25.0, 1, networks.id, 0.25),
            PivotSlice(ident, 0, len(pivot), pivot),
            Bundle(0, tuple(KeypointFrame(number, to_grid(points, 0.25)) for number in (0, 2))),
        )
        for frame in decoding.push(message)
    ]
    assert [frame.number for frame in frames] == [0, 1, 2]
    for frame in frames:
        assert frame.picture.shape == (512, 512, 3)
        # A blind picture, so not a face: it must come through roughly, not exactly.
        assert np.abs(frame.picture[::2, ::2].astype(int) - shown).mean() < 30
