"""CUDA's driver as this project needs it: memory that is used again, one stream of work, copies home beside it.

All networks queue their work on one stream, so what one makes is ready for the next without waiting. A picture comes
home on a stream of the asking thread, as soon as the work before it is done, while the next one is computed.

cuda-python and not pycuda: it has wheels for x86-64 and aarch64, pycuda is built from source on every machine.
"""

from __future__ import annotations

import contextlib
import heapq
import threading
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.errors import MissingDependency, ModelError
from facewire.networks.session import DeviceArray

POOL_BYTES = 512 << 20
"""Freed memory that is kept for the next array; beyond that it goes back to CUDA."""


def load_driver() -> Any:
    """cuda-python's driver module. Raises MissingDependency."""
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise MissingDependency("cuda-python is not installed; pip install 'facewire[gpu]'") from error
    return driver


class Cuda:
    """The first GPU's primary context. Any thread may use it. Raises ModelError for what CUDA refuses."""

    def __init__(self, driver: Any = None) -> None:
        self.driver = load_driver() if driver is None else driver
        self.lock = threading.RLock()
        """Held while work is put on the stream."""
        self._pool: dict[int, list[int]] = {}
        self._pooled = 0
        self._mine = threading.local()
        self.call("cuInit", 0)
        device = self.call("cuDeviceGet", 0)
        self._context = self.call("cuDevicePrimaryCtxRetain", device)
        self.enter()
        self.stream = self.call("cuStreamCreate", 1)  # CU_STREAM_NON_BLOCKING

    def call(self, name: str, *arguments: Any) -> Any:
        """A driver function's value (None, one, or a tuple); its error as a ModelError."""
        try:
            code, *values = getattr(self.driver, name)(*arguments)
        except RuntimeError as error:
            raise ModelError(f"CUDA: {name}: {' '.join(str(error).split())}") from error
        if int(code) != 0:
            raise ModelError(f"CUDA: {name} failed with {getattr(code, 'name', code)}")
        return values[0] if len(values) == 1 else tuple(values) or None

    def enter(self) -> None:
        """Make the context this thread's."""
        if not getattr(self._mine, "entered", False):
            self.call("cuCtxSetCurrent", self._context)
            self._mine.entered = True

    def empty(self, shape: tuple[int, ...], dtype: Any = np.float32) -> CudaArray:
        """Memory for an array; what is in it is undefined."""
        size = _rounded(prod(shape) * np.dtype(dtype).itemsize)
        with self.lock:
            self.enter()
            free = self._pool.get(size)
            if free:
                self._pooled -= size
                # The lowest first: the same few places come again and again, and CUDA graphs are for places.
                return CudaArray(self, heapq.heappop(free), size, shape, dtype)
            try:
                address = int(self.call("cuMemAlloc", size))
            except ModelError:
                self._give_back()
                address = int(self.call("cuMemAlloc", size))
        return CudaArray(self, address, size, shape, dtype)

    def release(self, address: int, size: int) -> None:
        """Memory that nobody needs any more. Work that is queued still may use it: what is queued later comes later."""
        with self.lock:
            if self._pooled + size > POOL_BYTES:
                self._give_back()
            heapq.heappush(self._pool.setdefault(size, []), address)
            self._pooled += size

    def _give_back(self) -> None:
        self.call("cuStreamSynchronize", self.stream)
        for addresses in self._pool.values():
            while addresses:
                self.call("cuMemFree", addresses.pop())
        self._pooled = 0

    def upload(self, array: NDArray[Any]) -> CudaArray:
        """A copy in the GPU's memory."""
        array = np.ascontiguousarray(array)
        with self.lock:
            there = self.empty(array.shape, array.dtype)
            # Memory that is not pinned: CUDA has taken a copy of it when this returns.
            self.call("cuMemcpyHtoDAsync", there.address, array.ctypes.data, array.nbytes, self.stream)
            there.event = Event(self)
        return there

    def join(self, arrays: list[CudaArray]) -> CudaArray:
        """Arrays one after the other along their first axis, in the order of the work."""
        first = arrays[0]
        with self.lock:
            joined = self.empty((sum(array.shape[0] for array in arrays), *first.shape[1:]), first.dtype)
            place = joined.address
            for array in arrays:
                self.call("cuMemcpyDtoDAsync", place, array.address, array.nbytes, self.stream)
                place += array.nbytes
            joined.event = Event(self)
        return joined

    def download(self, array: CudaArray) -> NDArray[Any]:
        """A copy in this process's memory, made as soon as what the array is computed from is done."""
        self.enter()
        if not hasattr(self._mine, "stream"):
            self._mine.stream = self.call("cuStreamCreate", 1)
        home: NDArray[Any] = np.empty(array.shape, array.dtype)
        if array.event is not None:
            self.call("cuStreamWaitEvent", self._mine.stream, array.event.handle, 0)
        self.call("cuMemcpyDtoHAsync", home.ctypes.data, array.address, array.nbytes, self._mine.stream)
        self.call("cuStreamSynchronize", self._mine.stream)
        return home

    @contextlib.contextmanager
    def captured(self, keep: Callable[[Any], None]) -> Iterator[None]:
        """What is queued inside becomes a graph that can be launched, given to `keep`; nothing of it runs yet."""
        mode = self.driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self.call("cuStreamBeginCapture", self.stream, mode)
        try:
            yield
        except BaseException:
            with contextlib.suppress(ModelError):
                self.call("cuGraphDestroy", self.call("cuStreamEndCapture", self.stream))
            raise
        graph = self.call("cuStreamEndCapture", self.stream)
        keep(self.call("cuGraphInstantiate", graph, 0))
        self.call("cuGraphDestroy", graph)

    def memory(self) -> tuple[int, int]:
        """(free, total) bytes of the GPU."""
        self.enter()
        free, total = self.call("cuMemGetInfo")
        return int(free), int(total)


