"""A network ready to run. Everything above this file sees names, shapes and NumPy arrays, and no runtime."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facewire.errors import MissingDependency, ModelError
from facewire.networks.manifest import NetworkEntry, Shape

log = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[Any]]

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
AUTO_ORDER = ("cuda", "cpu")
"""TensorRT is not tried by itself: building its engines takes minutes, which an operator should ask for by name."""


class Session(Protocol):
    """A network that can be run. Arrays are C-contiguous float32 of the shapes given (None: any size)."""

    @property
    def inputs(self) -> Mapping[str, Shape]: ...

    @property
    def outputs(self) -> Mapping[str, Shape]: ...

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Outputs by name. Inputs the network does not have are ignored. Raises ModelError."""
        ...


class OrtSession:
    """A network on ONNX Runtime.

    threads: cores that one run may use. provider: "auto", or one of PROVIDERS, which is then an order: ModelError if it
    cannot be had, never a quiet step down to the CPU.
    """

    def __init__(self, entry: NetworkEntry, threads: int = 1, provider: str = "auto") -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependency("onnxruntime is not installed; pip install 'facewire[decoder]'") from error
        data = entry.read()
        available = onnxruntime.get_available_providers()
        if provider == "auto":
            wanted = [name for name in AUTO_ORDER if PROVIDERS[name] in available]
        elif provider not in PROVIDERS:
            raise ModelError(f"provider {provider!r}: must be auto, {', '.join(PROVIDERS)}")
        elif PROVIDERS[provider] not in available:
            raise ModelError(f"provider {provider!r} is not in this onnxruntime (it has: {', '.join(available)})")
        else:
            wanted = [provider]
        self._name = entry.name
        self._session = self._open(onnxruntime, entry, data, threads, wanted, provider == "auto")
        self.provider: str = self._session.get_providers()[0]
        log.debug("network %s runs on %s, %d thread(s)", entry.name, self.provider, threads)
        self.inputs: Mapping[str, Shape] = {node.name: _shape(node.shape) for node in self._session.get_inputs()}
        self.outputs: Mapping[str, Shape] = {node.name: _shape(node.shape) for node in self._session.get_outputs()}
        _agree(entry, "inputs", entry.inputs, self.inputs)
        _agree(entry, "outputs", entry.outputs, self.outputs)
        self._output_names = list(self.outputs)

    @staticmethod
    def _open(
        onnxruntime: Any, entry: NetworkEntry, data: bytes, threads: int, wanted: list[str], may_step_down: bool
    ) -> Any:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # Several sessions share few cores: a pool that spins while it waits takes the core its neighbour needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        failures = []
        for name in wanted:
            chain = [PROVIDERS[name]] if name == "cpu" else [PROVIDERS[name], PROVIDERS["cpu"]]
            try:
                session = onnxruntime.InferenceSession(data, options, providers=chain)
            except Exception as error:  # ONNX Runtime raises a family of its own, some of them plain Exception
                failures.append(f"{name}: {_one_line(error)}")
                continue
            if session.get_providers()[0] == PROVIDERS[name]:
                if failures:
                    log.warning("network %s runs on %s because %s", entry.name, name, "; ".join(failures))
                return session
            failures.append(f"{name}: not usable on this machine")
            if not may_step_down:
                break
        raise ModelError(f"network {entry.name} ({entry.file}) cannot be loaded: {'; '.join(failures)}")

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Outputs by name. Inputs the network does not have are ignored. Raises ModelError."""
        try:
            feed = {name: inputs[name] for name in self.inputs}
        except KeyError as error:
            raise ModelError(f"network {self._name}: input {error.args[0]!r} was not given") from None
        try:
            values = self._session.run(self._output_names, feed)
        except Exception as error:
            raise ModelError(f"network {self._name}: {_one_line(error)}") from error
        return dict(zip(self._output_names, values, strict=True))


def _shape(sizes: list[int | str | None]) -> Shape:
    return tuple(size if isinstance(size, int) else None for size in sizes)


def _agree(entry: NetworkEntry, what: str, said: Mapping[str, Shape], found: Mapping[str, Shape]) -> None:
    # A name that the manifest has and the file has not, or a fixed size that differs: the caller would feed it wrongly.
    if set(said) != set(found) or any(
        len(said[name]) != len(found[name])
        or any(a != b for a, b in zip(said[name], found[name], strict=True) if a is not None and b is not None)
        for name in said
    ):
        raise ModelError(
            f"network {entry.name}: {what} of {entry.file.name} are {_text(found)}, the manifest says {_text(said)}; "
            "install networks and manifest of one release"
        )


def _text(shapes: Mapping[str, Shape]) -> str:
    return ", ".join(
        f"{name}[{','.join('N' if size is None else str(size) for size in shape)}]" for name, shape in shapes.items()
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
