"""What CUDA says about this machine, asked of the driver itself: it takes no library to learn that there is no GPU.

TensorRT must not be touched before the driver has answered: without one its Builder returns a null pointer and its
Runtime (8.6) takes the process down.
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from typing import Any

from facewire.errors import ModelError

LIBRARY = "libcuda.so.1"


@dataclass(frozen=True)
class Gpu:
    """The first CUDA device. `capability` as (major, minor), memory in MiB, the driver's CUDA version as 12.4."""

    name: str
    capability: tuple[int, int]
    memory_mb: int
    cuda: str

    def __str__(self) -> str:
        return f"{self.name}, compute {self.capability[0]}.{self.capability[1]}, {self.memory_mb} MiB, CUDA {self.cuda}"


def ask(library: Any) -> Gpu:
    """The first device, by the CUDA driver API (cuInit, cuDeviceGet, ...). Raises ModelError with the driver's code."""

    def call(function: str, *arguments: Any) -> None:
        code = getattr(library, function)(*arguments)
        if code != 0:
            raise ModelError(f"the CUDA driver refuses: {function} gives error {code}; is a GPU there, may it be used?")

    call("cuInit", ctypes.c_uint(0))
    count, device = ctypes.c_int(), ctypes.c_int()
    call("cuDeviceGetCount", ctypes.byref(count))
    if count.value < 1:
        raise ModelError("the CUDA driver is here, but it sees no GPU")
    call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
    name = ctypes.create_string_buffer(256)
    call("cuDeviceGetName", name, ctypes.c_int(len(name)), device)
    numbers = []
    for attribute in (75, 76):  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
        number = ctypes.c_int()
        call("cuDeviceGetAttribute", ctypes.byref(number), ctypes.c_int(attribute), device)
        numbers.append(number.value)
    memory, version = ctypes.c_size_t(), ctypes.c_int()
    call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    call("cuDriverGetVersion", ctypes.byref(version))
    cuda = f"{version.value // 1000}.{version.value % 1000 // 10}"
    return Gpu(name.value.decode("utf-8", "replace"), (numbers[0], numbers[1]), memory.value >> 20, cuda)


@functools.cache
def _driver() -> Any:
    return ctypes.CDLL(LIBRARY)


def find() -> Gpu:
    """This machine's first GPU. Raises ModelError in one line where there is none that can be used."""
    try:
        library = _driver()
    except OSError:
        raise ModelError(f"no NVIDIA driver ({LIBRARY} is not installed)") from None
    return ask(library)
