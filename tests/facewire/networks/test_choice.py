from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from facewire import networks as module
from facewire.errors import ModelError
from facewire.networks import choice, gpu, load_manifest, open_networks
from facewire.networks.choice import candidates, has_fast_int8, precision_for
from facewire.networks.manifest import Manifest


def probes(**why_not: str | None) -> dict[str, choice.Probe]:
    said = {"tensorrt": "no driver", "cuda": "no driver", "ort-tensorrt": "no driver", "cpu": None, **why_not}

    def probe(text: str | None) -> choice.Probe:
        return lambda: text

    return {name: probe(text) for name, text in said.items()}


@pytest.fixture
def halved(tiny_models: Path, tmp_path: Path) -> Manifest:
    """Tiny networks of which the generator has an fp16 and an int8 variant (the same bytes)."""
    models = shutil.copytree(tiny_models, tmp_path / "models")
    entry = load_manifest(models).entry("generator")
    with (models / "manifest.toml").open("a") as file:
        for precision in ("fp16", "int8"):
            shutil.copyfile(entry.file, entry.file.with_name(f"generator.{precision}.onnx"))
            file.write(
                f'[networks.generator.variants.{precision}]\nfile = "tiny/generator.{precision}.onnx"\n'
                f'sha256 = "{entry.sha256}"\nmade_from = "{entry.sha256}"\n'
            )
    return load_manifest(models)


def test_auto_tries_in_order_and_remembers_why_not() -> None:
    found = candidates("auto", probes(cuda=None))
    assert [c.provider for c in found] == ["cuda", "cpu"]
    assert found[0].passed_over == ("tensorrt: no driver",)
    assert [c.provider for c in candidates("auto", probes(tensorrt=None, cuda=None))] == ["tensorrt", "cuda", "cpu"]
    with pytest.raises(ModelError, match="nothing can run"):
        candidates("auto", probes(cpu="gone"))


def test_a_name_is_an_order() -> None:
    assert [c.provider for c in candidates("cpu", probes())] == ["cpu"]
    with pytest.raises(ModelError, match=r"'tensorrt' cannot be used: no driver"):
        candidates("tensorrt", probes())
    with pytest.raises(ModelError, match="must be one of auto, tensorrt"):
        candidates("abacus", probes())


def test_precision(halved: Manifest) -> None:
    generator, keypoints = halved.entry("generator"), halved.entry("keypoints")
    assert precision_for(generator, "cpu", fast_int8=True) == "int8"
    assert precision_for(generator, "cpu", fast_int8=False) == "fp32"
    assert precision_for(generator, "cuda") == "fp16"
    assert precision_for(generator, "cpu", "fp16") == "fp16"
    assert precision_for(keypoints, "cpu", "int8") == "fp32"
    with pytest.raises(ModelError, match="must be one of auto, fp32"):
        precision_for(generator, "cpu", "fp8")


def test_fast_int8_is_read_off_the_processor(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    for text, fast in (
        ("flags\t\t: sse avx512f avx512_vnni\n", True),
        ("Features\t: fp asimd asimddp\n", True),
        ("flags\t\t: sse avx2\n", True),
        ("flags\t\t: sse avx\nbugs : avx_vnni\n", False),
    ):
        cpuinfo.write_text(text)
        assert has_fast_int8(cpuinfo) is fast
    assert not has_fast_int8(tmp_path / "none")


def test_a_set_opens_in_the_precision_asked_for(halved: Manifest) -> None:
    def precisions(asked: str) -> dict[str, str]:
        sessions = open_networks(halved, provider="cpu", precision=asked).sessions
        return {name: session.precision for name, session in sessions.items()}  # type: ignore[attr-defined]

    assert set(precisions("fp32").values()) == {"fp32"}
    assert precisions("int8") == dict.fromkeys(precisions("fp32"), "fp32") | {"generator": "int8"}


def test_a_variant_of_other_weights_is_not_run(halved: Manifest) -> None:
    path = halved.directory / "manifest.toml"
    path.write_text(path.read_text().replace('made_from = "', 'made_from = "0'))
    generator = load_manifest(halved.directory).entry("generator")
    assert precision_for(generator, "cpu", "int8") == "fp32"
    with pytest.raises(ModelError, match=r"made from other weights; run: facewire-export quantize"):
        generator.at("int8")
    with pytest.raises(ModelError, match=r"no int8 variant"):
        load_manifest(halved.directory).entry("keypoints").at("int8")


def test_stepping_down_is_told(
    halved: Manifest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(entries: object, threads: int) -> dict[str, module.Session]:
        raise ModelError("its libraries do not load")

    monkeypatch.setattr(choice, "PROBES", probes(cuda=None))
    monkeypatch.setitem(module.OPENERS, "cuda", breaks)
    with caplog.at_level(logging.INFO):
        open_networks(halved)
    (record,) = [r for r in caplog.records if "networks run on" in r.getMessage()]
    assert record.levelno == logging.WARNING
    assert "networks run on cpu" in record.getMessage()
    assert "tensorrt: no driver" in record.getMessage()
    assert "cuda: its libraries do not load" in record.getMessage()
    with pytest.raises(ModelError, match="its libraries do not load"):
        open_networks(halved, provider="cuda")


def test_what_a_machine_without_a_gpu_says(
    halved: Manifest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none() -> gpu.Gpu:
        raise ModelError("no NVIDIA driver (libcuda.so.1 is not installed)")

    monkeypatch.setattr(gpu, "find", none)
    with caplog.at_level(logging.INFO):
        open_networks(halved, precision="int8")
    (record,) = [r for r in caplog.records if "networks run on" in r.getMessage()]
    assert record.levelno == logging.INFO
    assert "tensorrt: no NVIDIA driver" in record.getMessage()
    assert "int8 generator" in record.getMessage()
