"""The daemons' settings: every key with its default, its rule and its help, read from TOML.

Nothing is guessed: an unknown key, a wrong type and a value out of range each end the start with one line that names
file, key and what is allowed. The command line overrides the file.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from facewire import validators as v
from facewire.errors import ConfigError, FacewireError
from facewire.link.endpoint import is_loopback
from facewire.names import PRECISIONS, PRESETS, PROVIDERS
from facewire.profiles import PROFILES, Profile, profile

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_C = TypeVar("_C", "EncoderConfig", "DecoderConfig")


def _key(default: object, rule: v.Rule, text: str) -> Any:
    return field(default=default, metadata={"rule": rule, "help": text})


def _section(kind: type[object]) -> Any:
    return field(default_factory=kind, metadata={"section": kind})


@dataclass(frozen=True)
class PivotsConfig:
    """When the encoder sends a new full picture (BMVC 2022, adaptive pivot selection)."""

    policy: str = _key("adaptive", v.choice(*PRESETS), "when new pivots are sent: by all rules, by some, or never")
    yaw: float = _key(15.0, v.number(1, 180, "degrees"), "turn of the head that asks for a new pivot")
    pitch: float = _key(15.0, v.number(1, 180, "degrees"), "nod of the head that asks for a new pivot")
    roll: float = _key(15.0, v.number(1, 180, "degrees"), "tilt of the head that asks for a new pivot")
    unlike: float = _key(0.065, v.number(0, 1), "guessed error of the reconstruction that asks for one; 0: never")
    background: float = _key(0.05, v.number(0, 2), "change of the background (cosine distance) that asks for one")


@dataclass(frozen=True)
class EncoderNetworkConfig:
    """The networks, and what they may use."""

    models: str = _key("", v.directory(), "directory of the networks; empty: the installed ones")
    threads: int = _key(1, v.whole(1, 64), "CPU threads that the networks use")


@dataclass(frozen=True)
class DecoderNetworkConfig:
    """The networks, and what they may use."""

    models: str = _key("", v.directory(), "directory of the networks; empty: the installed ones")
    threads: int = _key(2, v.whole(1, 64), "CPU threads that the networks use")
    provider: str = _key("auto", v.choice(*PROVIDERS), "what runs them; auto: TensorRT, CUDA or the CPU")
    precision: str = _key("auto", v.choice(*PRECISIONS), "how exactly; auto: by what the machine does fast")


@dataclass(frozen=True)
class CurveConfig:
    """Encryption and proof of identity between the daemons."""

    keys: str = _key("", v.directory(), "directory of CURVE keys made by `facewire keygen`; empty: none")
    plain: bool = _key(False, v.flag(), "true: without encryption on a network; whoever reaches the port can watch")

    def directory(self, endpoint: str) -> str:
        """The keys that a socket on `endpoint` uses, "" for none: none are needed within this machine.

        Raises ConfigError where keys are needed and none are named: nothing goes over a network in the clear by
        mistake."""
        if self.keys and not self.plain:
            return self.keys
        if self.plain or is_loopback(endpoint):
            return ""
        raise ConfigError(
            f"{endpoint} is on a network and curve.keys names no keys: make them with `facewire keygen DIR`, or say "
            "curve.plain = true to send faces in the clear"
        )


@dataclass(frozen=True)
class OverridesConfig:
    """Replaces single settings of the profile."""

    skip: int = _key(-1, v.whole(0, 3, also=(-1,)), "interpolated frames between two sent ones; -1: the profile's")
    bundle_frames: int = _key(0, v.whole(0, 64), "keypoint frames in one message; 0: the profile's")


@dataclass(frozen=True)
class BudgetConfig:
    """What the link may cost."""

    megabytes_per_day: float = _key(0.0, v.number(0, 1e6, "MB"), "all-in, a day (UTC), never exceeded; 0: no cap")
    interface: str = _key("", v.interface(), "network interface whose bytes count as well; empty: our sockets alone")


@dataclass(frozen=True)
class LogConfig:
    """What is logged."""

    level: str = _key("info", v.choice("debug", "info", "warning", "error"), "least serious messages that are logged")


@dataclass(frozen=True)
class EncoderConfig:
    """All settings of `facewire encoder`."""

    source: str = _key("auto", v.source(), "where pictures come from")
    bind: str = _key("tcp://127.0.0.1:5555", v.endpoint(bind=True), "address where decoders find this encoder")
    profile: str = _key("vsat", v.choice(*PROFILES), "the class of link that the stream must fit")
    fps: float = _key(25.0, v.number(5, 60, "frames a second"), "shown frames a second")
    cache: str = _key("", v.directory(), "directory where sent pivots are kept; empty: the user's or service's cache")
    pivots: PivotsConfig = _section(PivotsConfig)
    network: EncoderNetworkConfig = _section(EncoderNetworkConfig)
    curve: CurveConfig = _section(CurveConfig)
    budget: BudgetConfig = _section(BudgetConfig)
    overrides: OverridesConfig = _section(OverridesConfig)
    log: LogConfig = _section(LogConfig)

    def link(self) -> Profile:
        """The profile with this configuration's overrides in it."""
        chosen = profile(self.profile)
        if self.overrides.skip >= 0:
            chosen = dataclasses.replace(chosen, skip=self.overrides.skip)
        if self.overrides.bundle_frames > 0:
            chosen = dataclasses.replace(chosen, bundle_frames=self.overrides.bundle_frames)
        return chosen

    def cache_directory(self) -> Path:
        """Where sent pivots are kept."""
        return _cache(self.cache, "sent")

    def state_directory(self) -> Path:
        """Where the accounts are kept: $STATE_DIRECTORY (systemd gives it), else beside the sent pivots."""
        given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
        return Path(given) if given else self.cache_directory()


