"""Other precisions of small networks that hold what matters: a convolution, a warp, a constant beside a batch."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.facewire.conftest import write_tiny_models

from facewire.errors import FacewireError
from facewire.networks import load_manifest, open_networks
from facewire.networks.manifest import MANIFEST, NetworkEntry, default_directory
from facewire.showing.animator import NOWHERE
from facewire.wire.mouth import stretch
from facewire_export import half, parity, quantize, variants
from facewire_export.cli import main
from facewire_export.rehearsal import REHEARSED, Recorder, answers, clips_in, record, streams

RANDOM = np.random.default_rng(0)


def network(folder: Path) -> NetworkEntry:
    """keypoints shift a grid by which a convolved picture is looked up; a constant plane goes in beside the picture."""
    node = helper.make_node
    y, x = np.mgrid[:16, :16].astype(np.float32)
    grid = np.stack([(x * 2 + 1) / 16 - 1, (y * 2 + 1) / 16 - 1], 2)[None]
    constants = {
        "weights": RANDOM.normal(0, 0.2, (3, 4, 3, 3)).astype(np.float32),
        "plane": np.full((1, 1, 16, 16), 0.5, np.float32),
        "grid": grid,
        "axes": np.array([1], np.int64),
    }
    graph = helper.make_graph(
        [
            node("Concat", ["picture", "plane"], ["wide"], axis=1),
            node("Conv", ["wide", "weights"], ["features"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], name="layer"),
            node("Relu", ["features"], ["bright"]),
            node("ReduceMean", ["keypoints"], ["middle"], axes=[1], keepdims=1),
            node("Unsqueeze", ["middle", "axes"], ["shift"]),
            node("Add", ["grid", "shift"], ["places"]),
            node("GridSample", ["bright", "places"], ["moved"], name="warp"),
            node("Clip", ["moved"], ["made"]),
        ],
        "warp",
        [
            helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 16, 16]),
            helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, [1, 10, 2]),
        ],
        [helper.make_tensor_value_info("made", TensorProto.FLOAT, [1, 3, 16, 16])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    path = folder / "warp.onnx"
    path.write_bytes(data)
    shapes: dict[str, Any] = {"picture": (1, 3, 16, 16), "keypoints": (1, 10, 2)}
    sha = hashlib.sha256(data).hexdigest()
    return NetworkEntry("warp", path, sha, "MIT", 0, 0.0, "fp32", shapes, {"made": (1, 3, 16, 16)})


def feeds(count: int) -> list[dict[str, Any]]:
    return [
        {
            "picture": RANDOM.random((1, 3, 16, 16), np.float32),
            "keypoints": RANDOM.normal(0, 0.1, (1, 10, 2)).astype(np.float32),
        }
        for _ in range(count)
    ]


def test_places_stay_in_fp32(tmp_path: Path) -> None:
    found = half.made(network(tmp_path), feeds(3))
    assert 50 < found.db < 100
    assert found.free_batch
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(found.data))
    onnx.checker.check_model(model, full_check=True)
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    kinds |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    kinds |= {value.name: value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
    nodes = {node.op_type: node for node in model.graph.node}
    assert {kinds[name] for name in nodes["Conv"].input} == {TensorProto.FLOAT16}
    for fine in ("GridSample", "ReduceMean", "Unsqueeze", "Add"):
        assert {kinds[name] for name in nodes[fine].input[:1]} == {TensorProto.FLOAT}, fine
    assert {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)} == {
        TensorProto.FLOAT
    }


def test_a_batch_is_the_single_runs(tmp_path: Path) -> None:
    entry, several = network(tmp_path), feeds(3)
    together = {name: np.concatenate([feed[name] for feed in several]) for name in several[0]}
    (joined,) = answers(half.freed(entry.read()), together)
    for index, feed in enumerate(several):
        np.testing.assert_allclose(joined[index], answers(entry.read(), feed)[0][0], atol=1e-6)


def test_what_fp16_cannot_hold_is_refused(tmp_path: Path) -> None:
    several = feeds(2)
    for feed in several:
        feed["picture"] = feed["picture"] * 1e6
    with pytest.raises(FacewireError, match="fp16 is -inf dB from fp32"):
        half.made(network(tmp_path), several)


def test_int8_within_its_target(tmp_path: Path) -> None:
    entry, several = network(tmp_path), feeds(12)
    found = quantize.quantised(entry, several, target=30.0)
    assert found.db >= 30
    assert not found.kept
    assert any(node.op_type == "QuantizeLinear" for node in onnx.load_from_string(found.data).graph.node)
    with pytest.raises(FacewireError, match=r"warp: \d+\.\d dB from fp32 .* the target is 99 dB"):
        quantize.quantised(entry, several, target=99.0)
    with pytest.raises(FacewireError, match="longer clips"):
        quantize.quantised(entry, several[:1])


def test_decibels() -> None:
    one = [[np.ones((2, 2))]]
    off, nothing = [[np.full((2, 2), 1.1)]], [[np.full((2, 2), np.nan)]]
    assert parity.decibels(one, one, ["picture"]) == 100
    assert parity.decibels(one, off, ["picture"]) == pytest.approx(20)
    assert parity.decibels(one, nothing, ["picture"]) == float("-inf")
    small = [[0.01 * one[0][0]]], [[0.01 * off[0][0]]]
    assert parity.decibels(*small, ["picture"]) == pytest.approx(20)
    assert parity.decibels(*small, ["displacement"]) == pytest.approx(60)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def models(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "models"))


def brightened(data: bytes, by: float) -> bytes:
    """The tiny generator, whose pictures are `by` brighter than they should be (NaN: not pictures at all)."""
    model = onnx.load_from_string(data)
    last = next(node for node in model.graph.node if "open" in node.output)
    last.output[0] = "before"
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(by, np.float32), "by"))
    at = list(model.graph.node).index(last) + 1
    model.graph.node.insert(at, helper.make_node("Add", ["before", "by"], ["open"]))
    if np.isnan(by):
        clip = next(node for node in model.graph.node if node.op_type == "Clip")
        clip.op_type, clip.input[:] = "Identity", ["open"]
    out: bytes = model.SerializeToString()
    return out


@pytest.mark.parametrize(("by", "code", "told"), [(0.001, 0, ""), (0.1, 1, "dB from fp32"), (float("nan"), 1, "NaN")])
def test_the_gate(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], by: float, code: int, told: str
) -> None:
    manifest = load_manifest(models)
    variants.keep(manifest, "generator", "int8", brightened(manifest.entry("generator").read(), by))
    out = tmp_path / "parity.json"
    words = ["parity", "--models", str(models), "--frames", "3", "--size", "256", "--out", str(out)]
    assert main(words) == code
    result = json.loads(out.read_text())
    assert bool(result["faults"]) is bool(code)
    seen = result["ways"]["int8 on cpu"]
    assert set(seen["networks"]) == {"generator"}
    assert seen["pictures"]["frames"] == 3 + 3  # once more with a large pivot
    assert told in capsys.readouterr().err


def test_nothing_to_compare_names_the_cure(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parity", "--models", str(models), "--frames", "3"]) == 1
    assert "facewire-export quantize, half" in capsys.readouterr().err


def test_variants_come_and_go(models: Path) -> None:
    manifest = load_manifest(models)
    variants.keep(manifest, "upscaler", "fp16", b"bytes", free_batch=True)
    entry = load_manifest(models).entry("upscaler")
    assert entry.has("fp16")
    half_entry = entry.at("fp16")
    assert half_entry.read() == b"bytes"
    assert half_entry.inputs["patch"][0] is None
    variants.drop(manifest, "upscaler", "fp16")
    assert not load_manifest(models).entry("upscaler").has("fp16")
    assert not half_entry.file.exists()
    assert load_manifest(models) == manifest


def test_a_new_export_keeps_what_still_fits(models: Path) -> None:
    manifest = load_manifest(models)
    for name in ("upscaler", "generator"):
        variants.keep(manifest, name, "int8", b"bytes")
    new: dict[str, Any] = {
        "upscaler": {"sha256": manifest.entry("upscaler").sha256},
        "generator": {"sha256": "0"},
    }
    (lost,) = variants.carried(models, new)
    assert lost.startswith("generator: its int8 variants were made from other weights")
    assert new["upscaler"]["variants"]["int8"]["made_from"] == manifest.entry("upscaler").sha256
    assert "variants" not in new["generator"]
    assert variants.carried(models / "none", new) == []


def test_what_gains_nothing_is_left_alone(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = quantize.quantize(str(models), None, target=20.0, gain=1e9, frames=5, seconds=0.0)["networks"]
    assert "times as fast" in found["upscaler"]["refused"]
    assert "no convolution" in found["generator"]["refused"]
    assert not any(entry.variants for entry in load_manifest(models).networks.values())


def test_half_of_a_set(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half.write(str(models))
    manifest = load_manifest(models)
    # The tiny generator takes means over whole batches: what it makes of two pictures at once is not each one's.
    names = ("generator", "interpolator", "upscaler")
    free = {name: manifest.entry(name).variants["fp16"].free_batch for name in names}
    assert free == {"generator": False, "interpolator": True, "upscaler": True}
    assert "one picture at a time" in capsys.readouterr().out
    open_networks(manifest, provider="cpu", precision="fp16")


def test_recorder_spreads_what_it_keeps(tiny: Path) -> None:
    session = open_networks(tiny, provider="cpu")["restorer"]
    recorder = Recorder(session, 4)
    picture = np.zeros((1, 3, 256, 256), np.float32)
    for index in range(20):
        recorder.run({"pivot": picture + index})
    kept = [int(feed["pivot"][0, 0, 0, 0]) for feed in recorder.kept]
    assert len(kept) <= 4
    assert kept[0] == 0
    assert kept[-1] >= 10


@pytest.mark.skipif(not (default_directory() / MANIFEST).is_file(), reason="no networks in models_onnx")
def test_the_senders_motion_is_fed_what_the_generator_is() -> None:
    networks = open_networks(names=REHEARSED, provider="cpu", precision="fp32")
    recording = record(networks, streams(networks, ["sample:"], 5), 256)
    assert recording.runs["motion"] == recording.runs["generator"] == 3
    assert "motion" in recording.busy()
    fed, generators = recording.feeds["motion"][-1], recording.feeds["generator"][-1]
    assert set(fed) == {"small", "pivot_keypoints", "keypoints"}
    moved = networks["motion"].run(fed)["displacement"]
    rest = {"deformation": np.zeros_like(moved), "stretch": stretch(None, 0), "displacement_before": NOWHERE}
    assert np.allclose(networks["generator"].run({**generators, **rest})["displacement"], moved, atol=1e-4)


def test_clips_of_a_folder(tmp_path: Path) -> None:
    assert clips_in(None, 3) == ["sample:"]
    with pytest.raises(FacewireError, match="no clips"):
        clips_in(tmp_path, 3)
    for index in range(10):
        (tmp_path / f"{index}.mp4").touch()
    assert clips_in(tmp_path, 2) == [f"file:{tmp_path}/0.mp4", f"file:{tmp_path}/5.mp4"]


@pytest.mark.skipif(not (default_directory() / MANIFEST).is_file(), reason="no networks in models_onnx")
def test_shipped_variants_keep_the_thresholds() -> None:
    manifest = load_manifest("")
    if not any(entry.has(precision) for entry in manifest.networks.values() for precision in ("int8", "fp16")):
        pytest.skip("the shipped networks have no other precisions")
    assert parity.parity("", frames=6, most_clips=1)["faults"] == []
