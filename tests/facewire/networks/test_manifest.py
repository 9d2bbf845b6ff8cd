from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from facewire.errors import ModelError
from facewire.networks.manifest import default_directory, load_manifest


@pytest.fixture
def models(tiny_models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_models, tmp_path / "models"))


def edit(models: Path, old: str, new: str) -> None:
    path = models / "manifest.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_reads_what_it_says(tiny_models: Path) -> None:
    manifest = load_manifest(tiny_models)
    assert manifest.tier == "tiny"
    assert len(manifest.id) == 4
    assert manifest.true_id() == manifest.id
    assert manifest.entry("upscaler").inputs == {"patch": (None, 3, 64, 64)}
    assert manifest.entry("keypoints").file.is_file()


def test_environment_goes_before_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEWIRE_MODELS", "/somewhere")
    assert default_directory("/else") == Path("/somewhere")
    monkeypatch.delenv("FACEWIRE_MODELS")
    assert default_directory("/else") == Path("/else")


def test_no_manifest_names_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACEWIRE_MODELS", raising=False)
    with pytest.raises(ModelError, match="FACEWIRE_MODELS"):
        load_manifest(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("version = 1", "version = 9", "reads version 1"),
        ("version = 1", "version = ", "cannot be read"),
        ('id = "', 'id = "zz', "8 hexadecimal"),
        ('tier = "tiny"', "", "tier is missing"),
        ("[1, 10, 2]", "[1, 10, -2]", "must be a list of sizes"),
        ("[1, 10, 2]", "7", "must be a list of sizes"),
        ('file = "tiny/keypoints.onnx"', 'file = "../keypoints.onnx"', "below the manifest"),
        ('file = "tiny/keypoints.onnx"', "file = 3", "must be a string"),
    ],
)
def test_each_fault_is_one_line(models: Path, old: str, new: str, told: str) -> None:
    edit(models, old, new)
    with pytest.raises(ModelError, match=told) as caught:
        load_manifest(models)
    assert "\n" not in str(caught.value)


def test_damaged_file_is_refused(models: Path) -> None:
    file = models / "tiny" / "generator.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    entry = load_manifest(models).entry("generator")
    with pytest.raises(ModelError, match="damaged"):
        entry.read()
    file.unlink()
    with pytest.raises(ModelError, match="cannot read"):
        entry.read()


def test_unknown_network_names_the_known(tiny_models: Path) -> None:
    with pytest.raises(ModelError, match="it has: background, generator"):
        load_manifest(tiny_models).entry("nonsense")
