from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from facewire.errors import ModelError
from facewire.networks import ENCODER, load_manifest, load_network, open_networks


def test_runs_by_name_and_ignores_what_is_not_its_own(tiny_models: Path) -> None:
    session = load_network("interpolator", tiny_models)
    one = np.ones((1, 3, 256, 256), np.float32)
    share = np.array([0.25], np.float32)
    made = session.run({"picture_before": one, "picture_after": 0 * one, "share": share, "other": one})["between"]
    assert made.dtype == np.float32
    assert np.all(made == 0.75)


def test_free_batch(tiny_models: Path) -> None:
    session = load_network("upscaler", tiny_models)
    assert session.inputs["patch"] == (None, 3, 64, 64)
    assert session.run({"patch": np.ones((5, 3, 64, 64), np.float32)})["sharp"].shape == (5, 3, 64, 64)


def test_wrong_feeding_is_a_model_error(tiny_models: Path) -> None:
    session = load_network("interpolator", tiny_models)
    with pytest.raises(ModelError, match="'share' was not given"):
        session.run({f"picture_{when}": np.ones((1, 3, 256, 256), np.float32) for when in ("before", "after")})
    small = {f"picture_{when}": np.ones((1, 3, 8, 8), np.float32) for when in ("before", "after")}
    with pytest.raises(ModelError, match="interpolator"):
        session.run({**small, "share": np.array([0.5], np.float32)})


def test_provider_asked_for_by_name_is_never_stepped_down(tiny_models: Path) -> None:
    with pytest.raises(ModelError, match="provider"):
        load_network("interpolator", tiny_models, provider="abacus")
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(ModelError, match="not in this onnxruntime"):
            load_network("interpolator", tiny_models, provider="cuda")


def test_manifest_and_file_must_agree(tiny_models: Path, tmp_path: Path) -> None:
    models = shutil.copytree(tiny_models, tmp_path / "models")
    path = models / "manifest.toml"
    path.write_text(path.read_text().replace("between = [1, 3, 256, 256]", "between = [1, 3, 128, 128]"))
    with pytest.raises(ModelError, match="the manifest says"):
        load_network("interpolator", models)


def test_a_file_that_is_no_network(tiny_models: Path, tmp_path: Path) -> None:
    import hashlib

    models = shutil.copytree(tiny_models, tmp_path / "models")
    entry = load_manifest(models).entry("interpolator")
    entry.file.write_bytes(b"nonsense")
    path = models / "manifest.toml"
    path.write_text(path.read_text().replace(entry.sha256, hashlib.sha256(b"nonsense").hexdigest()))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_network("interpolator", models)


def test_a_role_opens_its_own_set_and_does_without_the_optional(tiny_models: Path, tmp_path: Path) -> None:
    assert set(open_networks(tiny_models, names=ENCODER).sessions) == set(ENCODER)
    models = shutil.copytree(tiny_models, tmp_path / "models")
    path = models / "manifest.toml"
    path.write_text(path.read_text().replace("networks.upscaler", "networks.elsewhere"))
    networks = open_networks(models)
    assert networks.get("upscaler") is None
    assert networks.id == load_manifest(tiny_models).id
    with pytest.raises(ModelError, match="not loaded"):
        networks["background"]
