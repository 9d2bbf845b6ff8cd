"""Trial reconstruction: what a receiver would show of some frames, given a coded pivot. For file mode, where there is
time to look before sending."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facewire.networks import SENDER, Networks
from facewire.showing.animator import Animator
from facewire.showing.planes import to_picture
from facewire.types import Bundle, Epoch, KeypointFrame, Picture, PivotSlice, Points
from facewire.wire.pivot_store import content_id

_APART = 10
"""Frame numbers between two trial frames: too far to be interpolated."""


def reconstruct(networks: Networks, pivot: bytes, frames: Sequence[Points], coded_size: int = 256) -> list[Picture]:
    """Pictures [coded, coded, 3] of frames whose keypoints (float [10, 2]) are given. Raises ModelError.

    pivot: coded, as it would be sent. Keypoints are taken as they are: their grid costs nothing that one can see.
    """
    # Whatever else there is works at the shown size.
    needed = {role: session for role, session in networks.sessions.items() if role in SENDER}
    animator = Animator(Networks(networks.id, needed))
    name = content_id(pivot)
    epoch = Epoch(0, 0, 0, name, len(pivot), coded_size, 25.0, 0, networks.id, 0.0)
    raw = [np.asarray(points, np.float32) for points in frames]
    bundle = Bundle(0, tuple(KeypointFrame(_APART * at, points) for at, points in enumerate(raw)))
    shown: list[Picture] = []
    for message in (PivotSlice(name, 0, len(pivot), pivot), epoch, bundle):
        shown += [to_picture(rebuilt.planes) for rebuilt in animator.push(message) if not rebuilt.interpolated]
    return shown
