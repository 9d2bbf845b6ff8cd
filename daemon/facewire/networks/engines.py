"""TensorRT engines: built on the machine that runs them, once, and kept.

    <network>-<16 digits of its file's SHA-256>-<precision>-b<largest batch>-trt<version>-<GPU>.engine
    timing-trt<version>-<GPU>.cache      what TensorRT measured so far; makes the next build shorter

An engine only fits the TensorRT version and the GPU that it was built with, so both are in its name: another version
or another card builds its own. Files appear whole or not at all, and one process builds while others wait.

    TensorRT 8.6   no strong typing: fp16 is allowed by a flag, and each layer whose output is fp32 is bound to fp32
    TensorRT 10    strongly typed: each layer computes in the file's types; tells how far a build is
    TensorRT 11    nothing but strongly typed; the flags for fp16 and for an explicit batch are gone
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facewire.errors import ModelError
from facewire.networks.gpu import Gpu
from facewire.networks.manifest import NetworkEntry

log = logging.getLogger(__name__)

WORKSPACE = 1 << 30
"""Bytes that a layer may use while it runs; a Jetson shares its memory with everything else."""
KEPT = 2
"""Engines of one network for the same machine that stay when the networks change: the last and the one before."""
SAY_EVERY = 5.0
"""Seconds between two words on how far a build is."""

Say = Callable[[str], None]


def engine_directory() -> Path:
    """Where engines are kept: $FACEWIRE_ENGINES, $CACHE_DIRECTORY (systemd gives it), or the user's cache."""
    if named := os.environ.get("FACEWIRE_ENGINES"):
        return Path(named)
    if given := os.environ.get("CACHE_DIRECTORY"):
        return Path(given.split(":")[0]) / "engines"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facewire" / "engines"


@dataclass(frozen=True)
class Place:
    """For what an engine is built: TensorRT's version and the GPU."""

    version: str
    gpu: Gpu

    def __str__(self) -> str:
        name = re.sub(r"[^a-z0-9]+", "-", self.gpu.name.lower()).strip("-") or "gpu"
        return f"trt{self.version}-{name}-sm{self.gpu.capability[0]}{self.gpu.capability[1]}"


