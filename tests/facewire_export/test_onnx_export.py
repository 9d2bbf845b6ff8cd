"""Exported networks are what the daemons read: manifest, shapes, answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (facewire[export])")
onnx = pytest.importorskip("onnx", reason="needs onnx (facewire[export])")

from facewire.errors import FacewireError  # noqa: E402
from facewire.networks import load_network  # noqa: E402
from facewire.networks.manifest import load_manifest  # noqa: E402
from facewire_export import onnx_export  # noqa: E402
from facewire_export.networks.tiers import TIERS  # noqa: E402
from facewire_export.training.loop import RECORD  # noqa: E402


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    onnx_export.export(TIERS["compact"], None, folder, "none")
    return folder


def test_the_manifest_vouches_for_what_was_written(models: Path) -> None:
    manifest = load_manifest(models)
    assert set(manifest.networks) == {
        "keypoints", "pivot_encoder", "generator", "motion", "restorer", "large_restorer", "interpolator",
        "composer", "upscaler", "background",
    }  # fmt: skip
    assert manifest.id == manifest.true_id()
    for entry in manifest.networks.values():
        assert entry.read()
        # The interpolator only moves and mixes.
        assert (entry.gmac > 0) == (entry.name not in ("interpolator", "composer"))


def test_compact_stays_within_its_budget(models: Path) -> None:
    networks = load_manifest(models).networks
    assert sum(len(entry.read()) for entry in networks.values()) <= 16_000_000
    limits = {"keypoints": 0.3, "pivot_encoder": 0.5, "generator": 2.5, "interpolator": 1.0}
    assert all(networks[name].gmac <= limit for name, limit in limits.items())
    patches = 16
    assert networks["upscaler"].gmac * patches <= 1.2


def test_only_operators_that_every_backend_has(models: Path) -> None:
    for path in (models / "compact").glob("*.onnx"):
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
        assert {opset.domain for opset in model.opset_import} <= {""}
        ranks = {
            value.name: len(value.type.tensor_type.shape.dim)
            for value in onnx.shape_inference.infer_shapes(model).graph.value_info
        }
        sampled = [node.input[0] for node in model.graph.node if node.op_type == "GridSample"]
        assert all(ranks.get(name, 4) == 4 for name in sampled), "TensorRT has no 5-D GridSample"


def test_an_upscaler_takes_any_number_of_patches(models: Path) -> None:
    session = load_network("upscaler", models, 1)
    side = session.inputs["patch"][-1]
    assert side
    patches = np.random.default_rng(0).random((3, 3, side, side), np.float32)
    assert session.run({"patch": patches})["sharp"].shape == patches.shape


def test_untrained_runs_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FacewireError, match="train it first"):
        onnx_export.export(TIERS["compact"], tmp_path, tmp_path, "none")


def test_a_network_that_answers_otherwise_in_onnx_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "TOLERANCE", -1.0)
    graph = onnx_export.graphs(TIERS["compact"], None)[0][-1]
    with pytest.raises(FacewireError, match="differ"):
        onnx_export.write(graph, tmp_path / "background.onnx")
    assert not (tmp_path / "background.onnx").exists()


def test_what_was_not_trained_again_stays_as_it_was_exported(tmp_path: Path) -> None:
    runs, kept = tmp_path / "runs", tmp_path / "compact"
    runs.mkdir()
    kept.mkdir()
    for path, value in ((kept / "old.pt", 1.0), (kept / "both.pt", 1.0), (runs / "both.best.pt", 2.0)):
        torch.save({"average": {"w": torch.tensor(value)}, "step": 3, "scores": {"lpips": value}}, path)
    (kept / RECORD).write_text('{"old": {"steps": 7}, "both": {"steps": 8}}')
    shelf = onnx_export.Shelf(runs, kept)
    assert shelf.take("old") == ({"w": torch.tensor(1.0)}, {"steps": 7})
    weights, record = shelf.take("both")
    assert weights == {"w": torch.tensor(2.0)}
    assert record == {"exported": {"step": 3, "held_out": {"lpips": 2.0}}}
    shelf.keep("both")
    assert torch.load(kept / "both.pt", weights_only=True)["average"] == {"w": torch.tensor(2.0)}
    with pytest.raises(FacewireError, match="train it first"):
        shelf.take("never")
