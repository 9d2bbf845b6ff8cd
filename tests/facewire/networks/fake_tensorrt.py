"""TensorRT 8.6, 10 and 11, played: an engine is its ONNX file, and ONNX Runtime computes it.

What members each version has was read off the vendor's own Python modules (8.6.0, 10.13.0, 11.4.0) into
tensorrt_api.json; an object here has no member that the real one of that version lacks.
"""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

API = json.loads(Path(__file__).with_name("tensorrt_api.json").read_text("utf-8"))
VERSIONS = tuple(API)
ENUMERATIONS = (
    "BuilderFlag", "NetworkDefinitionCreationFlag", "DataType", "TensorIOMode", "MemoryPoolType", "LayerType",
)  # fmt: skip
MAGIC = b"engine of "


class Guarded:
    """Lets through only the members that the real class of this version has."""

    def __init__(self, inner: Any, members: list[str]) -> None:
        object.__setattr__(self, "_inner", inner)
        object.__setattr__(self, "_members", members)

    def __getattr__(self, name: str) -> Any:
        if name not in self._members:
            raise AttributeError(f"{type(self._inner).__name__} of this TensorRT has no {name}")
        return getattr(self._inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._members:
            raise AttributeError(f"{type(self._inner).__name__} of this TensorRT has no {name}")
        setattr(self._inner, name, value)


class Flag(int):
    """A member of a pybind enumeration."""

    name: str

    def __new__(cls, value: int, name: str) -> Flag:
        flag = super().__new__(cls, value)
        flag.name = name
        return flag


class FakeTensorrt:
    """The module. `built` counts builds; `refuse` is what the parser or the builder complains of."""

    DataType: Any
    TensorIOMode: Any
    NetworkDefinitionCreationFlag: Any
    LayerType: Any

    def __init__(self, version: str, cuda: Any = None, refuse: str = "") -> None:
        self.__version__ = version
        self.cuda, self.refuse = cuda, refuse
        self.built: list[dict[str, Any]] = []
        self._api = API[version]
        for name in ENUMERATIONS:
            members = [m for m in self._api[name] if m not in ("name", "value")]
            setattr(self, name, SimpleNamespace(**{m: Flag(i, m) for i, m in enumerate(members)}))

        class Logging:
            ERROR, INTERNAL_ERROR, WARNING = 1, 0, 2

            def __init__(self) -> None: ...

        self.ILogger = Logging
        if self._api["IProgressMonitor"] is not None:
            self.IProgressMonitor = type("IProgressMonitor", (), {"__init__": lambda self: None})

    def guarded(self, kind: str, inner: Any) -> Any:
        return Guarded(inner, self._api[kind])

    def Builder(self, logger: Any) -> Any:
        return self.guarded("Builder", Builder(self, logger))

    def OnnxParser(self, network: Any, logger: Any) -> Any:
        return self.guarded("OnnxParser", Parser(self, network._inner))

    def Runtime(self, logger: Any) -> Any:
        return self.guarded("Runtime", Runtime(self, logger))


class Builder:
    def __init__(self, trt: FakeTensorrt, logger: Any) -> None:
        self.trt, self.logger = trt, logger

    def create_network(self, flags: int) -> Any:
        kinds = self.trt.NetworkDefinitionCreationFlag
        wanted = "STRONGLY_TYPED" if hasattr(kinds, "STRONGLY_TYPED") else "EXPLICIT_BATCH"
        assert flags == 1 << int(getattr(kinds, wanted))
        return self.trt.guarded("INetworkDefinition", Network(self.trt))

    def create_builder_config(self) -> Any:
        return self.trt.guarded("IBuilderConfig", Config(self.trt))

    def create_optimization_profile(self) -> Any:
        return self.trt.guarded("IOptimizationProfile", Profile())

    def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
        inner, made = network._inner, config._inner
        if self.trt.refuse == "build":
            self.logger.log(self.trt.ILogger.ERROR, "no tactic\nwas found")
            return None
        if any(-1 in tensor.shape for tensor in inner.tensors):
            assert made.profiles, "a network with free sizes needs a profile"
        monitor = getattr(made, "progress_monitor", None)
        if monitor is not None:
            monitor.phase_start("Building Engine", None, 2)
            for step in range(2):
                assert monitor.step_complete("Building Engine", step) is True
            monitor.phase_finish("Building Engine")
        self.trt.built.append({
            "flags": made.flags, "profiles": made.profiles, "timing": made.cache.data, "layers": inner.layers,
        })  # fmt: skip
        made.cache.data += b"+"
        plan: bytes = MAGIC + self.trt.__version__.encode() + b"\n" + inner.data
        return plan


class Network:
    def __init__(self, trt: FakeTensorrt) -> None:
        self.trt, self.data = trt, b""
        self.tensors: list[Any] = []
        kinds = trt.DataType
        self.layers = [Layer(trt.LayerType.CONSTANT, kinds.FLOAT), Layer(trt.LayerType.CONVOLUTION, kinds.HALF),
                       Layer(trt.LayerType.GRID_SAMPLE, kinds.FLOAT)]  # fmt: skip

    @property
    def num_inputs(self) -> int:
        return len(self.tensors)

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def get_input(self, index: int) -> Any:
        return self.trt.guarded("ITensor", self.tensors[index])

    def get_layer(self, index: int) -> Any:
        return self.trt.guarded("ILayer", self.layers[index])


class Layer:
    def __init__(self, kind: Any, output: Any) -> None:
        self.type, self._output, self.num_outputs, self.precision = kind, output, 1, None

    def get_output_type(self, index: int) -> Any:
        assert index == 0
        return self._output


class Parser:
    def __init__(self, trt: FakeTensorrt, network: Network) -> None:
        self.trt, self.network, self.num_errors = trt, network, 0

    def parse(self, data: bytes) -> bool:
        import onnx

        if self.trt.refuse == "parse":
            self.num_errors = 1
            return False
        self.network.data = bytes(data)
        for value in onnx.load_from_string(data).graph.input:
            shape = tuple(d.dim_value or -1 for d in value.type.tensor_type.shape.dim)
            self.network.tensors.append(SimpleNamespace(name=value.name, shape=shape))
        return True

    def get_error(self, index: int) -> Any:
        return self.trt.guarded("ParserError", SimpleNamespace(desc=lambda: "no importer registered for op: Abacus"))


class Config:
    def __init__(self, trt: FakeTensorrt) -> None:
        self.trt = trt
        self.flags: set[str] = {"TF32"}
        self.profiles: list[dict[str, Any]] = []
        self.cache: Any = None
        self.pools: dict[str, int] = {}
        self.progress_monitor: Any = None

    def set_flag(self, flag: Flag) -> None:
        self.flags.add(flag.name)

    def clear_flag(self, flag: Flag) -> None:
        self.flags.discard(flag.name)

    def set_memory_pool_limit(self, pool: Flag, size: int) -> None:
        self.pools[pool.name] = size

    def add_optimization_profile(self, profile: Any) -> int:
        self.profiles.append(profile._inner.shapes)
        return len(self.profiles) - 1

    def create_timing_cache(self, data: bytes) -> Any:
        return SimpleNamespace(data=bytes(data))

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if cache.data.startswith(b"foreign"):
            return False
        self.cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return self.trt.guarded("ITimingCache", SimpleNamespace(serialize=lambda: self.cache.data))


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, Any] = {}

    def set_shape(self, name: str, least: tuple[int, ...], best: tuple[int, ...], most: tuple[int, ...]) -> None:
        self.shapes[name] = (tuple(least), tuple(best), tuple(most))


