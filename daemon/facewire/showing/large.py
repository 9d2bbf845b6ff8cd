"""A large pivot's pictures as the composer takes them: first as they were decoded, soon restored.

The restorer of large pictures takes nine times as long as a frame has time for. So it sees a patch at a time, one for
each keypoint frame; until all are done, within a second, the pictures are shown as they were decoded.
"""

from __future__ import annotations

import numpy as np

from facewire.networks import Networks
from facewire.networks.session import Session, host
from facewire.showing.patches import grid
from facewire.showing.planes import Planes, to_planes
from facewire.wire.pivot import Large

OVERLAP = 32
"""Pixels by which two patches overlap at least."""


class LargePivot:
    """restorer: takes square patches; None: the pictures stay as they are."""

    def __init__(self, large: Large, restorer: Session | None) -> None:
        decoded = [to_planes(picture) for picture in (large.picture, large.shut) if picture is not None]
        self._pictures = _ready(decoded)
        self._restorer = restorer
        if restorer is not None:
            self._side = restorer.inputs["pivot"][-1] or decoded[0].shape[-1]
            self._left = grid(decoded[0].shape[-1], self._side, OVERLAP)
            self._restored = [np.zeros_like(planes) for planes in decoded]

    def planes(self, shut: bool) -> Planes:
        """float32 [1, 3, 512, 512] with open or with shut eyes, where they are known."""
        return self._pictures[-1 if shut else 0]

    def advance(self) -> None:
        """Restore one more patch, if any is left. Raises ModelError if the network fails."""
        restorer = self._restorer
        if restorer is None:
            return
        top, left, share = self._left.pop()
        place = np.s_[:, :, top : top + self._side, left : left + self._side]
        seen: list[tuple[Planes, Planes]] = []
        for decoded, restored in zip(self._pictures, self._restored, strict=True):
            patch = np.ascontiguousarray(decoded[place])
            # Shut eyes are in few patches; the others are the same in both pictures.
            made = next((after for before, after in seen if np.array_equal(before, patch)), None)
            if made is None:
                made = np.asarray(host(restorer.run({"pivot": patch})["restored"]))
                seen.append((patch, made))
            restored[place] += made * share
        if not self._left:
            self._pictures, self._restorer, self._restored = _ready(self._restored), None, []


def large_pivot(networks: Networks, large: Large | None) -> LargePivot | None:
    """What the composer makes frames of; None where there is none, or no picture of the size that it takes: whoever
    sends may have coded any size."""
    composer = networks.get("composer")
    if large is None or composer is None or composer.inputs["pivot"][-1] != large.picture.shape[0]:
        return None
    return LargePivot(large, networks.get("large_restorer"))


def _ready(pictures: list[Planes]) -> list[Planes]:
    for planes in pictures:
        planes.setflags(write=False)  # a GPU's session uploads it once
    return pictures
