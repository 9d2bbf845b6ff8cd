"""Which networks are installed: reads `manifest.toml` and vouches for every file that it names.

    version = 1
    tier = "compact"
    id = "1a2b3c4d"                      first 4 bytes of SHA-256 over keypoints + pivot_encoder + generator files
    record = "compact/record.json"
    [networks.generator]                 file, sha256, license, parameters, gmac, precision
    [networks.generator.inputs]          name = [shape]; "N" first in a shape is a free batch size
    [networks.generator.outputs]
    [networks.generator.variants.int8]   file, sha256, made_from; batch = "N" where the variant takes any batch size

A variant is the same network in another precision (`facewire-export quantize`, `half`); `made_from` is the SHA-256 of
the fp32 file that it was made from, so that one left over from older weights is never run.

The `id` travels in each epoch: keypoints only mean something to the generator that was trained with their detector.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from facewire.errors import ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MANIFEST = "manifest.toml"
VERSION = 1
PAIRED = ("keypoints", "pivot_encoder", "generator")
"""The networks that belong together; their files make the id."""
MAX_NETWORK_BYTES = 2 << 30

Shape = tuple[int | None, ...]
"""Sizes of a tensor; None where any batch size is taken."""


@dataclass(frozen=True)
class Variant:
    """A network's file in another precision. `free_batch`: its tensors take any batch size."""

    file: Path
    sha256: str
    made_from: str
    free_batch: bool = False


@dataclass(frozen=True)
class NetworkEntry:
    """One network as the manifest describes it. `file` is absolute; `gmac` is for one run at batch 1."""

    name: str
    file: Path
    sha256: str
    license: str
    parameters: int
    gmac: float
    precision: str
    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    variants: Mapping[str, Variant] = field(default_factory=dict)

    def has(self, precision: str) -> bool:
        """Whether there is a file in this precision that belongs to these weights."""
        variant = self.variants.get(precision)
        return precision == self.precision or (variant is not None and variant.made_from == self.sha256)

    def at(self, precision: str) -> NetworkEntry:
        """This network in another precision. Raises ModelError where there is none, or one of other weights."""
        if precision == self.precision:
            return self
        if not self.has(precision):
            stale = precision in self.variants
            raise ModelError(
                f"network {self.name}: {'its' if stale else 'no'} {precision} variant"
                f"{' was made from other weights' if stale else ''}; "
                f"run: facewire-export {'quantize' if precision.startswith('int8') else 'half'}"
            )
        variant = self.variants[precision]

        def shapes(given: Mapping[str, Shape]) -> dict[str, Shape]:
            return {name: (None, *shape[1:]) if variant.free_batch else shape for name, shape in given.items()}

        return replace(
            self,
            file=variant.file,
            sha256=variant.sha256,
            precision=precision,
            inputs=shapes(self.inputs),
            outputs=shapes(self.outputs),
            variants={},
        )

    def read(self) -> bytes:
        """The network's bytes, checked against the manifest's SHA-256. Raises ModelError."""
        try:
            size = self.file.stat().st_size
            if size > MAX_NETWORK_BYTES:
                raise ModelError(f"network {self.name}: {self.file} has {size} bytes, more than any network of ours")
            data = self.file.read_bytes()
        except OSError as error:
            raise ModelError(
                f"network {self.name}: cannot read {self.file} ({error.strerror}); install the models again"
            ) from error
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            raise ModelError(
                f"network {self.name}: {self.file} is damaged or another version (sha256 {found[:12]}..., the manifest "
                f"says {self.sha256[:12]}...); install the models again"
            )
        return data


@dataclass(frozen=True)
class Manifest:
    """What `manifest.toml` says. `id` is 4 bytes, as it travels in an epoch."""

    directory: Path
    tier: str
    id: bytes
    record: str
    networks: Mapping[str, NetworkEntry] = field(default_factory=dict)

    def entry(self, name: str) -> NetworkEntry:
        """The entry of one network. Raises ModelError naming those that exist."""
        try:
            return self.networks[name]
        except KeyError:
            known = ", ".join(sorted(self.networks)) or "none"
            raise ModelError(f"{self.directory / MANIFEST}: no network {name!r} (it has: {known})") from None

    def true_id(self) -> bytes:
        """The id that the files themselves give (reads them all). Raises ModelError; differs from `id` if the manifest
        was edited by hand."""
        digest = hashlib.sha256()
        for name in PAIRED:
            digest.update(self.entry(name).read())
        return digest.digest()[:4]