class Runtime:
    def __init__(self, trt: FakeTensorrt, logger: Any) -> None:
        self.trt, self.logger = trt, logger

    def deserialize_cuda_engine(self, plan: bytes) -> Any:
        head, _, data = plan.partition(b"\n")
        if head != MAGIC + self.trt.__version__.encode():
            self.logger.log(self.trt.ILogger.ERROR, "magic tag does not match")
            return None
        return self.trt.guarded("ICudaEngine", Engine(self.trt, data))


class Engine:
    def __init__(self, trt: FakeTensorrt, data: bytes) -> None:
        import onnx
        import onnxruntime

        self.trt = trt
        graph = onnx.load_from_string(data).graph
        self.session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        self.tensors = {v.name: (trt.TensorIOMode.INPUT, v) for v in graph.input}
        self.tensors |= {v.name: (trt.TensorIOMode.OUTPUT, v) for v in graph.output}

    @property
    def num_io_tensors(self) -> int:
        return len(self.tensors)

    def get_tensor_name(self, index: int) -> str:
        return str(list(self.tensors)[index])

    def get_tensor_mode(self, name: str) -> Any:
        return self.tensors[name][0]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(d.dim_value or -1 for d in self.tensors[name][1].type.tensor_type.shape.dim)

    def get_tensor_dtype(self, name: str) -> Any:
        number = self.tensors[name][1].type.tensor_type.elem_type
        return {1: self.trt.DataType.FLOAT, 2: self.trt.DataType.UINT8}[number]

    def create_execution_context(self) -> Any:
        return self.trt.guarded("IExecutionContext", Context(self))


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        fixed = self.engine.get_tensor_shape(name)
        if any(size not in (-1, given) for size, given in zip(fixed, shape, strict=True)):
            return False
        self.shapes[name] = tuple(shape)
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name in self.shapes:
            return self.shapes[name]
        batch = next(iter(self.shapes.values()))[0]
        return tuple(batch if size == -1 else size for size in self.engine.get_tensor_shape(name))

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        places = dict(self.addresses)
        shapes = {name: self.get_tensor_shape(name) for name in self.engine.tensors}

        def array(name: str) -> Any:
            real = self.engine.get_tensor_dtype(name) == self.engine.trt.DataType.FLOAT
            count = int(np.prod(shapes[name]))
            self.engine.trt.cuda._inside(places[name], count * (4 if real else 1))
            kind: Any = ctypes.c_float if real else ctypes.c_uint8
            block = (kind * count).from_address(places[name])
            return np.ctypeslib.as_array(block).reshape(shapes[name])

        def work() -> None:
            names = [n for n in places if self.engine.get_tensor_mode(n) == self.engine.trt.TensorIOMode.OUTPUT]
            feed = {n: array(n) for n in places if n not in names}
            for name, value in zip(names, self.engine.session.run(names, feed), strict=True):
                array(name)[...] = value

        self.engine.trt.cuda.queue(work)
        return True
