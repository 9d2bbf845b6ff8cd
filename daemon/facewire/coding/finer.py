"""A pivot that stays is sent once more, better, in the bytes that the link has left over.

The first picture has to be there soon, so it is coarse, and nobody knew yet whether it was a good one. Who then talks
for minutes before it should not be seen like that for minutes. So what is finer of it goes out between the keypoints,
behind the coarse picture's own bytes (wire.difference), of which nothing is sent again, and takes its place when it is
there as a whole:

    closer    after some seconds the same picture, in CLOSER times the bytes, where a better one is long to wait for
    finer     once one knows how somebody mostly looks, the picture that turned out to be the best pivot (album), in
              all the bytes that the profile allows
    finest    the same where it stays for longer still, in as many bytes as bring anything and at twice the side, where
              the link is too narrow to begin with that

Shut eyes (lids) do not wait for it: as soon as there was a blink, the running pivot goes on with them at its end, for
some 300 bytes (sending). What is really needed waits for none of this.

Choosing and coding it takes 0.3 s on an x86 core and over a second on a Pi, in which keypoints must not stand still: so
a thread beside theirs does it where there is one (Pillow's encoder and OpenCV hold no lock meanwhile).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import partial

import numpy as np

from facewire.coding.album import FEWEST, Seen, fittest, usual_opening
from facewire.coding.lids import lidded
from facewire.coding.lips import encode_face
from facewire.coding.pivots import LIBRARY, Scene, Taken
from facewire.wire.difference import enlarged
from facewire.wire.pivot import add_difference, coarsest, content_id, decode_pivot

STAYED = 2.0
"""A pivot has stayed after so many times what lies between two new ones: most that are left soon are gone by then."""
LEAST_SECONDS = 6.0
"""... and these seconds at least: by then one knows how somebody mostly looks."""
CLOSER = 2
"""How many times a first pivot's bytes bring most of what more would: shown LPIPS 0.014 less for 4,000 bytes more, and
0.003 for the next 4,000 (docs/training.md)."""
FINEST_SECONDS = 30.0
"""A picture has stayed for longer still after these seconds."""
WORTH = 1.25
"""How many times longer than the running one it may be, to be worth another look at the same picture."""
NEAR = 1.0
"""Mean error of a coarse picture (of 255) up to which nothing finer goes behind it."""


@dataclass(frozen=True)
class Finer:
    """A pivot to take another one's place. seen: what it was coded from."""

    taken: Taken
    seen: Seen


Job = Future[Finer | None]


class Stage(IntEnum):
    """How far a pivot has come; or would, but for that nothing is better."""

    FIRST, CLOSER, FINER, FINEST = range(4)


