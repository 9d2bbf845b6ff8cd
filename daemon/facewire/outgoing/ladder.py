"""How the stream gives way when its ceiling, or the link, is too narrow for all of it: step by step, and back. Pure.

    step 0  the profile as it is
    step 1  new pivots a third as often, none finer
    step 2  and keypoints on a coarser grid without deformations, bundles half as long again
    step 3  and one more frame interpolated between two keypoint frames
    step 4  and as many as there can be, bundles twice as long, the grid twice as coarse

One step down when bundles wait too long; one step up after a calm while with rate to spare. A step up that had
to be taken back is tried again only after twice the time.
"""

from __future__ import annotations

from dataclasses import replace

from facewire.profiles import Profile

LATE_SECONDS = 1.0
"""A bundle waits longer than this: the link does not carry it."""
DOWN_EVERY = 8.0
"""Seconds between two steps down: so long it takes until a step shows."""
UP_AFTER, UP_AFTER_MOST = 45.0, 720.0
MAX_SKIP, MAX_BUNDLE, MAX_STEP = 3, 32, 4.0
STEPS = 4
WORDS = (
    "as the profile says",
    "fewer pivots",
    "fewer pivots, coarser keypoints, longer bundles",
    "fewer pivots, coarser and fewer keypoints, longer bundles",
    "fewest pivots and keypoints, longest bundles",
)


def shaped(profile: Profile, step: int) -> Profile:
    """The profile at a step of the ladder, 0 to STEPS."""
    if step <= 0:
        return profile
    out = replace(profile, pivot_interval=3 * profile.pivot_interval, finer_bytes=0)
    if step == 1:
        return out
    wider, coarser = (2, 2.0) if step >= STEPS else (1.5, 1.5)
    skip = profile.skip if step == 2 else min(MAX_SKIP, profile.skip + 1) if step == 3 else MAX_SKIP
    return replace(
        out,
        live_deformation=0,
        keypoint_step=min(MAX_STEP, coarser * profile.keypoint_step),
        bundle_frames=min(MAX_BUNDLE, max(profile.bundle_frames + 1, round(wider * profile.bundle_frames))),
        skip=skip,
    )


class Ladder:
    """`step` is where the stream stands."""

    def __init__(self, now: float) -> None:
        self.step = 0
        self._changed = self._troubled = now
        self._patience = UP_AFTER
        self._went_up = False

    def update(self, now: float, late: float, spare: bool) -> bool:
        """Take a look; True if the step has changed.

        late: seconds that the oldest bundle has waited for a receiver that can be reached; spare: part of the
        rate lies unused.
        """
        if late > LATE_SECONDS:
            self._troubled = now
            if self.step < STEPS and now - self._changed >= DOWN_EVERY:
                if self._went_up:
                    self._patience = min(UP_AFTER_MOST, 2 * self._patience)
                return self._go(now, 1)
        elif self.step and spare and now - max(self._troubled, self._changed) >= self._patience:
            return self._go(now, -1)
        return False

    def _go(self, now: float, way: int) -> bool:
        self.step += way
        self._changed = now
        self._went_up = way < 0
        return True
