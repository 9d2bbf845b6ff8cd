"""Loads MediaPipe's ready-made networks (0.10.18: the newest on both architectures with its models inside)."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np

from facewire.errors import MissingDependency
from facewire.logs import quiet_libraries
from facewire.types import Picture


class Solution:
    """One of `mediapipe.solutions`, loaded without chatter."""

    def __init__(self, package: str, name: str, **settings: Any) -> None:
        """For example Solution("face_mesh", "FaceMesh", max_num_faces=1)."""
        with quiet_libraries():
            solutions = _solutions()
            self._graph = getattr(getattr(solutions, package), name)(**settings)
            # The first run loads the rest of the network, and says so.
            self._graph.process(np.zeros((64, 64, 3), np.uint8))
        self._spoken = False

    def process(self, picture: Picture) -> Any:
        """Run the network on an RGB picture."""
        if self._spoken:
            return self._graph.process(np.ascontiguousarray(picture))
        # The first face brings in the networks behind the detector.
        with quiet_libraries():
            result = self._graph.process(np.ascontiguousarray(picture))
        self._spoken = True
        return result

    def close(self) -> None:
        """Free the network's memory."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None


def _solutions() -> Any:
    # MediaPipe's drawing helpers import matplotlib's pyplot, which nobody here draws with: 0.5 s of its 0.85 s.
    plain = {name: ModuleType(name) for name in ("matplotlib", "matplotlib.pyplot") if "matplotlib" not in sys.modules}
    sys.modules.update(plain)
    try:
        from mediapipe.python import solutions
    except ImportError as error:
        raise MissingDependency(
            f"face detection needs MediaPipe ({error}): pip install mediapipe==0.10.18") from error
    finally:
        for name in plain:
            del sys.modules[name]
    return solutions