@dataclass(frozen=True)
class DecoderConfig:
    """All settings of `facewire decoder`."""

    connect: str = _key("tcp://127.0.0.1:5555", v.endpoint(bind=False), "address of the encoder")
    sinks: tuple[str, ...] = _key(("rtsp://0.0.0.0:8554/live",), v.several(v.sink(), 1, 8), "where pictures are shown")
    size: int = _key(512, v.even(64, 2160), "side of the shown picture in pixels")
    buffer: float = _key(0.0, v.number(0, 60, "seconds"), "delay that evens out the link; 0: found by itself")
    cache: str = _key("", v.directory(), "directory where pivots are kept; empty: the user's or the service's cache")
    network: DecoderNetworkConfig = _section(DecoderNetworkConfig)
    curve: CurveConfig = _section(CurveConfig)
    log: LogConfig = _section(LogConfig)

    def cache_directory(self) -> Path:
        """Where received pivots are kept."""
        return _cache(self.cache, "pivots")


def _cache(configured: str, name: str) -> Path:
    """As set, else below $CACHE_DIRECTORY (systemd gives it), else below the user's cache."""
    if configured:
        return Path(configured)
    if given := os.environ.get("CACHE_DIRECTORY"):
        return Path(given.split(":")[0]) / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facewire" / name


def load_encoder(path: Path | str | None, overrides: Mapping[str, object] | None = None) -> EncoderConfig:
    """Settings of the encoder from a TOML file (None: defaults) and dotted keys that override it, such as
    {"network.threads": 2}. Raises ConfigError."""
    return _load(EncoderConfig, path, overrides or {})


def load_decoder(path: Path | str | None, overrides: Mapping[str, object] | None = None) -> DecoderConfig:
    """Settings of the decoder, as load_encoder."""
    return _load(DecoderConfig, path, overrides or {})


def keys(kind: type[EncoderConfig] | type[DecoderConfig]) -> Iterator[tuple[str, object, str, str]]:
    """Every key of a configuration: (dotted name, default, what is allowed, help)."""
    return _keys(kind, "")


def _keys(kind: type[Any], prefix: str) -> Iterator[tuple[str, object, str, str]]:
    for f in dataclasses.fields(kind):
        if nested := f.metadata.get("section"):
            yield from _keys(nested, f"{f.name}.")
        else:
            yield prefix + f.name, f.default, f.metadata["rule"].allowed, f.metadata["help"]


def _load(kind: type[_C], path: Path | str | None, overrides: Mapping[str, object]) -> _C:
    config = _fill(kind, _read(Path(path)), str(path), "") if path is not None else kind()
    for dotted, value in overrides.items():
        table: dict[str, object] = {}
        inner = table
        *sections, last = dotted.split(".")
        for name in sections:
            inner[name] = inner = {}
        inner[last] = value
        config = _fill(kind, table, "command line", "", base=config)
    return cast(_C, config)


def _read(path: Path) -> dict[str, object]:
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}); samples are in configs/") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not a text file in UTF-8; samples are in configs/") from None
    try:
        table: dict[str, object] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {' '.join(str(error).split())}") from None
    return table


def _fill(kind: type[Any], table: Mapping[str, object], where: str, prefix: str, base: Any = None) -> Any:
    """An instance of a configuration class: the table's values, checked, over those of `base` or the defaults."""
    known = {f.name: f for f in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for name, value in table.items():
        dotted = prefix + name
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(f"{where}: {dotted}: no such key; {hint}allowed here: {', '.join(known)}")
        nested = known[name].metadata.get("section")
        if nested is not None:
            if not isinstance(value, dict):
                raise ConfigError(f"{where}: {dotted} = {v.shown(value)}: must be a section, [{dotted}]")
            values[name] = _fill(nested, value, where, f"{dotted}.", getattr(base, name, None))
            continue
        rule: v.Rule = known[name].metadata["rule"]
        try:
            values[name] = rule.check(value)
        except ValueError:
            raise ConfigError(f"{where}: {dotted} = {v.shown(value)}: allowed: {rule.allowed}") from None
        except FacewireError as error:
            raise ConfigError(f"{where}: {dotted} = {v.shown(value)}: {v.without_password(str(error))}") from None
    return kind(**values) if base is None else dataclasses.replace(base, **values)
