"""The benchmark's parts, on the shipped networks where they are there; no test looks at how fast they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from facewire.errors import FacewireError, MissingDependency
from facewire.networks.manifest import MANIFEST, default_directory
from facewire.types import Bundle, Epoch, PivotSlice
from facewire_export import bench as module
from facewire_export.machine import describe
from facewire_export.pipelines import decoder_fps, pictures_of, square, stream_of, wide_clip
from facewire_export.timing import measure, on_cores, peak_memory_mb

needs_networks = pytest.mark.skipif(
    not (default_directory() / MANIFEST).is_file(), reason="no networks in models_onnx"
)


def test_measure_counts_runs_without_warm_up() -> None:
    calls: list[int] = []
    timing = measure(lambda: calls.append(1), seconds=0.0, at_least=5, warm_up=2)
    assert len(calls) == 7
    assert timing.runs == 5
    assert 0 <= timing.min <= timing.median <= timing.max
    assert set(timing.as_json()) == {"min", "median", "max", "runs"}


def test_a_process_on_one_core() -> None:
    about = on_cores(1, describe)
    assert about["cores"] == 1
    json.dumps(about)
    assert peak_memory_mb() > 10


def test_describe_names_no_host_and_no_user() -> None:
    assert set(describe()) == {"processor", "architecture", "cores", "load_1min", "python", "packages"}


@needs_networks
def test_a_network_stage() -> None:
    result = module.network_stage("", "keypoints", 1, 0.0)
    assert result["ms"]["min"] > 0
    assert result["gmac"] > 0
    assert result["parameters"] > 0


@needs_networks
def test_upscaling_counts_all_patches() -> None:
    result = module.upscaling_stage("", 512, 0.0)
    assert result["patches"] > 1
    assert result["gmac"] > 0


def test_pivot_and_face_stages() -> None:
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    assert module.face_stage("sample:", "face_detection", 0.0)["faces_found"] == 1
    coded = module.pivot_stage("sample:", False, 0.0)
    assert 0 < coded["bytes"] <= coded["allowed"]
    assert module.pivot_stage("sample:", True, 0.0)["ms"]["median"] > 0


@needs_networks
def test_a_stream_is_what_an_encoder_sends() -> None:
    from facewire.networks import open_networks

    networks = open_networks("", 1)
    epoch, pivot, *bundles = stream_of(networks, pictures_of("sample:", 5), skip=1)
    assert isinstance(epoch, Epoch)
    assert isinstance(pivot, PivotSlice)
    assert all(isinstance(b, Bundle) for b in bundles)
    assert [b.frames[0].number for b in bundles if isinstance(b, Bundle)] == [0, 2, 4]
    with pytest.raises(FacewireError, match="no picture"):
        stream_of(networks, iter(()))


@needs_networks
@pytest.mark.parametrize("workers", [1, 2])
def test_decoder_pipeline(workers: int) -> None:
    result = decoder_fps("", "sample:", 256, workers, 0.0)
    assert result["frames"] >= 1
    assert result["shown_fps"] > 0


@needs_networks
def test_decoder_pipeline_with_a_player() -> None:
    try:
        result = decoder_fps("", "sample:", 256, 2, 0.5, watched=True)
    except MissingDependency as error:
        pytest.skip(str(error))
    assert result["frames"] >= 1
    assert result["encoded_fps"] > 0


def test_square_and_wide(tmp_path: Path) -> None:
    wide = np.zeros((72, 128, 3), np.uint8)
    wide[:, 28:100] = 200
    assert square(wide, 64).min() == 200
    wide_clip("sample:", tmp_path / "w.mp4", 3, 320, 180)
    assert [p.shape for p in pictures_of(f"file:{tmp_path / 'w.mp4'}", 9)] == [(180, 320, 3)] * 3


def test_a_stage_that_cannot_run_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FACEWIRE_MODELS", str(tmp_path))
    from facewire_export.cli import main

    assert main(["bench"]) == 1
