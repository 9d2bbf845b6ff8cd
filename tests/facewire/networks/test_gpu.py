"""The CUDA driver, played by an object with its functions (CUDA driver API reference)."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from facewire.errors import ModelError
from facewire.networks import gpu


class Driver:
    def __init__(self, devices: int = 1, broken: str = "", code: int = 100) -> None:
        self.devices, self.broken, self.code = devices, broken, code

    def __getattr__(self, name: str) -> Any:
        if name.startswith("cu"):
            return lambda *arguments: self.code if name == self.broken else self.answer(name, arguments)
        raise AttributeError(name)

    def answer(self, name: str, arguments: tuple[Any, ...]) -> int:
        def put(value: int) -> None:
            arguments[0]._obj.value = value

        if name == "cuDeviceGetCount":
            put(self.devices)
        elif name == "cuDeviceGetName":
            arguments[0].value = b"Orin"
        elif name == "cuDeviceGetAttribute":
            put({75: 8, 76: 7}[arguments[1].value])
        elif name == "cuDeviceTotalMem_v2":
            put(61 << 30)
        elif name == "cuDriverGetVersion":
            put(12060)
        return 0


def test_a_gpu_is_described() -> None:
    assert gpu.ask(Driver()) == gpu.Gpu("Orin", (8, 7), 61 << 10, "12.6")
    assert str(gpu.ask(Driver())) == "Orin, compute 8.7, 62464 MiB, CUDA 12.6"


def test_what_is_wrong_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="cuInit gives error 100"):
        gpu.ask(Driver(broken="cuInit"))
    with pytest.raises(ModelError, match="sees no GPU"):
        gpu.ask(Driver(devices=0))

    def none(_: str) -> Any:
        raise OSError("not found")

    monkeypatch.setattr(ctypes, "CDLL", none)
    gpu._driver.cache_clear()
    with pytest.raises(ModelError, match=r"no NVIDIA driver \(libcuda.so.1 is not installed\)"):
        gpu.find()
    gpu._driver.cache_clear()
