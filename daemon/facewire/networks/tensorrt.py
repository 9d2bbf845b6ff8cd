"""Networks on TensorRT itself. Arrays stay in the GPU's memory from one network to the next."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from facewire.errors import MissingDependency, ModelError
from facewire.networks import gpu
from facewire.networks.cuda import Cuda, CudaArray, Event
from facewire.networks.engines import Engines, Say, make_logger
from facewire.networks.manifest import NetworkEntry, Shape
from facewire.networks.session import Arrays, Session, agree, feed_of, host
from facewire.networks.uploads import Uploads

log = logging.getLogger(__name__)

GRAPHS = 8
"""CUDA graphs of one network that are kept, each for one set of addresses; the pool hands out the same few again."""


def load_tensorrt() -> Any:
    """The module tensorrt. Only after the driver has answered: see gpu. Raises ModelError, MissingDependency."""
    gpu.find()
    try:
        import tensorrt
    except (ImportError, OSError) as error:
        raise MissingDependency(f"tensorrt cannot be loaded ({' '.join(str(error).split())[:200]})") from error
    return tensorrt


class TensorrtSession:
    """A network as a TensorRT engine. Any thread may run it.

    batch: the most pictures of one run, where the network takes a free number. Raises ModelError.
    """

    provider = "tensorrt"

    def __init__(self, trt: Any, cuda: Cuda, engines: Engines, entry: NetworkEntry, batch: int = 1) -> None:
        self.precision = entry.precision
        self._trt, self._cuda, self._name = trt, cuda, entry.name
        self._logger = make_logger(trt)
        self._runtime = trt.Runtime(self._logger)
        cuda.enter()
        self._engine = self._deserialised(engines, entry, batch)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise ModelError(f"network {entry.name}: no room on the GPU: {self._logger.last}")
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        modes = {name: self._engine.get_tensor_mode(name) for name in names}
        shapes: dict[str, Shape] = {
            name: tuple(None if size < 0 else int(size) for size in self._engine.get_tensor_shape(name))
            for name in names
        }
        self.inputs: Mapping[str, Shape] = {n: shapes[n] for n in names if modes[n] == trt.TensorIOMode.INPUT}
        self.outputs: Mapping[str, Shape] = {n: shapes[n] for n in names if modes[n] == trt.TensorIOMode.OUTPUT}
        agree(entry, "inputs", entry.inputs, self.inputs)
        agree(entry, "outputs", entry.outputs, self.outputs)
        kinds = {trt.DataType.FLOAT: np.float32, trt.DataType.UINT8: np.uint8}
        self._kinds = {name: kinds[self._engine.get_tensor_dtype(name)] for name in self.outputs}
        self._uploads = Uploads()
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._graphs: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._captures = True
        self.most = batch if all(shape[0] is None for shape in self.inputs.values()) else 1

    def _deserialised(self, engines: Engines, entry: NetworkEntry, batch: int) -> Any:
        engine = self._runtime.deserialize_cuda_engine(engines.get(entry, batch))
        if engine is None:
            log.warning("network %s: its engine is damaged (%s); building it again", entry.name, self._logger.last)
            engines.drop(entry, batch)
            engine = self._runtime.deserialize_cuda_engine(engines.get(entry, batch))
        if engine is None:
            raise ModelError(f"network {entry.name}: TensorRT does not take its own engine: {self._logger.last}")
        return engine

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """See Session.run; returns as soon as the work is queued."""
        feed = feed_of(self._name, self.inputs, inputs)
        with self._cuda.lock:
            self._cuda.enter()
            there = {name: self._there(value) for name, value in feed.items()}
            self._shape({name: array.shape for name, array in there.items()})
            made = {
                name: self._cuda.empty(tuple(self._context.get_tensor_shape(name)), kind)
                for name, kind in self._kinds.items()
            }
            addresses = {name: array.address for name, array in (*there.items(), *made.items())}
            self._launch(addresses)
            event = Event(self._cuda)
            for array in made.values():
                array.event = event
        return {name: cast(NDArray[np.float32], array) for name, array in made.items()}

    def run_many(self, requests: Sequence[Arrays]) -> list[dict[str, NDArray[np.float32]]]:
        """As run for each of at most `most` requests; inputs are put side by side on the GPU, outputs are parts of one
        array."""
        if len(requests) == 1:
            return [self.run(requests[0])]
        feeds = [feed_of(self._name, self.inputs, inputs) for inputs in requests]
        with self._cuda.lock:
            self._cuda.enter()
            joined = {name: self._cuda.join([self._there(feed[name]) for feed in feeds]) for name in self.inputs}
            made = self.run(cast(Arrays, joined))
        counts = [len_of(feed) for feed in feeds]
        parts = {name: cast(CudaArray, value).parts(counts) for name, value in made.items()}
        return [
            {name: cast(NDArray[np.float32], parts[name][index]) for name in parts} for index in range(len(requests))
        ]

    def _there(self, value: object) -> CudaArray:
        if isinstance(value, CudaArray):
            return value
        array = host(cast(NDArray[Any], value))
        found: CudaArray | None = self._uploads.get(array)
        if found is None:
            found = self._cuda.upload(np.asarray(array, np.float32))
            self._uploads.put(array, found)
        return found

    def _shape(self, shapes: dict[str, tuple[int, ...]]) -> None:
        for name, shape in shapes.items():
            if self._shapes.get(name) != shape:
                if not self._context.set_input_shape(name, shape):
                    raise ModelError(f"network {self._name}: the engine does not take {name} as {list(shape)}")
                self._forget_graphs()  # they have their shapes built in
        self._shapes = shapes

    def _launch(self, addresses: dict[str, int]) -> None:
        key = tuple(addresses.values())
        graph = self._graphs.get(key)
        if graph is not None:
            self._graphs.move_to_end(key)
            self._cuda.call("cuGraphLaunch", graph, self._cuda.stream)
            return
        for name, address in addresses.items():
            self._context.set_tensor_address(name, address)
        if self._captures and key in self._graphs:
            self._capture(key)
            return
        self._enqueue()
        # The first run of a shape allocates and may not be captured; a place that comes again is worth a graph.
        self._graphs[key] = None
        while len(self._graphs) > GRAPHS:
            self._destroy(self._graphs.popitem(last=False)[1])

    def _capture(self, key: tuple[int, ...]) -> None:
        def keep(graph: Any) -> None:
            self._graphs[key] = graph

        try:
            with self._cuda.captured(keep):
                self._enqueue()
            self._cuda.call("cuGraphLaunch", self._graphs[key], self._cuda.stream)
        except ModelError as error:
            log.info("network %s: no CUDA graph (%s); its layers are launched one by one", self._name, error)
            self._captures = False
            self._forget_graphs()
            self._enqueue()

    def _forget_graphs(self) -> None:
        while self._graphs:
            self._destroy(self._graphs.popitem()[1])

    def _destroy(self, graph: Any) -> None:
        if graph is not None:
            self._cuda.call("cuGraphExecDestroy", graph)

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(int(self._cuda.stream)):
            raise ModelError(f"network {self._name}: TensorRT could not run it: {self._logger.last}")


def len_of(feed: Arrays) -> int:
    """Pictures in a request."""
    return int(next(iter(feed.values())).shape[0])


def open_tensorrt(entries: Sequence[NetworkEntry], batch: int = 1, say: Say = log.info) -> dict[str, Session]:
    """Networks as engines on this machine's GPU; what is missing is built. Raises ModelError, MissingDependency."""
    trt = load_tensorrt()
    engines = Engines(trt, gpu.find(), say=say)
    missing = engines.missing(list(entries), batch)
    if missing:
        say(f"{len(missing)} of {len(entries)} engines have to be built for this machine, in {engines.folder}")
    cuda = Cuda()
    return {entry.name: TensorrtSession(trt, cuda, engines, entry, batch) for entry in entries}
