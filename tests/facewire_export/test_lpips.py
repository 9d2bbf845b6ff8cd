"""LPIPS and identity on the weights of the folder beside the checkout; skipped where that is absent."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch (extra: export) is not installed")

from facewire_export.identity import ALIGNED, MESH, Identity, align, cosine  # noqa: E402
from facewire_export.lpips import BACKBONES, Lpips, load_lpips, to_tensor  # noqa: E402
from facewire_export.metrics import MetricError, Picture  # noqa: E402

WEIGHTS = Path(__file__).resolve().parents[3] / "shared" / "weights"
REFERENCE = {"squeeze": 0.3157533, "alex": 0.2295887}
needs_weights = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="no weights beside the checkout")


def picture(size: int = 128, seed: int = 3) -> Picture:
    noise = np.random.default_rng(seed).integers(0, 256, (size // 8, size // 8, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(noise, (size, size), interpolation=cv2.INTER_NEAREST), np.uint8)


def stripes() -> Picture:
    """A picture that any machine draws alike: no resampling, no random numbers."""
    y, x = np.mgrid[:128, :128]
    return np.asarray(np.stack([x * 2, y * 2, (x // 8 + y // 8) % 2 * 255], 2), np.uint8)


@needs_weights
@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_lpips_is_zero_for_identical_and_grows(backbone: str) -> None:
    net = load_lpips(WEIGHTS, backbone)
    real = picture()
    faults = [real, *(np.asarray(cv2.GaussianBlur(real, (0, 0), s), np.uint8) for s in (1, 3, 8))]
    with torch.inference_mode():
        described = net.describe(to_tensor(real))
        values = [float(net.distance(described, net.describe(to_tensor(f)))) for f in faults]
    assert values[0] == 0.0
    assert values == sorted(values)
    assert values[1] > 0.01


@needs_weights
@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_lpips_is_the_reference_implementation_value(backbone: str) -> None:
    """REFERENCE was computed by the `lpips` package 0.1.4 with torchvision's backbones and the same weights."""
    real = stripes()
    with torch.inference_mode():
        value = float(load_lpips(WEIGHTS, backbone)(to_tensor(real), to_tensor(np.roll(real, 5, 1))))
    assert value == pytest.approx(REFERENCE[backbone], abs=2e-5)


def test_missing_or_foreign_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(MetricError, match="--weights"):
        load_lpips(tmp_path)
    torch.save(Lpips("alex").state_dict(), tmp_path / "lpips_squeeze.pth")
    with pytest.raises(MetricError, match="no LPIPS weights for squeeze"):
        load_lpips(tmp_path)
    with pytest.raises(MetricError, match="identity"):
        Identity(tmp_path)


def landmarks_at(points: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """A mesh whose five aligned points lie at `points` (pixels of a 256 picture)."""
    mesh = np.zeros((478, 3), np.float32)
    for group, point in zip(MESH, points, strict=True):
        mesh[list(group), :2] = point
    return mesh


def test_align_undoes_turn_and_scale() -> None:
    face = np.asarray(cv2.GaussianBlur(picture(), (0, 0), 3), np.uint8)
    matrix = cv2.getRotationMatrix2D((64, 64), 20, 1.3) + np.array([[0, 0, 50], [0, 0, 40]])
    scene = np.asarray(cv2.warpAffine(face, matrix, (256, 256)), np.uint8)
    aligned = align(scene, landmarks_at(ALIGNED @ matrix[:, :2].T + matrix[:, 2]))
    assert aligned is not None
    inner = np.abs(aligned[20:-20, 20:-20].astype(int) - face[20:-20, 20:-20])
    assert inner.mean() < 6
    assert align(scene, np.full((478, 2), np.nan)) is None


@needs_weights
def test_identity_of_a_face_with_itself() -> None:
    identity = Identity(WEIGHTS)
    mesh = landmarks_at(ALIGNED + 64)
    scene = picture(256)
    vector = identity.embed(scene, mesh)
    assert cosine(vector, identity.embed(scene, mesh)) == pytest.approx(1.0, abs=1e-5)
    assert cosine(vector, identity.embed(picture(256, 9), mesh)) < 0.95
    assert np.isnan(cosine(vector, identity.embed(scene, None)))
