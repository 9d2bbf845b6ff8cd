"""Networks on ONNX Runtime: its CPU, CUDA and TensorRT providers. On a GPU what a run made stays there."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from facewire.errors import MissingDependency, ModelError
from facewire.networks.choice import ORT_PROVIDERS
from facewire.networks.manifest import NetworkEntry, Shape
from facewire.networks.session import Arrays, DeviceArray, agree, feed_of, host, one_line
from facewire.networks.uploads import Uploads

log = logging.getLogger(__name__)

class OrtArray(DeviceArray):
    """An OrtValue: an array where ONNX Runtime put it."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.shape = tuple(value.shape())
        self.dtype = np.dtype(np.uint8 if value.data_type() == "tensor(uint8)" else np.float32)

    def download(self) -> NDArray[Any]:
        """A copy in this process's memory."""
        try:
            return np.asarray(self.value.numpy())
        except Exception as error:
            raise ModelError(f"copying from the device failed: {one_line(error)}") from error


class OrtSession:
    """A network on ONNX Runtime.

    threads: cores that one run may use. provider: one of choice.ORT_PROVIDERS; ModelError if it cannot be had.
    resident: outputs stay on the device (default: on GPUs). cache: folder for the TensorRT provider's engines.
    batch: the most runs made together (`run_many`), where the network takes a free number of pictures and its arrays
    are in this process's memory: ONNX Runtime has no call that joins arrays on a device.
    """

    def __init__(
        self,
        entry: NetworkEntry,
        threads: int = 1,
        provider: str = "cpu",
        resident: bool | None = None,
        cache: Path | None = None,
        batch: int = 1,
    ) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependency("onnxruntime is not installed; pip install 'facewire[decoder]'") from error
        if provider not in ORT_PROVIDERS:
            raise ModelError(f"provider {provider!r}: must be one of {', '.join(ORT_PROVIDERS)}")
        available = onnxruntime.get_available_providers()
        if ORT_PROVIDERS[provider] not in available:
            raise ModelError(f"provider {provider!r} is not in this onnxruntime (it has: {', '.join(available)})")
        self._name, self._onnxruntime = entry.name, onnxruntime
        self._session = self._open(onnxruntime, entry, threads, provider, cache)
        self.provider: str = provider
        self.precision: str = entry.precision
        self._device = "cpu" if provider == "cpu" else "cuda"
        self._resident = provider != "cpu" if resident is None else resident
        self._uploads = Uploads()
        log.debug("network %s (%s) runs on %s, %d thread(s)", entry.name, entry.precision, provider, threads)
        self.inputs: Mapping[str, Shape] = {node.name: _shape(node.shape) for node in self._session.get_inputs()}
        self.outputs: Mapping[str, Shape] = {node.name: _shape(node.shape) for node in self._session.get_outputs()}
        agree(entry, "inputs", entry.inputs, self.inputs)
        agree(entry, "outputs", entry.outputs, self.outputs)
        self._output_names = list(self.outputs)
        joins = not self._resident and all(shape[0] is None for shape in self.inputs.values())
        self.most = batch if joins else 1

    @staticmethod
    def _open(onnxruntime: Any, entry: NetworkEntry, threads: int, provider: str, cache: Path | None) -> Any:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # Several sessions share few cores: a pool that spins while it waits takes the core its neighbour needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        chain: list[Any] = [ORT_PROVIDERS["cpu"]]
        if provider != "cpu":
            chain.insert(0, (ORT_PROVIDERS[provider], _provider_options(provider, cache)))
        try:
            session = onnxruntime.InferenceSession(entry.read(), options, providers=chain)
        except ModelError:
            raise
        except Exception as error:  # ONNX Runtime raises a family of its own, some of them plain Exception
            raise ModelError(f"network {entry.name} ({entry.file}) cannot be loaded: {one_line(error)}") from error
        if session.get_providers()[0] != ORT_PROVIDERS[provider]:
            raise ModelError(f"network {entry.name}: onnxruntime cannot use {provider} on this machine")
        return session

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """See Session.run."""
        feed = feed_of(self._name, self.inputs, inputs)
        try:
            if self._resident:
                return self._run_there(feed)
            values = self._session.run(self._output_names, {name: host(value) for name, value in feed.items()})
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(f"network {self._name}: {one_line(error)}") from error
        return dict(zip(self._output_names, values, strict=True))

    def run_many(self, requests: Sequence[Arrays]) -> list[dict[str, NDArray[np.float32]]]:
        """As run for each of at most `most` requests, of one picture each."""
        if len(requests) == 1:
            return [self.run(requests[0])]
        feeds = [feed_of(self._name, self.inputs, inputs) for inputs in requests]
        made = self.run({name: np.concatenate([host(feed[name]) for feed in feeds]) for name in self.inputs})
        ends = np.cumsum([len(next(iter(feed.values()))) for feed in feeds])[:-1]
        parts = {name: np.split(value, ends) for name, value in made.items()}
        return [{name: parts[name][index] for name in parts} for index in range(len(requests))]

    def _run_there(self, feed: Arrays) -> dict[str, NDArray[np.float32]]:
        binding = self._session.io_binding()
        for name, value in feed.items():
            binding.bind_ortvalue_input(name, self._there(value))
        for name in self._output_names:
            binding.bind_output(name, self._device)
        self._session.run_with_iobinding(binding)
        made = [cast(NDArray[np.float32], OrtArray(value)) for value in binding.get_outputs()]
        return dict(zip(self._output_names, made, strict=True))

    def _there(self, value: object) -> Any:
        if isinstance(value, OrtArray):
            return value.value
        array = host(cast(NDArray[Any], value))
        copy = self._uploads.get(array)
        if copy is None:
            copy = self._onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), self._device, 0)
            self._uploads.put(array, copy)
        return copy


def _provider_options(provider: str, cache: Path | None) -> dict[str, str]:
    """Options by ONNX Runtime's names. Precision is not among them: the file is explicitly typed."""
    if provider == "cuda":
        # TF32 has ten bits of mantissa: what the file keeps in fp32, keypoints and grids, needs more.
        return {"cudnn_conv_algo_search": "EXHAUSTIVE", "cudnn_conv_use_max_workspace": "1", "use_tf32": "0"}
    if cache is None:
        return {}
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(cache),
    }


def _shape(sizes: list[int | str | None]) -> Shape:
    return tuple(size if isinstance(size, int) else None for size in sizes)
