"""A network ready to run. Everything above this file sees names, shapes and arrays, and no runtime.

Arrays are NumPy's, or stay on the device that made them until somebody asks for them (`host`). What one session left
on a device, another session of the same set takes as input without a copy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facewire.errors import ModelError
from facewire.networks.manifest import NetworkEntry, Shape

Arrays = Mapping[str, NDArray[Any]]


class DeviceArray(ABC):
    """An array in a device's memory, C-contiguous, never written to once it was handed out.

    It stands where an NDArray is expected and comes to this process's memory when NumPy, an index or `host` asks.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @abstractmethod
    def download(self) -> NDArray[Any]:
        """A copy in this process's memory; waits until the device has made it. Raises ModelError."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        found = self.download()
        return found if dtype is None else found.astype(dtype)

    def __getitem__(self, place: Any) -> Any:
        return self.download()[place]


class Session(Protocol):
    """A network that can be run. Arrays are C-contiguous float32 of the shapes given (None: any size)."""

    @property
    def inputs(self) -> Mapping[str, Shape]: ...

    @property
    def outputs(self) -> Mapping[str, Shape]: ...

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Outputs by name; inputs that the network does not have are ignored. On a GPU they are DeviceArrays, which
        another session of the same set takes as they are. NumPy inputs that are marked read-only are uploaded once,
        however often they come. Raises ModelError."""
        ...


def host(array: NDArray[Any]) -> NDArray[Any]:
    """The array in this process's memory; itself where it is there already."""
    return array if isinstance(array, np.ndarray) else np.asarray(array)


def feed_of(name: str, wanted: Mapping[str, Shape], inputs: Arrays) -> dict[str, NDArray[Any]]:
    """The inputs that a network has, of those given. Raises ModelError for one that is missing or of another shape."""
    feed: dict[str, NDArray[Any]] = {}
    for key, shape in wanted.items():
        if key not in inputs:
            raise ModelError(f"network {name}: input {key!r} was not given")
        value = feed[key] = inputs[key]
        fits = len(value.shape) == len(shape) and all(
            size is None or size == found for size, found in zip(shape, value.shape, strict=True)
        )
        if not fits:
            raise ModelError(f"network {name}: {key} is {list(value.shape)}, the network takes {text({key: shape})}")
    return feed


def agree(entry: NetworkEntry, what: str, said: Mapping[str, Shape], found: Mapping[str, Shape]) -> None:
    """Raises ModelError where a file has other inputs or outputs than the manifest says."""
    # A name that the manifest has and the file has not, or a fixed size that differs: the caller would feed it wrongly.
    if set(said) != set(found) or any(
        len(said[name]) != len(shape)
        or any(a is not None and b is not None and a != b for a, b in zip(said[name], shape, strict=True))
        for name, shape in found.items()
    ):
        raise ModelError(
            f"network {entry.name}: {what} of {entry.file.name} are {text(found)}, the manifest says {text(said)}; "
            "install networks and manifest of one release"
        )


def text(shapes: Mapping[str, Shape]) -> str:
    """Shapes as a message shows them: picture[1,3,256,256]."""
    return ", ".join(
        f"{name}[{','.join('N' if size is None else str(size) for size in shape)}]" for name, shape in shapes.items()
    )


def one_line(error: BaseException) -> str:
    """What a library said, short enough for one line."""
    return " ".join(str(error).split())[:300]