class Event:
    """Has happened when all that was queued on the stream before it is done."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self.handle = cuda.call("cuEventCreate", 2)  # CU_EVENT_DISABLE_TIMING
        cuda.call("cuEventRecord", self.handle, cuda.stream)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # the interpreter may be going down
            self._cuda.call("cuEventDestroy", self.handle)


class CudaArray(DeviceArray):
    """An array in the GPU's memory, which goes back to the pool with it."""

    def __init__(self, cuda: Cuda, address: int, size: int, shape: tuple[int, ...], dtype: Any) -> None:
        self.address, self.shape, self.dtype = address, tuple(shape), np.dtype(dtype)
        self.nbytes = prod(self.shape) * self.dtype.itemsize
        self.event: Event | None = None
        """What computes this array is done then."""
        self._cuda, self._size = cuda, size

    def download(self) -> NDArray[Any]:
        """A copy in this process's memory."""
        return self._cuda.download(self)

    def parts(self, counts: list[int]) -> list[CudaPart]:
        """The array cut along its first axis into pieces of so many; all share its memory."""
        found, start, each = [], 0, self.nbytes // self.shape[0]
        for count in counts:
            found.append(CudaPart(self, start * each, (count, *self.shape[1:])))
            start += count
        return found

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self._cuda.release(self.address, self._size)


class CudaPart(CudaArray):
    """A piece of an array, which it keeps alive."""

    def __init__(self, whole: CudaArray, offset: int, shape: tuple[int, ...]) -> None:
        super().__init__(whole._cuda, whole.address + offset, 0, shape, whole.dtype)
        self.event, self._whole = whole.event, whole

    def __del__(self) -> None:
        """Its memory is the whole's."""


def _rounded(size: int) -> int:
    """Sizes by 512 bytes, so that few different ones are pooled."""
    return max(512, -(-size // 512) * 512)
