"""The two ends of the rig: real daemons in their namespaces, with keys, settings and traces in a working directory."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from facewire.child import Child
from facewire.errors import FacewireError
from facewire.link import keygen
from facewire.networks.manifest import MANIFEST, default_directory
from facewire_export.rig.measure import Recorded, read_trace
from facewire_export.rig.scenario import Scenario
from facewire_export.rig.tunnel import Tunnel

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PORT = 5555
STUBBED = "generator"
LEFT_OUT = ("interpolator", "large_restorer", "composer", "upscaler")


def encryption(keys: Path | None) -> str:
    """The section of a daemon's settings that says where its keys are; None: it goes without, as it has to say."""
    return "[curve]\n" + ("plain = true\n" if keys is None else f'keys = "{keys}"\n')


class Ends:
    """Starts, kills and starts again. One encoder; decoders are numbered, 0 is the one that is judged.

    Each daemon keeps its cache in a directory of its own, as on a device, so that it survives its restarts.
    """

    def __init__(self, scenario: Scenario, tunnel: Tunnel, directory: Path, source: str) -> None:
        self._scenario, self._tunnel, self._directory, self._source = scenario, tunnel, directory, source
        self._models = light_models(directory / "models") if scenario.networks == "light" else default_directory()
        self._running: dict[str, Child] = {}
        self._lives = 0
        self.warnings: list[str] = []
        if scenario.curve:
            keygen.generate(directory / "keys")

    def start_encoder(self) -> None:
        """Start the encoder."""
        settings = self._settings("encoder", f'profile = "{self._scenario.profile}"\n')
        arguments = ["-c", str(settings), "--source", self._source, "--bind", self._endpoint]
        self._start("encoder", "encoder", arguments, self._tunnel.camera)

    def start_decoder(self, number: int = 0) -> None:
        """Start decoder `number`."""
        settings = self._settings("decoder", "")
        arguments = ["-c", str(settings), "--connect", self._endpoint, "--sink", "null:"]
        arguments += ["--size", str(self._scenario.size)]
        self._start(f"decoder{number}", "decoder", arguments, self._tunnel.screen)

    def kill(self, name: str) -> None:
        """End "encoder" or "decoder0" without warning."""
        self._collect(name)
        self._running.pop(name).kill()

    def forget(self, name: str) -> None:
        """Delete the pivots that a daemon keeps."""
        shutil.rmtree(self._directory / name / "cache", ignore_errors=True)

    def check(self) -> None:
        """Take in what they say. Raises FacewireError if one has died by itself."""
        for name, child in self._running.items():
            child.listen()
            if (trouble := child.trouble()) is not None:
                raise FacewireError(f"{name}: {trouble}")
            self._collect(name)

    def memory(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Bytes of each daemon, by its name and process: resident ones, and those of them that are its own. The others
        are read from files, and the kernel takes them back and reads them again as it likes (proc_pid_statm(5))."""
        page = os.sysconf("SC_PAGE_SIZE")
        out = {}
        for name, child in self._running.items():
            resident, shared = map(int, Path(f"/proc/{child.pid}/statm").read_text().split()[1:3])
            out[name, child.pid] = resident * page, (resident - shared) * page
        return out

    def trace(self, name: str) -> Recorded:
        """What a daemon has written down so far, over all its lives."""
        return read_trace(self._directory / name / "trace.jsonl")

    def close(self) -> None:
        """Stop them all."""
        for name in list(self._running):
            self._collect(name)
            self._running.pop(name).stop()

    @property
    def _endpoint(self) -> str:
        host = self._tunnel.address(0)
        return f"tcp://{host}:{PORT}" if ":" not in host else f"tcp://[{host}]:{PORT}"

    def _settings(self, role: str, text: str) -> Path:
        path = self._directory / f"{role}.toml"
        path.write_text(text + encryption(self._directory / "keys" if self._scenario.curve else None), "utf-8")
        return path

    def _start(self, name: str, role: str, arguments: list[str], namespace: str) -> None:
        self._lives += 1
        home = self._directory / name
        life = home / f"life{self._lives}"
        life.mkdir(parents=True)
        environ = {
            "FACEWIRE_TRACE": str(home / "trace.jsonl"),
            "FACEWIRE_STATUS_SECONDS": "1",
            "FACEWIRE_MODELS": str(self._models),
            "CACHE_DIRECTORY": str(home / "cache"),
        }
        # `ip netns exec` becomes the daemon, so that a signal reaches it.
        prefix = self._tunnel.command(namespace, [])
        self._running[name] = Child(role, arguments, life, environ, prefix)

    def _collect(self, name: str) -> None:
        for line in self._running[name].warnings():
            self.warnings.append(f"{time.monotonic():.2f} {name}: {line}")


def light_models(directory: Path, base: Path | None = None) -> Path:
    """The installed networks with a generator that returns the pivot, and without interpolator and upscaler: what is
    received and understood stays the same, the picture costs nothing. Returns `directory`. Raises ModelError."""
    import onnx
    import tomli_w
    from onnx import TensorProto, helper, numpy_helper

    base = base or default_directory()
    manifest: dict[str, Any] = tomllib.loads((base / MANIFEST).read_text("utf-8"))
    directory.mkdir(parents=True)
    for name in LEFT_OUT:
        manifest["networks"].pop(name, None)
    for entry in manifest["networks"].values():
        entry.pop("variants", None)
        target = directory / entry["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(base / entry["file"], target)  # a copy: the installed ones may be renewed meanwhile
    entry = manifest["networks"][STUBBED]
    others = {name: shape for name, shape in entry["outputs"].items() if name != "picture"}
    nodes = [helper.make_node("Identity", ["pivot"], ["picture"])]
    nodes += [helper.make_node("Identity", [f"no_{name}"], [name]) for name in others]
    graph = helper.make_graph(
        nodes,
        STUBBED,
        [_value(helper, TensorProto, name, shape) for name, shape in entry["inputs"].items()],
        [_value(helper, TensorProto, name, shape) for name, shape in entry["outputs"].items()],
        [numpy_helper.from_array(np.zeros(shape, np.float32), f"no_{name}") for name, shape in others.items()],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    onnx.checker.check_model(onnx.load_from_string(data))
    (directory / entry["file"]).unlink()
    (directory / entry["file"]).write_bytes(data)
    entry["sha256"] = hashlib.sha256(data).hexdigest()
    (directory / MANIFEST).write_text(tomli_w.dumps(manifest), "utf-8")
    return directory


def _value(helper: Any, types: Any, name: str, shape: list[Any]) -> Mapping[str, Any]:
    value: Mapping[str, Any] = helper.make_tensor_value_info(name, types.FLOAT, shape)
    return value
