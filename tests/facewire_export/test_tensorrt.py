from __future__ import annotations

from pathlib import Path

import pytest
from tests.facewire.conftest import write_tiny_models
from tests.facewire.networks.fake_cuda import FakeCuda
from tests.facewire.networks.fake_tensorrt import VERSIONS, FakeTensorrt

from facewire.errors import ModelError
from facewire.networks import gpu
from facewire_export import tensorrt
from facewire_export.cli import main

pytest.importorskip("onnx")


def test_builds_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trt = FakeTensorrt(VERSIONS[-1], FakeCuda())
    monkeypatch.setattr(gpu, "find", lambda: gpu.Gpu("H100", (9, 0), 81559, "13.0"))
    monkeypatch.setattr(tensorrt, "load_tensorrt", lambda: trt)
    monkeypatch.setenv("FACEWIRE_ENGINES", str(tmp_path / "engines"))
    words = ["tensorrt", "--models", str(write_tiny_models(tmp_path / "models")), "--batch", "4"]
    assert main(words) == 0
    first = capsys.readouterr().out
    assert "H100, compute 9.0, 81559 MiB, CUDA 13.0, TensorRT 11" in first
    assert first.count("built the engine") == len(trt.built) == len(list((tmp_path / "engines").glob("*.engine")))
    assert main(words) == 0
    assert "upscaler: there already" in capsys.readouterr().out
    assert main([*words, "--rebuild"]) == 0
    assert capsys.readouterr().out.count("built the engine") == first.count("built the engine")
    assert main([*words[:-1], "0"]) == 1


def test_without_a_gpu_it_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def none() -> gpu.Gpu:
        raise ModelError("no NVIDIA driver (libcuda.so.1 is not installed)")

    monkeypatch.setattr(gpu, "find", none)
    assert main(["tensorrt"]) == 1
    assert capsys.readouterr().err == "facewire-export tensorrt: no NVIDIA driver (libcuda.so.1 is not installed)\n"
