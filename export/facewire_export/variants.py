"""Adds a network's file in another precision to the manifest."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import tomli_w

from facewire.errors import FacewireError
from facewire.networks import Manifest, load_manifest
from facewire.networks.manifest import MANIFEST, NetworkEntry

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Shapes = dict[str, list[Any]]


def path_of(entry: NetworkEntry, precision: str) -> Path:
    """Where the variant of a network lies: beside it."""
    return entry.file.with_name(f"{entry.file.stem}.{precision}{entry.file.suffix}")


def keep(manifest: Manifest, name: str, precision: str, data: bytes, free_batch: bool = False) -> None:
    """Write a variant and name it in the manifest; both appear whole or not at all."""
    entry = manifest.entry(name)
    path = path_of(entry, precision)
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(path)
    table = _read(manifest)
    variant: dict[str, Any] = {
        "file": path.relative_to(manifest.directory).as_posix(),
        "sha256": hashlib.sha256(data).hexdigest(),
        "made_from": entry.sha256,
    }
    if free_batch:
        variant["batch"] = "N"
    table["networks"][name].setdefault("variants", {})[precision] = variant
    _write(manifest, table)


def add(manifest: Manifest, name: str, like: str, data: bytes, inputs: Shapes, outputs: Shapes) -> None:
    """Write a network that was made of another, and name it in the manifest; licence and folder are the other's."""
    path = manifest.entry(like).file.with_name(f"{name}.onnx")
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(path)
    table = _read(manifest)
    table["networks"][name] = {
        **{key: table["networks"][like][key] for key in ("license", "parameters")},
        "file": path.relative_to(manifest.directory).as_posix(),
        "sha256": hashlib.sha256(data).hexdigest(),
        "gmac": 0.0,
        "precision": "fp32",
        "inputs": inputs,
        "outputs": outputs,
    }
    _write(manifest, table)


def drop(manifest: Manifest, name: str, precision: str) -> None:
    """Take a variant out of the manifest and remove its file; nothing happens where there is none."""
    table = _read(manifest)
    variants = table["networks"][name].get("variants", {})
    if variants.pop(precision, None) is None:
        return
    if not variants:
        del table["networks"][name]["variants"]
    _write(manifest, table)
    path_of(manifest.entry(name), precision).unlink(missing_ok=True)


def carried(models: Path, networks: dict[str, Any]) -> list[str]:
    """Give a new manifest's networks the variants that the present one has of the same fp32 files; returns a line for
    each network whose variants are of other weights now."""
    path = models / MANIFEST
    if not path.is_file():
        return []
    lost = []
    for name, before in tomllib.loads(path.read_text("utf-8")).get("networks", {}).items():
        variants = before.get("variants", {})
        if not variants or name not in networks:
            continue
        if before.get("sha256") == networks[name]["sha256"]:
            networks[name]["variants"] = variants
        else:
            lost.append(f"{name}: its {', '.join(variants)} variants were made from other weights; make them again: "
                        "facewire-export quantize, half")  # fmt: skip
    return lost


def fresh(models: str | Path) -> Manifest:
    """The manifest, and a check that its folder may be written. Raises ModelError, FacewireError."""
    manifest = load_manifest(models)
    probe = manifest.directory / "manifest.partial"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise FacewireError(f"{manifest.directory}: cannot be written ({error.strerror}); give --models") from None
    return manifest


def _read(manifest: Manifest) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((manifest.directory / MANIFEST).read_text("utf-8"))
    return table


def _write(manifest: Manifest, table: dict[str, Any]) -> None:
    partial = manifest.directory / "manifest.partial"
    partial.write_text(tomli_w.dumps(table), "utf-8")
    partial.replace(manifest.directory / MANIFEST)
