"""The engine cache and the TensorRT session, up to the driver's calls, for each TensorRT that there is."""

from __future__ import annotations

import gc
import json
import multiprocessing
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from tests.facewire.networks.fake_cuda import FakeCuda
from tests.facewire.networks.fake_tensorrt import API, VERSIONS, FakeTensorrt

from facewire.errors import MissingDependency, ModelError
from facewire.networks import load_manifest, open_networks, tensorrt
from facewire.networks.cuda import Cuda, CudaArray, load_driver
from facewire.networks.engines import Engines, engine_directory, make_monitor
from facewire.networks.gpu import Gpu
from facewire.networks.manifest import NetworkEntry
from facewire.networks.session import host
from facewire.networks.tensorrt import TensorrtSession

ORIN = Gpu("Orin (nvgpu)", (8, 7), 62464, "12.6")


@pytest.fixture(params=VERSIONS)
def trt(request: pytest.FixtureRequest) -> FakeTensorrt:
    return FakeTensorrt(request.param, FakeCuda())


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def engines(trt: FakeTensorrt, tmp_path: Path, said: list[str]) -> Engines:
    return Engines(trt, ORIN, tmp_path / "engines", said.append)


@pytest.fixture
def entry(tiny_models: Path) -> NetworkEntry:
    return load_manifest(tiny_models).entry("interpolator")


def test_a_key_is_network_precision_batch_version_and_gpu(engines: Engines, tiny_models: Path) -> None:
    entry, free = (load_manifest(tiny_models).entry(name) for name in ("interpolator", "upscaler"))
    version = engines.place.version
    assert engines.path(entry, 8).name == (
        f"interpolator-{entry.sha256[:16]}-fp32-b1-trt{version}-orin-nvgpu-sm87.engine"
    )
    assert "-b8-" in engines.path(free, 8).name
    other = Engines(FakeTensorrt(version), Gpu("H100", (9, 0), 1, "13.0"), engines.folder)
    assert other.path(entry, 1) != engines.path(entry, 1)


def test_built_once_and_kept(trt: FakeTensorrt, engines: Engines, entry: NetworkEntry, said: list[str]) -> None:
    assert engines.missing([entry], 1) == [entry]
    plan = engines.get(entry)
    assert engines.get(entry) == plan
    assert Engines(trt, ORIN, engines.folder).get(entry) == plan
    assert len(trt.built) == 1
    assert engines.missing([entry], 1) == []
    assert "building the engine of interpolator" in said[0]
    assert "built the engine of interpolator in 0 s" in said[-1]
    assert not list(engines.folder.glob("*.partial*"))


def test_types_are_bound_as_each_version_can(trt: FakeTensorrt, engines: Engines, entry: NetworkEntry) -> None:
    engines.get(entry)
    (built,) = trt.built
    if trt.__version__.startswith("8"):
        assert built["flags"] == {"FP16", "OBEY_PRECISION_CONSTRAINTS"}
        assert [layer.precision for layer in built["layers"]] == [None, None, trt.DataType.FLOAT]
    else:
        assert built["flags"] == set()  # strongly typed; no TF32
        assert [layer.precision for layer in built["layers"]] == [None, None, None]


def test_a_free_batch_gets_its_profile(trt: FakeTensorrt, engines: Engines, tiny_models: Path) -> None:
    engines.get(load_manifest(tiny_models).entry("upscaler"), 8)
    assert trt.built[0]["profiles"] == [{"patch": ((1, 3, 64, 64), (8, 3, 64, 64), (8, 3, 64, 64))}]


def test_timings_are_used_again(trt: FakeTensorrt, engines: Engines, tiny_models: Path) -> None:
    manifest = load_manifest(tiny_models)
    for name in ("interpolator", "upscaler"):
        engines.get(manifest.entry(name))
    assert [built["timing"] for built in trt.built] == [b"", b"+"]
    (timing,) = engines.folder.glob("timing-*.cache")
    timing.write_bytes(b"foreign")
    engines.get(manifest.entry("restorer"))
    assert trt.built[-1]["timing"] == b""


