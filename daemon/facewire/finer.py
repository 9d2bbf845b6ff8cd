"""A pivot that stays is sent once more, better, in the bytes that the link has left over.

The first picture has to be there soon, so it is coarse, and nobody knew yet whether it was a good one. Who then talks
for minutes before it should not be seen like that for minutes: the picture that turned out to be the best pivot
(album) goes out in more bytes, with shut eyes beside its open ones if a blink was seen (lids), between the keypoints,
and takes the first one's place when it is there as a whole. A pivot that is really needed does not wait for it.

Choosing and coding it takes 0.3 s on an x86 core and over a second on a Pi, in which keypoints must not stand still: so
a thread beside theirs does it where there is one (Pillow's encoder and OpenCV hold no lock meanwhile).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

from facewire.album import Seen, fittest
from facewire.lids import lidded
from facewire.lips import encode_face
from facewire.pivots import LIBRARY, Taken
from facewire.types import Picture
from facewire.wire.pivot import content_id

STAYED = 2.0
"""A pivot has stayed after so many times what lies between two new ones: most that are left soon are gone by then."""
WORTH = 1.25
"""How many times longer than the first one it must be, to be worth another look at the same picture."""


@dataclass(frozen=True)
class Finer:
    """A pivot to take another one's place; coarser: its picture in the other one's bytes, for who joins meanwhile
    (preview)."""

    taken: Taken
    coarser: bytes


class Originals:
    """The pictures behind the pivots that may be used again: what was coded, as it was. background: codes the finer
    ones; None: they are coded at once, in the caller's thread."""

    def __init__(self, background: Executor | None = None) -> None:
        self._background = background
        self._job: tuple[tuple[bytes, int], Future[Finer | None]] | None = None
        self._pictures: OrderedDict[bytes, Picture] = OrderedDict()

    def __contains__(self, pivot_id: bytes) -> bool:
        return pivot_id in self._pictures

    def keep(self, pivot_id: bytes, picture: Picture) -> None:
        """A pivot was coded from this picture, uint8 [side, side, 3]."""
        self._pictures[pivot_id] = picture
        while len(self._pictures) > LIBRARY:
            self._pictures.popitem(last=False)

    def finer(self, taken: Taken, seen: Sequence[Seen], max_bytes: int) -> Finer | None:
        """What takes this pivot's place, in up to `max_bytes` bytes, after so much was seen before it; None where that
        is not worth it, it is the finer one itself, or it is not coded yet: ask again."""
        picture = self._pictures.get(taken.pivot_id)
        if picture is None or max_bytes < WORTH * len(taken.data):
            return None
        if self._background is None:
            found = better(taken, picture, seen, max_bytes)
        else:
            job = self._finished(self._background, taken, picture, seen, max_bytes)
            if job is None:
                return None
            found = job.result()
        if found is None:
            del self._pictures[taken.pivot_id]
        return found

    def _finished(
        self, background: Executor, taken: Taken, picture: Picture, seen: Sequence[Seen], max_bytes: int
    ) -> Future[Finer | None] | None:
        """The job that does this, once it is done; it is begun when it is asked for first, one at a time."""
        asked = (taken.pivot_id, max_bytes)
        if self._job is None or (self._job[0] != asked and self._job[1].done()):
            self._job = (asked, background.submit(better, taken, picture, seen, max_bytes))
        done_for, job = self._job
        if done_for != asked or not job.done():
            return None
        self._job = None
        return job


def better(taken: Taken, picture: Picture, seen: Sequence[Seen], max_bytes: int) -> Finer | None:
    """The best pivot for all that was seen, coded; None: nothing is better. `picture`: what `taken` was coded from."""
    current = Seen(picture, taken.scene)
    best = fittest(seen, current)
    data = encode_face(best.picture, best.scene.face, max_bytes)
    with_lids = lidded(data, best, seen)
    if best is current and with_lids is None and len(data) < WORTH * len(taken.data):
        return None  # nothing more is in it
    coarser = taken.data if best is current else encode_face(best.picture, best.scene.face, len(taken.data))
    data, gate = (data, None) if with_lids is None else with_lids
    return Finer(replace(taken, pivot_id=content_id(data), data=data, scene=best.scene, gate=gate), coarser)
