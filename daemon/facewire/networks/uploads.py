"""Which arrays are on a device already."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any

from numpy.typing import NDArray

UPLOADS = 16
"""Read-only arrays whose copies on the device are kept: a few scenes of a pivot's own inputs."""


class Uploads:
    """Copies on a device of arrays that nobody writes to, for as long as those live. Bounded; drops the oldest."""

    def __init__(self, limit: int = UPLOADS) -> None:
        self._kept: OrderedDict[int, tuple[weakref.ref[NDArray[Any]], Any]] = OrderedDict()
        self._limit = limit

    def get(self, array: NDArray[Any]) -> Any | None:
        """The copy of a read-only array that was put before; None otherwise."""
        found = self._kept.get(id(array))
        if found is None or found[0]() is not array:
            return None
        self._kept.move_to_end(id(array))
        return found[1]

    def put(self, array: NDArray[Any], copy: Any) -> None:
        """Remember the copy, if the array is read-only."""
        if array.flags.writeable:
            return
        self._kept[id(array)] = (weakref.ref(array), copy)
        self._kept.move_to_end(id(array))
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)