class Engines:
    """The cache of engines in one folder. `trt` is the module tensorrt, or one with its interface."""

    def __init__(self, trt: Any, gpu: Gpu, folder: Path | None = None, say: Say = log.info) -> None:
        self._trt, self._say = trt, say
        self.place = Place(str(trt.__version__), gpu)
        self.folder = engine_directory() if folder is None else folder
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ModelError(
                f"engines cannot be kept in {self.folder}: {error.strerror}; set FACEWIRE_ENGINES"
            ) from None

    def path(self, entry: NetworkEntry, batch: int) -> Path:
        """Where the engine of a network lies."""
        largest = batch if _is_free(entry) else 1
        return self.folder / f"{entry.name}-{entry.sha256[:16]}-{entry.precision}-b{largest}-{self.place}.engine"

    def missing(self, entries: list[NetworkEntry], batch: int) -> list[NetworkEntry]:
        """The networks that have no engine yet."""
        return [entry for entry in entries if not self.path(entry, batch).is_file()]

    def get(self, entry: NetworkEntry, batch: int = 1) -> bytes:
        """A network's engine, built first where there is none. Raises ModelError."""
        path = self.path(entry, batch)
        with suppress(OSError):
            return path.read_bytes()
        with self._alone():
            with suppress(OSError):
                return path.read_bytes()  # another process built it while this one waited
            began = time.monotonic()
            self._say(f"building the engine of {entry.name} ({entry.precision}, TensorRT {self.place.version}); "
                      "this takes seconds to minutes, once")  # fmt: skip
            plan = build(self._trt, entry, batch, self._timing, self._say)
            write_whole(path, plan)
            self._prune(entry, path)
            self._say(f"built the engine of {entry.name} in {time.monotonic() - began:.0f} s, {len(plan) >> 10} KiB")
            return plan

    def drop(self, entry: NetworkEntry, batch: int = 1) -> None:
        """Remove an engine that TensorRT does not take."""
        self.path(entry, batch).unlink(missing_ok=True)

    @property
    def _timing(self) -> Path:
        return self.folder / f"timing-{self.place}.cache"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.folder / "building.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._say("another process is building engines; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _prune(self, entry: NetworkEntry, newest: Path) -> None:
        same = [path for path in self.folder.glob(f"{entry.name}-*-{self.place}.engine") if path != newest]
        same.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in same[KEPT - 1 :]:
            path.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it appears whole or not at all. Raises ModelError."""
    partial = path.with_suffix(f".partial{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ModelError(f"{path}: cannot be written: {error.strerror}; make room, or set FACEWIRE_ENGINES") from None


def build(trt: Any, entry: NetworkEntry, batch: int, timing: Path, say: Say = log.info) -> bytes:
    """A serialised engine of a network for this GPU. Raises ModelError with what TensorRT said."""
    logger = make_logger(trt)
    builder = trt.Builder(logger)
    flags = trt.NetworkDefinitionCreationFlag
    typed = hasattr(flags, "STRONGLY_TYPED")
    network = builder.create_network(1 << int(flags.STRONGLY_TYPED if typed else flags.EXPLICIT_BATCH))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(entry.read()):
        said = "; ".join(str(parser.get_error(index).desc()) for index in range(min(3, parser.num_errors)))
        raise ModelError(f"network {entry.name}: TensorRT {trt.__version__} cannot read it: {said or logger.last}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE)
    config.clear_flag(trt.BuilderFlag.TF32)  # ten bits of mantissa would move keypoints
    if not typed:
        _bind_types(trt, network, config)
    if _is_free(entry):
        profile = builder.create_optimization_profile()
        for index in range(network.num_inputs):
            tensor = network.get_input(index)
            rest = tuple(tensor.shape)[1:]
            profile.set_shape(tensor.name, (1, *rest), (batch, *rest), (batch, *rest))
        config.add_optimization_profile(profile)
    known = timing.read_bytes() if timing.is_file() else b""
    cache = config.create_timing_cache(known)
    if not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")  # another card's, or damaged
        config.set_timing_cache(cache, False)
    if hasattr(config, "progress_monitor"):
        config.progress_monitor = make_monitor(trt, entry.name, say)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ModelError(f"network {entry.name}: TensorRT {trt.__version__} cannot build it: {logger.last}")
    write_whole(timing, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def _bind_types(trt: Any, network: Any, config: Any) -> None:
    """What strong typing would do, by the means of TensorRT 8.6."""
    config.set_flag(trt.BuilderFlag.FP16)
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type == trt.LayerType.CONSTANT:
            continue
        kinds = {layer.get_output_type(output) for output in range(layer.num_outputs)}
        if trt.DataType.FLOAT in kinds:
            layer.precision = trt.DataType.FLOAT


def _is_free(entry: NetworkEntry) -> bool:
    return any(shape and shape[0] is None for shape in entry.inputs.values())


def make_logger(trt: Any) -> Any:
    """A TensorRT logger that writes to ours; `last` is its last error."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.last = "no reason was given"

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.last = " ".join(msg.split())[:300]
                log.warning("TensorRT: %s", self.last)
            else:
                log.debug("TensorRT: %s", " ".join(msg.split()))

    return Logger()


def make_monitor(trt: Any, name: str, say: Say, clock: Callable[[], float] = time.monotonic) -> Any:
    """Says every few seconds how far the build of an engine is (TensorRT 10 and later)."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.steps: dict[str, int] = {}
            self.said = clock()

        def phase_start(self, phase_name: str, _parent: str | None, num_steps: int) -> None:
            self.steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            now = clock()
            if now - self.said >= SAY_EVERY:
                self.said = now
                say(f"building the engine of {name}: {phase_name}, step {step + 1} of {self.steps.get(phase_name, 0)}")
            return True

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Monitor()
