"""A small part of results/val is measured again and must come out as it is committed.

Skipped without the clips and weights beside the checkout, and where scoring.VERSION has been raised since. Where this
fails, coding, networks or scoring have changed: raise scoring.VERSION if it was scoring, and make results/val again
(its report.md ends its head with the command).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch (extra: export) is not installed")
pytest.importorskip("mediapipe", reason="mediapipe is not installed")

import torch

from facewire_export.dataset import read_table
from facewire_export.evaluate import default_weights
from facewire_export.evaluation.codecs import encoder_version
from facewire_export.evaluation.points import points
from facewire_export.evaluation.records import read
from facewire_export.evaluation.run import models_id
from facewire_export.evaluation.scoring import VERSION
from facewire_export.evaluation.work import Setup, Unit, Worker

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "results" / "val"
CLIPS = ROOT.parent / "shared" / "clips" / "val"
CLIP = "bf68a359_01"
"""The shortest one: 67 frames."""
TOLERANCE = {
    "psnr": 0.1, "ssim": 0.005, "lpips": 0.005, "lpips_alex": 0.005, "identity": 0.02, "mouth": 0.1, "eyelids": 0.1,
    "pose": 0.3, "lips": 0.1, "blinks": 0.1, "vmaf": 1.0,
}  # fmt: skip
"""Processors round differently, and MediaPipe's landmarks with them."""
RATE = 0.02

pytestmark = [
    pytest.mark.skipif(not CLIPS.is_dir() or default_weights() is None, reason="no clips and weights are here"),
    pytest.mark.skipif(not (RESULTS / "records.jsonl").is_file(), reason="no results/val/records.jsonl"),
]


def committed(point: str) -> dict[str, Any]:
    """The record in results/val."""
    found = [r for r in read(RESULTS / "records.jsonl") if r["clip"] == CLIP and r["point"] == point]
    if not found:
        pytest.skip(f"results/val has no {point} of {CLIP}")
    return found[-1]


def measured(point: str, out: Path, seconds: float) -> dict[str, Any]:
    """The same, now."""
    torch.set_num_threads(1)
    worker = Worker(Setup(out, default_weights(), seconds=seconds, pictures=False))
    entry = next(e for e in read_table(CLIPS) if e.name == CLIP)
    done = worker.do(Unit(entry, points(point)))
    worker.close()
    assert not done.failed
    return done.records[0][0]


def compare(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert new["frames"] == old["frames"]
    for rate in ("stream", "all_in"):
        assert new["kbps"][rate] == pytest.approx(old["kbps"][rate], rel=RATE), rate
    for name, tolerance in TOLERANCE.items():
        if old["scores"][name] is not None:
            assert new["scores"][name] == pytest.approx(old["scores"][name], abs=tolerance), name


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    told: dict[str, Any] = json.loads((RESULTS / "summary.json").read_text("utf-8"))["settings"]
    if told.get("scoring") != VERSION:
        pytest.skip("results/val was made by other scoring; make it again")
    return told


def test_a_codec_comes_out_as_committed(tmp_path: Path, settings: dict[str, Any]) -> None:
    point = "x264-live-256-q51"
    old = committed(point)
    if settings["encoders"].get("x264") != encoder_version("x264"):
        pytest.skip(f"results/val was made with {settings['encoders'].get('x264')}, here is {encoder_version('x264')}")
    compare(old, measured(point, tmp_path, settings["seconds"]))


def test_ours_comes_out_as_committed(tmp_path: Path, settings: dict[str, Any]) -> None:
    old = committed("bgan")
    if settings["keys"]["models"] != models_id():
        pytest.skip("the networks have changed since results/val was made; make it again")
    compare(old, measured("bgan", tmp_path, settings["seconds"]))
