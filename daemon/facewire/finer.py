"""A pivot that stays is sent once more, finer, in the bytes that the link has left over.

The first picture has to be there soon, so it is coarse. Who then talks for minutes before it should not be seen like
that for minutes: the same picture goes out again in more bytes, between the keypoints, and takes the first one's place
when it is there as a whole. A pivot that is really needed does not wait for it.

Coding it takes 0.2 s on an x86 core and a second on a Pi, in which keypoints must not stand still: so a thread beside
theirs does it where there is one (Pillow's encoder holds no lock meanwhile).
"""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Executor, Future
from dataclasses import replace

from facewire.pivots import LIBRARY, Taken
from facewire.types import Picture
from facewire.wire.pivot import content_id, encode_pivot

STAYED = 2.0
"""A pivot has stayed after so many times what lies between two new ones: most that are left soon are gone by then."""
WORTH = 1.25
"""How many times longer than the first one it must be, to be worth another look at the same picture."""


class Originals:
    """The pictures behind the pivots that may be used again: what was coded, as it was. background: codes the finer
    ones; None: they are coded at once, in the caller's thread."""

    def __init__(self, background: Executor | None = None) -> None:
        self._background = background
        self._job: tuple[tuple[bytes, int], Future[bytes]] | None = None
        self._pictures: OrderedDict[bytes, Picture] = OrderedDict()

    def keep(self, pivot_id: bytes, picture: Picture) -> None:
        """A pivot was coded from this picture, uint8 [side, side, 3]."""
        self._pictures[pivot_id] = picture
        while len(self._pictures) > LIBRARY:
            self._pictures.popitem(last=False)

    def finer(self, taken: Taken, max_bytes: int) -> Taken | None:
        """The pivot in up to `max_bytes` bytes; None where that is not worth it, it is the finer one itself, or it is
        not coded yet: ask again."""
        picture = self._pictures.get(taken.pivot_id)
        if picture is None or max_bytes < WORTH * len(taken.data):
            return None
        data = self._encoded(taken.pivot_id, picture, max_bytes)
        if data is None:
            return None
        if len(data) < WORTH * len(taken.data):  # nothing more is in it
            del self._pictures[taken.pivot_id]
            return None
        return replace(taken, pivot_id=content_id(data), data=data)

    def _encoded(self, pivot_id: bytes, picture: Picture, max_bytes: int) -> bytes | None:
        if self._background is None:
            return encode_pivot(picture, max_bytes)
        asked = (pivot_id, max_bytes)
        if self._job is None or (self._job[0] != asked and self._job[1].done()):
            self._job = (asked, self._background.submit(encode_pivot, picture, max_bytes))
        done_for, job = self._job
        if done_for != asked or not job.done():
            return None
        self._job = None
        return job.result()