class Originals:
    """The pictures behind the pivots that may be used again: what was coded, as it was. background: codes the finer
    ones; None: they are coded at once, in the caller's thread."""

    def __init__(self, background: Executor | None = None) -> None:
        self._background = background
        self._job: tuple[tuple[bytes, int], Job] | None = None
        self._pictures: OrderedDict[bytes, Seen] = OrderedDict()
        self._stages: OrderedDict[bytes, Stage] = OrderedDict()

    def __contains__(self, pivot_id: bytes) -> bool:
        return pivot_id in self._pictures

    def refines(self, pivot_id: bytes) -> bool:
        """Whether a better picture may take its place."""
        return pivot_id in self._pictures and self._stages[pivot_id] < Stage.FINER

    def keep(self, pivot_id: bytes, seen: Seen, stage: Stage = Stage.FIRST) -> None:
        """A pivot was coded from this."""
        self._pictures[pivot_id], self._stages[pivot_id] = seen, stage
        while len(self._pictures) > LIBRARY:
            self._stages.pop(self._pictures.popitem(last=False)[0])

    def closer(self, taken: Taken, max_bytes: int) -> Finer | None:
        """The same picture in up to `max_bytes` bytes; None as for `finer`."""
        return self._made(taken, (), max_bytes, Stage.CLOSER)

    def finer(self, taken: Taken, seen: Sequence[Seen], max_bytes: int, large: bool = False) -> Finer | None:
        """What takes this pivot's place, in up to `max_bytes` bytes, after so much was seen before it; None where that
        is not worth it, it is the finer one itself, or it is not coded yet: ask again. large: at twice the side, where
        more was seen than is coded."""
        return self._made(taken, seen, max_bytes, Stage.FINER, large)

    def finest(self, taken: Taken, max_bytes: int) -> Finer | None:
        """The same picture, large, in up to `max_bytes` bytes; None as for `finer`."""
        return self._made(taken, (), max_bytes, Stage.FINEST, large=True)

    def _made(
        self, taken: Taken, seen: Sequence[Seen], max_bytes: int, stage: Stage, large: bool = False
    ) -> Finer | None:
        if taken.pivot_id not in self._pictures or self._stages[taken.pivot_id] >= stage or not max_bytes:
            return None
        original = self._pictures[taken.pivot_id]
        job = self._finished((taken.pivot_id, max_bytes), partial(better, taken, original, seen, max_bytes, large))
        if job is None:
            return None
        found = job.result()
        if found is None:
            self.keep(taken.pivot_id, original, stage)
        else:
            self.keep(found.taken.pivot_id, found.seen, stage)
        return found

    def with_shut_eyes(self, taken: Taken, blink: Sequence[Seen], usual: float) -> Job | None:
        """The same pivot with the shut eyes of a blink: a job whose result is None where they do not fit. None: it is
        not coded yet, ask again. usual: see lids.opening."""
        original = self._pictures[taken.pivot_id]
        job = self._finished((taken.pivot_id, 0), partial(blinking, taken, original, blink, usual))
        found = None if job is None else job.result()
        if found is not None:
            self.keep(found.taken.pivot_id, original, self._stages[taken.pivot_id])
        return job

    def _finished(self, asked: tuple[bytes, int], work: Callable[[], Finer | None]) -> Job | None:
        """The job that does this, once it is done; it is begun when it is asked for first, one at a time."""
        if self._background is None:
            done: Job = Future()
            done.set_result(work())
            return done
        if self._job is None or (self._job[0] != asked and self._job[1].done()):
            self._job = (asked, self._background.submit(work))
        done_for, job = self._job
        if done_for != asked or not job.done():
            return None
        self._job = None
        return job


def better(taken: Taken, original: Seen, seen: Sequence[Seen], max_bytes: int, large: bool = False) -> Finer | None:
    """The best pivot for all that was seen, coded; None: nothing is better. original: what `taken` was coded from;
    large: see Originals.finer."""
    best = fittest(seen, original)
    is_same = best is original
    if is_same and max_bytes < WORTH * len(taken.data):
        return None
    first = taken.data if is_same else encode_face(best.picture, best.scene.face, len(coarsest(taken.data)))
    fine = best.large if large and best.large is not None else best.picture
    coarse = enlarged(decode_pivot(coarsest(first)), fine.shape[0])
    apart = np.abs(coarse.astype(np.int32) - fine).mean()
    data = first if apart <= NEAR else add_difference(first, fine, max_bytes)
    gate = taken.gate if is_same else None
    if gate is None:
        with_lids = lidded(data, best, seen, usual_opening(seen) if len(seen) >= FEWEST else 0.0)
        data, gate = (data, None) if with_lids is None else with_lids
    return None if data == taken.data else Finer(_changed(taken, data, best.scene, gate), best)


def blinking(taken: Taken, original: Seen, blink: Sequence[Seen], usual: float) -> Finer | None:
    """A pivot with the shut eyes of a blink behind its own bytes; None where they do not fit. usual: lids.opening."""
    found = lidded(taken.data, original, blink, usual)
    return None if found is None else Finer(_changed(taken, found.data, original.scene, found.gate), original)


def _changed(taken: Taken, data: bytes, scene: Scene, gate: float | None) -> Taken:
    return replace(taken, pivot_id=content_id(data), data=data, scene=scene, gate=gate)
