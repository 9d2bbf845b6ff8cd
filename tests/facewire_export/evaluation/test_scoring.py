"""Which frames are looked at, and that every score is perfect for the same clip and falls as it should."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="torch (extra: export) is not installed")

import torch
from tests.facewire_export.evaluation.made_up import clip, scene

from facewire.types import Picture
from facewire_export.evaluate import default_weights
from facewire_export.evaluation import frechet, vmaf
from facewire_export.evaluation.aggregate import LOWER
from facewire_export.evaluation.footage import open_footage
from facewire_export.evaluation.scoring import (
    Reference,
    Scored,
    Scoring,
    is_followed,
    is_often,
    is_seldom,
    is_thorough,
    is_watched,
)
from facewire_export.judge import Judge, Seen

WEIGHTS = default_weights()
FRAMES = 16


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reference]:
    torch.set_num_threads(1)
    folder: Path = tmp_path_factory.mktemp("clips")
    with open_footage(clip(folder / "a.mp4", FRAMES)) as footage:
        yield Reference(footage, Judge(WEIGHTS, with_faces=False))


def score(reference: Reference, fault: object) -> Scored:
    """The clip against itself with a fault in every picture."""
    scoring = Scoring(reference)
    for number in range(FRAMES):
        scoring.add(lambda number=number: fault(reference.picture(number)))  # type: ignore[misc, operator]
    return scoring.result()


def shifted(pixels: int) -> object:
    return lambda picture: np.roll(picture, pixels, 1)


def blurred(sigma: float) -> object:
    return lambda picture: np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def noisy(level: float) -> object:
    random = np.random.default_rng(1)

    def add(picture: Picture) -> Picture:
        return np.clip(picture + random.normal(0, level, picture.shape), 0, 255).astype(np.uint8)

    return add


FAULTS = {
    "shifted": [shifted(2), shifted(12)],
    "blurred": [blurred(3), blurred(12)],
    "noisy": [noisy(4), noisy(32)],
}


def test_the_same_clip_is_perfect(reference: Reference) -> None:
    found = score(reference, lambda picture: picture.copy())
    assert found.scores["psnr"] == 100.0
    assert found.scores["ssim"] == pytest.approx(1.0, abs=1e-6)
    assert found.flicker["shown"] == found.flicker["real"]
    assert found.counts["vmaf"] == 6
    if vmaf.program():
        assert 95.0 < found.scores["vmaf"] <= 100.0
    if WEIGHTS is not None:
        assert found.scores["lpips"] == found.scores["lpips_alex"] == 0.0
        assert frechet.distance(found.features, reference.features()) == pytest.approx(0.0, abs=1e-3)
        assert found.counts["psnr"] == 3
        assert [found.counts[name] for name in ("ssim", "lpips", "lpips_alex", "identity")] == [1, 1, 1, 0]


@pytest.mark.parametrize("kind", FAULTS)
def test_more_of_a_fault_is_worse_by_every_score(reference: Reference, kind: str) -> None:
    found = [score(reference, fault) for fault in FAULTS[kind]]
    metrics = ["psnr", "ssim", *(["lpips", "lpips_alex"] if WEIGHTS is not None else [])]
    metrics += ["vmaf"] if vmaf.program() else []
    for metric in metrics:
        values = [one.scores[metric] for one in found]
        assert values == sorted(values, reverse=metric not in LOWER), metric
        assert len(set(values)) == len(values)
    if WEIGHTS is not None:
        real = reference.features()
        distances = [frechet.distance(real, one.features) for one in found]
        assert distances[0] > 0
        assert distances == sorted(distances)
    if kind == "noisy":
        flickers = [one.flicker["shown"] for one in found]
        assert found[0].flicker["real"] < flickers[0] < flickers[1]


def test_identity_falls_with_a_stranger() -> None:
    judge = Judge(None, with_faces=False)
    random = np.random.default_rng(0)
    vectors = [v / np.linalg.norm(v) for v in np.cumsum(random.normal(size=(3, 256)), 0).astype(np.float32)]
    picture = scene(64, 0)
    same, near, far = (judge.compare(Seen(picture, {}, vectors[0]), Seen(picture, {}, other)) for other in vectors)
    assert same["identity"] == pytest.approx(1.0)
    assert same["identity"] > near["identity"] > far["identity"]
    blind = judge.compare(Seen(picture, {}, vectors[0]), Seen(picture, {}, None))
    assert all(math.isnan(blind[name]) for name in ("identity", "lpips"))


@pytest.mark.parametrize("skip", range(4))
def test_samples_meet_sent_and_interpolated_frames_alike(skip: int) -> None:
    everything = set(range(skip + 1))
    assert {n % (skip + 1) for n in range(600) if is_often(n)} == everything
    assert {n % (skip + 1) for n in range(600) if is_seldom(n)} == everything
    assert {n % (skip + 1) for n in range(600) if is_seldom(n) and is_thorough(n)} == everything
    assert {n % (skip + 1) for n in range(600) if is_followed(n)} == everything
    assert {n % (skip + 1) for n in range(600) if is_watched(n)} == everything
    assert not any(check(0) for check in (is_often, is_seldom, is_followed))


def test_only_what_is_looked_at_is_made(reference: Reference) -> None:
    made: list[int] = []

    def show(number: int) -> Picture:
        made.append(number)
        return reference.picture(number)

    scoring = Scoring(reference)
    for number in range(FRAMES + 3):
        scoring.add(lambda number=number: show(number))  # type: ignore[misc]
    assert made == [n for n in range(FRAMES) if is_often(n) or is_seldom(n) or is_followed(n)]
    assert scoring.frames == FRAMES + 3
    made.clear()
    every = Scoring(reference, every_frame=True)
    for number in range(FRAMES):
        every.add(lambda number=number: show(number))  # type: ignore[misc]
    assert made == list(range(FRAMES))
