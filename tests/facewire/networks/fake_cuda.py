"""A CUDA driver of our own: cuda-python's functions as this project calls them, on this machine's memory.

Every function returns a tuple that begins with its error, as cuda.bindings.driver's do (cuda-python's overview, "Error
handling"). Device memory is ordinary memory, so what is copied and computed can be looked at. Work happens when it is
queued; what only a queue would bring to light (a copy before its event) is checked instead of acted out.
"""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable
from typing import Any


class CUresult(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900


class CUstreamCaptureMode(enum.Enum):
    CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1


class FakeCuda:
    """`calls` counts the functions called; `room` is how many bytes there are; `capturable`: graphs work."""

    CUstreamCaptureMode = CUstreamCaptureMode

    def __init__(self, room: int = 1 << 30, capturable: bool = True) -> None:
        self.calls: dict[str, int] = {}
        self.room, self.capturable = room, capturable
        self.memory: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self.capturing: list[Callable[[], object]] | None = None
        self._handle = 100

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cu"):
            raise AttributeError(name)
        function = getattr(type(self), f"_{name}")

        def called(*arguments: Any) -> tuple[Any, ...]:
            self.calls[name] = self.calls.get(name, 0) + 1
            result = function(self, *arguments)
            if isinstance(result, CUresult):
                return (result,)
            values = () if result is None else result if isinstance(result, tuple) else (result,)
            return (CUresult.CUDA_SUCCESS, *values)

        return called

    def queue(self, work: Callable[[], object]) -> None:
        """Do it, or note it for the graph that is being captured."""
        if self.capturing is None:
            work()
        else:
            self.capturing.append(work)

    def used(self) -> int:
        """Bytes that are allocated."""
        return sum(len(block) for block in self.memory.values())

    def _new(self) -> int:
        self._handle += 1
        return self._handle

    def _cuInit(self, flags: int) -> None:
        assert flags == 0

    def _cuDeviceGet(self, ordinal: int) -> int:
        return ordinal

    def _cuDevicePrimaryCtxRetain(self, device: int) -> int:
        return self._new()

    def _cuCtxSetCurrent(self, context: int) -> None: ...

    def _cuStreamCreate(self, flags: int) -> int:
        return self._new()

    def _cuStreamSynchronize(self, stream: int) -> None: ...

    def _cuStreamWaitEvent(self, stream: int, event: int, flags: int) -> None:
        assert flags == 0

    def _cuEventCreate(self, flags: int) -> int:
        return self._new()

    def _cuEventRecord(self, event: int, stream: int) -> None: ...

    def _cuEventDestroy(self, event: int) -> None: ...

    def _cuMemAlloc(self, size: int) -> Any:
        if self.used() + size > self.room:
            return CUresult.CUDA_ERROR_OUT_OF_MEMORY
        block = ctypes.create_string_buffer(size)
        self.memory[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def _cuMemFree(self, address: int) -> None:
        del self.memory[address]

    def _cuMemGetInfo(self) -> tuple[int, int]:
        return self.room - self.used(), self.room

    def _cuMemcpyHtoDAsync(self, there: int, here: int, size: int, stream: int) -> None:
        assert size <= len(self.memory[there])
        ctypes.memmove(there, here, size)

    def _cuMemcpyDtoHAsync(self, here: int, there: int, size: int, stream: int) -> None:
        self._inside(there, size)
        ctypes.memmove(here, there, size)

    def _cuMemcpyDtoDAsync(self, to: int, source: int, size: int, stream: int) -> None:
        self._inside(to, size)
        self._inside(source, size)
        self.queue(lambda: ctypes.memmove(to, source, size))

    def _inside(self, address: int, size: int) -> None:
        assert any(start <= address and address + size <= start + len(block) for start, block in self.memory.items())

    def _cuStreamBeginCapture(self, stream: int, mode: Any) -> Any:
        assert mode is CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        if not self.capturable:
            return CUresult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
        self.capturing = []
        return None

    def _cuStreamEndCapture(self, stream: int) -> Any:
        graph, self.capturing = self.capturing, None
        return (graph,)

    def _cuGraphInstantiate(self, graph: Any, flags: int) -> Any:
        assert flags == 0
        return (list(graph),)

    def _cuGraphLaunch(self, graph: Any, stream: int) -> None:
        for work in graph:
            work()

    def _cuGraphDestroy(self, graph: Any) -> None: ...

    def _cuGraphExecDestroy(self, graph: Any) -> None: ...
