from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx")

from tests.facewire.conftest import write_tiny_models

from facewire_export import throughput as module
from facewire_export.cli import main


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_models(tmp_path_factory.mktemp("models"))


def test_one_command_measures_it_all(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    words = f"throughput --models {tiny} --provider cpu tensorrt --streams 1 2 --size 272 --seconds 0.3 --frames 9"
    assert main([*words.split(), "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    assert result["command"] == "facewire-export throughput --streams 1 2 --size 272 --seconds 0.3"
    (tier,) = result["tiers"]
    assert "error" in tier["providers"]["tensorrt"] or "runs" in tier["providers"]["tensorrt"]
    one, two = tier["providers"]["cpu"]["runs"]
    for run in (one, two):
        assert run["shown_fps"] > 0
        assert run["ms_p50"] <= run["ms_p99"]
    assert two["streams"] == 2
    assert two["slowest_stream_fps"] > 0
    assert "runs_made_together" not in two, "a CPU's runs are not made together"
    assert {"generator_ms", "interpolator_ms", "rest_ms"} <= set(tier["providers"]["cpu"]["profile"])


def test_no_streams_is_refused(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["throughput", "--models", str(tiny), "--streams", "0"]) == 1
    assert "--streams: at least one" in capsys.readouterr().err


@pytest.mark.parametrize(("code", "text", "mb"), [(0, "1234\n5\n", 1234), (1, "", None), (0, "[N/A]\n", None)])
def test_gpu_memory_is_nvidia_smis(monkeypatch: pytest.MonkeyPatch, code: int, text: str, mb: int | None) -> None:
    def run(words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert "--query-gpu=memory.used" in words
        return subprocess.CompletedProcess(words, code, text, "")

    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("subprocess.run", run)
    assert module.memory_mb() == mb
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert module.memory_mb() is None