def default_directory(configured: str | Path = "") -> Path:
    """Where the networks lie: $FACEWIRE_MODELS, the configured directory, beside the checkout, or the system's."""
    named = os.environ.get("FACEWIRE_MODELS") or str(configured)
    if named:
        return Path(named)
    beside = Path(__file__).resolve().parents[3] / "models_onnx"
    return beside if (beside / MANIFEST).is_file() else Path("/usr/share/facewire/models_onnx")


def load_manifest(models: str | Path = "") -> Manifest:
    """Read the manifest in `models` (empty: the default directory); opens no network file yet. Raises ModelError."""
    path = default_directory(models) / MANIFEST
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"no networks: {path} does not exist; set FACEWIRE_MODELS or network.models") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if raw.get("version") != VERSION:
        raise ModelError(f"{path}: version = {raw.get('version')!r}: this release reads version {VERSION}")
    text_id = _typed(path, raw, "id", str)
    try:
        ident = bytes.fromhex(text_id)
    except ValueError:
        ident = b""
    if len(ident) != 4:
        raise ModelError(f"{path}: id = {text_id!r}: must be 8 hexadecimal digits")
    tables = _typed(path, raw, "networks", dict)
    networks = {name: _entry(path, name, table) for name, table in tables.items()}
    return Manifest(path.parent, _typed(path, raw, "tier", str), ident, str(raw.get("record", "")), networks)


def _entry(path: Path, name: str, table: object) -> NetworkEntry:
    where = f"networks.{name}"
    if not isinstance(table, dict):
        raise ModelError(f"{path}: {where}: must be a table")
    return NetworkEntry(
        name=name,
        file=_file(path, table, where),
        sha256=_typed(path, table, "sha256", str, where).lower(),
        license=str(table.get("license", "")),
        parameters=int(_number(path, table, "parameters", where)),
        gmac=_number(path, table, "gmac", where),
        precision=str(table.get("precision", "fp32")),
        inputs=_shapes(path, table, "inputs", where),
        outputs=_shapes(path, table, "outputs", where),
        variants=_variants(path, table, where),
    )


def _file(path: Path, table: dict[str, Any], where: str) -> Path:
    file: str = _typed(path, table, "file", str, where)
    if Path(file).is_absolute() or ".." in Path(file).parts:
        raise ModelError(f"{path}: {where}.file = {file!r}: must lie below the manifest's directory")
    return path.parent / file


def _variants(path: Path, table: dict[str, Any], where: str) -> dict[str, Variant]:
    found: dict[str, Variant] = {}
    given = _typed(path, table, "variants", dict, where) if "variants" in table else {}
    for precision, inner in given.items():
        place = f"{where}.variants.{precision}"
        if not isinstance(inner, dict):
            raise ModelError(f"{path}: {place}: must be a table")
        found[precision] = Variant(
            file=_file(path, inner, place),
            sha256=_typed(path, inner, "sha256", str, place).lower(),
            made_from=_typed(path, inner, "made_from", str, place).lower(),
            free_batch=inner.get("batch") == "N",
        )
    return found


def _shapes(path: Path, table: dict[str, Any], key: str, where: str) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    for name, sizes in _typed(path, table, key, dict, where).items():
        if not isinstance(sizes, list) or not all(map(_is_size, sizes)):
            raise ModelError(f'{path}: {where}.{key}.{name} = {sizes!r}: must be a list of sizes, or "N" for the batch')
        shapes[name] = tuple(None if size == "N" else size for size in sizes)
    return shapes


def _is_size(size: object) -> bool:
    return size == "N" or (type(size) is int and size > 0)


def _number(path: Path, table: dict[str, Any], key: str, where: str) -> float:
    value = table.get(key, 0)
    if type(value) not in (int, float):
        raise ModelError(f"{path}: {where}.{key} = {value!r}: must be a number")
    return float(value)


def _typed(path: Path, table: dict[str, Any], key: str, kind: type, where: str = "") -> Any:
    value = table.get(key)
    if not isinstance(value, kind):
        name = f"{where}.{key}" if where else key
        if key not in table:
            raise ModelError(f"{path}: {name} is missing")
        raise ModelError(f"{path}: {name} = {value!r}: must be {'a string' if kind is str else 'a table'}")
    return value