def test_what_tensorrt_refuses_is_told(tmp_path: Path, entry: NetworkEntry, trt: FakeTensorrt) -> None:
    for refuse, told in (("parse", "no importer registered for op: Abacus"), ("build", "no tactic was found")):
        trt.refuse = refuse
        with pytest.raises(ModelError, match=told) as caught:
            Engines(trt, ORIN, tmp_path).get(entry)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.engine"))


def test_a_full_disk_is_told(engines: Engines, entry: NetworkEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("facewire.networks.engines.os.fsync", full)
    with pytest.raises(ModelError, match="No space left on device; make room, or set FACEWIRE_ENGINES"):
        engines.get(entry)
    assert not [path for path in engines.folder.iterdir() if path.name != "building.lock"]


def test_old_engines_go(engines: Engines, entry: NetworkEntry) -> None:
    for digit in "abcd":
        old = engines.folder / f"interpolator-{digit * 16}-fp32-b1-{engines.place}.engine"
        old.write_bytes(b"")
    kept = engines.folder / "interpolator-aa-fp32-b1-trt8.5-other-sm72.engine"
    kept.write_bytes(b"")
    engines.get(entry)
    assert len(list(engines.folder.glob(f"*-{engines.place}.engine"))) == 2
    assert kept.exists()


def _build(version: str, folder: Path, entry: NetworkEntry, results: Any) -> None:
    trt = FakeTensorrt(version, FakeCuda())
    Engines(trt, ORIN, folder).get(entry)
    results.put(len(trt.built))


def test_two_processes_build_once(tmp_path: Path, entry: NetworkEntry) -> None:
    spawned = multiprocessing.get_context("fork")
    results = spawned.Queue()
    both = [spawned.Process(target=_build, args=(VERSIONS[1], tmp_path, entry, results)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
    assert sorted(results.get(timeout=5) for _ in both) == [0, 1]


def test_progress_is_said_now_and_then() -> None:
    said: list[str] = []
    now = iter([0.0, 1.0, 6.0, 7.0])
    monitor = make_monitor(FakeTensorrt(VERSIONS[1]), "generator", said.append, lambda: next(now))
    monitor.phase_start("Tactics", None, 40)
    for step in range(3):
        assert monitor.step_complete("Tactics", step)
    assert said == ["building the engine of generator: Tactics, step 2 of 40"]


def test_where_engines_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FACEWIRE_ENGINES", "CACHE_DIRECTORY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert engine_directory() == tmp_path / ".cache/facewire/engines"
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/facewire/decoder:/x")
    assert engine_directory() == Path("/var/cache/facewire/decoder/engines")
    monkeypatch.setenv("FACEWIRE_ENGINES", "/e")
    assert engine_directory() == Path("/e")


@pytest.fixture
def cuda(trt: FakeTensorrt) -> Cuda:
    return Cuda(trt.cuda)


def feed(random: np.random.Generator) -> dict[str, Any]:
    pictures = {f"picture_{when}": random.random((1, 3, 256, 256), np.float32) for when in ("before", "after")}
    return {**pictures, "share": np.array([0.25], np.float32)}


def test_answers_are_onnx_runtimes(
    trt: FakeTensorrt, cuda: Cuda, engines: Engines, entry: NetworkEntry, tiny_models: Path
) -> None:
    session = TensorrtSession(trt, cuda, engines, entry)
    reference = open_networks(tiny_models, provider="cpu")["interpolator"]
    random = np.random.default_rng(0)
    for _ in range(16):  # launched, captured, replayed, for each of the places that pictures take turns in
        given = feed(random)
        made = session.run(given)["between"]
        assert isinstance(made, CudaArray)
        np.testing.assert_array_equal(host(made), reference.run(given)["between"])
    assert trt.cuda.calls["cuGraphLaunch"] >= 4
    assert trt.cuda.calls["cuGraphInstantiate"] <= 4


def test_networks_pass_arrays_on_without_copies(
    trt: FakeTensorrt, cuda: Cuda, engines: Engines, tiny_models: Path
) -> None:
    manifest = load_manifest(tiny_models)
    first, second = (
        TensorrtSession(trt, cuda, engines, manifest.entry(name)) for name in ("restorer", "interpolator")
    )
    picture, share = np.full((1, 3, 256, 256), 0.5, np.float32), np.array([0.5], np.float32)
    for array in (picture, share):
        array.setflags(write=False)
    for _ in range(3):
        restored = first.run({"pivot": picture})["restored"]
        second.run({"picture_before": restored, "picture_after": restored, "share": share})
    assert trt.cuda.calls["cuMemcpyHtoDAsync"] == 2  # each read-only array once
    assert "cuMemcpyDtoHAsync" not in trt.cuda.calls


def test_memory_is_used_again(trt: FakeTensorrt, cuda: Cuda, engines: Engines, entry: NetworkEntry) -> None:
    session = TensorrtSession(trt, cuda, engines, entry)
    random = np.random.default_rng(0)
    for _ in range(3):
        host(session.run(feed(random))["between"])
    gc.collect()
    used = trt.cuda.used()
    for _ in range(20):
        host(session.run(feed(random))["between"])
    assert trt.cuda.used() == used


def test_out_of_memory_frees_the_pool_and_tells(trt: FakeTensorrt, cuda: Cuda) -> None:
    trt.cuda.room = 4096
    one = cuda.empty((256,))
    del one
    gc.collect()
    small = cuda.empty((512,), np.uint8)
    held = cuda.empty((896,))
    with pytest.raises(ModelError, match="cuMemAlloc failed with CUDA_ERROR_OUT_OF_MEMORY"):
        cuda.empty((4096,))
    assert (small.nbytes, held.nbytes) == (512, 3584)
    assert cuda.memory() == (0, 4096)


def test_without_graphs_it_goes_on(
    trt: FakeTensorrt, cuda: Cuda, engines: Engines, entry: NetworkEntry, caplog: pytest.LogCaptureFixture
) -> None:
    trt.cuda.capturable = False
    session = TensorrtSession(trt, cuda, engines, entry)
    random = np.random.default_rng(0)
    with caplog.at_level("INFO"):
        for _ in range(4):
            given = feed(random)
            wanted = given["picture_before"] * 0.75 + given["picture_after"] * 0.25
            np.testing.assert_allclose(host(session.run(given)["between"]), wanted, atol=1e-6)
    assert sum("no CUDA graph" in record.getMessage() for record in caplog.records) == 1


def test_batches_of_changing_size(trt: FakeTensorrt, cuda: Cuda, engines: Engines, tiny_models: Path) -> None:
    manifest = load_manifest(tiny_models)
    session = TensorrtSession(trt, cuda, engines, manifest.entry("upscaler"), 8)
    reference = open_networks(manifest, provider="cpu")["upscaler"]
    random = np.random.default_rng(0)
    for count in (1, 8, 8, 8, 3, 8):
        patches = {"patch": random.random((count, 3, 64, 64), np.float32)}
        np.testing.assert_allclose(host(session.run(patches)["sharp"]), reference.run(patches)["sharp"], atol=1e-6)


def test_wrong_feeding_is_told(trt: FakeTensorrt, cuda: Cuda, engines: Engines, entry: NetworkEntry) -> None:
    session = TensorrtSession(trt, cuda, engines, entry)
    with pytest.raises(ModelError, match="'share' was not given"):
        session.run({f"picture_{when}": np.zeros((1, 3, 256, 256), np.float32) for when in ("before", "after")})
    with pytest.raises(ModelError, match="the network takes share"):
        session.run({**feed(np.random.default_rng(0)), "share": np.zeros(2, np.float32)})


def test_a_damaged_engine_is_built_again(
    trt: FakeTensorrt, cuda: Cuda, engines: Engines, entry: NetworkEntry, caplog: pytest.LogCaptureFixture
) -> None:
    engines.get(entry)
    engines.path(entry, 1).write_bytes(b"half of an engine")
    TensorrtSession(trt, cuda, engines, entry)
    assert len(trt.built) == 2
    assert "is damaged (magic tag does not match); building it again" in caplog.text


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeTensorrt:
    """A machine with a GPU and TensorRT, all of it played."""
    trt = FakeTensorrt(VERSIONS[-1], FakeCuda())
    monkeypatch.setenv("FACEWIRE_ENGINES", str(tmp_path / "engines"))
    monkeypatch.setattr("facewire.networks.gpu.find", lambda: ORIN)
    monkeypatch.setattr(tensorrt, "load_tensorrt", lambda: trt)
    monkeypatch.setattr(tensorrt, "Cuda", lambda: Cuda(trt.cuda))
    monkeypatch.setattr("facewire.networks.choice.PROBES", {"tensorrt": lambda: None, "cpu": lambda: None})
    return trt


def test_a_decoder_that_stays_on_the_gpu(machine: FakeTensorrt, tiny_models: Path) -> None:
    from facewire_export.rehearsal import shown, streams

    reference = open_networks(tiny_models, provider="cpu")
    said: list[str] = []
    networks = open_networks(tiny_models, provider="tensorrt", say=said.append)
    assert said[0].startswith("6 of 6 engines have to be built for this machine")
    (messages,) = streams(reference, ["sample:"], 5)
    wanted, given = (list(shown(each, messages, 256)) for each in (reference, networks))
    assert len(wanted) == 5
    for one, other in zip(wanted, given, strict=True):
        np.testing.assert_array_equal(one, other)
    again: list[str] = []
    open_networks(tiny_models, provider="tensorrt", say=again.append)
    assert again == []


def test_only_the_finished_picture_comes_home(machine: FakeTensorrt, tiny_models: Path, tmp_path: Path) -> None:
    from facewire_export import half
    from facewire_export.rehearsal import shown, streams

    models = shutil.copytree(tiny_models, tmp_path / "models")
    half.write(str(models), say=lambda _: None)
    reference = open_networks(models, provider="cpu", precision="fp32")
    assert reference.get("finisher") is None
    networks = open_networks(models, provider="tensorrt")
    (messages,) = streams(reference, ["sample:"], 5)
    wanted = list(shown(reference, messages, 512))
    before = dict(machine.cuda.calls)
    given = list(shown(networks, messages, 512))
    copies = {name: machine.cuda.calls[name] - before.get(name, 0) for name in machine.cuda.calls}
    assert [picture.shape for picture in given] == [(512, 512, 3)] * 5
    inner = np.s_[8:-8, 8:-8]  # the tiny upscaler darkens the rim of what it sees, patch or picture
    for one, other in zip(wanted, given, strict=True):
        assert np.abs(one[inner].astype(int) - other[inner]).mean() < 3
    # One download a picture, and one for the pivot's keypoints. Uploads: the pivot, then keypoints and shares, and
    # the field of no deformation.
    assert copies["cuMemcpyDtoHAsync"] == 5 + 1
    assert copies["cuMemcpyHtoDAsync"] <= 2 + 3 + 2 + 1


def test_cuda_python_missing_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(MissingDependency, match=r"facewire\[gpu\]"):
        load_driver()


def test_the_api_table_is_the_vendors() -> None:
    """Facts that the code rests on, as the vendor's modules have them."""
    old, middle, new = (API[version] for version in VERSIONS)
    assert "STRONGLY_TYPED" not in old["NetworkDefinitionCreationFlag"]
    assert "EXPLICIT_BATCH" not in new["NetworkDefinitionCreationFlag"]
    assert "FP16" in old["BuilderFlag"]
    assert "FP16" not in new["BuilderFlag"]
    assert old["IProgressMonitor"] is None
    assert middle["IProgressMonitor"]
    for table in (old, middle, new):
        assert {"execute_async_v3", "set_tensor_address", "set_input_shape"} <= set(table["IExecutionContext"])
        assert "TF32" in table["BuilderFlag"]
    assert json.dumps(API)
