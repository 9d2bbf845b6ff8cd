"""One clip's shown pictures against its real ones. What is dear is taken on few frames, what is cheap on more.

    every 5th frame     PSNR, all that landmarks say (faces.py); every second time features for the Fréchet distance
    every 23rd frame    SSIM, LPIPS, identity; one time in five the LPIPS of the other backbone
    6 frames in 50      flicker, on frames that follow each other; every second time VMAF

Codecs, whose frames are all coded alike, are judged on every second one of the first two kinds.

5 and 23 have no divisor in common with 2, 3 or 4, so that keypoint frames and interpolated frames are met alike.
The first frame is left out: it is the pivot's, or a codec's intra picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.types import Picture
from facewire_export.evaluation import frechet
from facewire_export.evaluation.faces import Faces
from facewire_export.evaluation.footage import Footage
from facewire_export.evaluation.points import SHOWN
from facewire_export.evaluation.vmaf import VMAF, Vmaf
from facewire_export.judge import Judge, Seen
from facewire_export.metrics import Flicker, mean_db, psnr

OFTEN, SELDOM = 5, 23
VERSION = 6
"""Raise it when what is coded or scored changes: records of another version are measured again. The test that
recomputes a part of results/ fails when that was forgotten."""


def is_often(number: int) -> bool:
    """Whether frame `number` gets PSNR and landmarks."""
    return number % OFTEN == OFTEN // 2


def is_seldom(number: int) -> bool:
    """Whether frame `number` gets the dear scores."""
    return number % SELDOM == SELDOM // 2


def is_even(number: int, every: int) -> bool:
    """Whether frame `number`, one of every `every`, is each second one of them."""
    return number // every % 2 == 0


def is_described(number: int) -> bool:
    """Whether frame `number` gets features: every second one that `is_often` names."""
    return is_often(number) and is_even(number, OFTEN)


def is_followed(number: int) -> bool:
    """Whether frame `number` is looked at for flicker."""
    return 10 <= number % 50 < 16


def is_thorough(number: int) -> bool:
    """Whether frame `number`, if it gets the dear scores, gets the dearest: one in five."""
    return number // SELDOM % 5 == 0


def is_watched(number: int) -> bool:
    """Whether frame `number` is looked at for VMAF."""
    return is_followed(number) and number % 100 < 50


@dataclass(frozen=True)
class Scored:
    """Means over a clip (NaN where a score could not be told), how many frames they are of, flicker in grey levels, and
    the features of the shown pictures, float32 [n, 512]."""

    scores: dict[str, float]
    counts: dict[str, int]
    flicker: dict[str, float]
    features: frechet.Features


class Reference:
    """The real frames of a clip, each looked at once, however many points are compared with it."""

    def __init__(self, footage: Footage, judge: Judge) -> None:
        self.footage, self.judge = footage, judge
        self._seen: dict[int, Seen] = {}
        self._landmarks: dict[int, NDArray[np.float32] | None] = {}

    def __len__(self) -> int:
        return len(self.footage.real)

    def picture(self, number: int) -> Picture:
        """Frame `number` as it is."""
        return np.asarray(self.footage.real[number])

    def seen(self, number: int) -> Seen:
        """Frame `number` with what was found in it."""
        if number not in self._seen:
            self._seen[number] = self.judge.look(self.picture(number), is_thorough(number))
        return self._seen[number]

    def landmarks(self, number: int) -> NDArray[np.float32] | None:
        """Of the face in frame `number`."""
        if number not in self._landmarks:
            self._landmarks[number] = self.judge.landmarks(self.picture(number))
        return self._landmarks[number]

    def features(self) -> frechet.Features:
        """float32 [n, 512] of the frames that `is_described` names."""
        chosen = [self.picture(number) for number in range(len(self)) if is_described(number)]
        return describe(self.judge, chosen)


def describe(judge: Judge, pictures: list[Picture]) -> frechet.Features:
    """float32 [n, 512]; without rows where the weights are missing."""
    net = judge.lpips.get("lpips")
    if net is None or not pictures:
        return np.zeros((0, 512), np.float32)
    return np.stack([frechet.describe(net, picture) for picture in pictures])


class Scoring:
    """Takes a point's shown frames in order; keeps scores, not pictures."""

    def __init__(
        self, reference: Reference, every_frame: bool = False, watched: bool = True, thin: bool = False
    ) -> None:
        """every_frame: have every frame made, because somebody else looks at all of them; watched: score flicker and
        VMAF (NaN otherwise); thin: judge fewer frames, as for a codec."""
        self._reference, self._every_frame, self._watched, self._thin = reference, every_frame, watched, thin
        self._psnr: list[float] = []
        self._rows: list[dict[str, float]] = []
        self._features: list[frechet.Features] = []
        self._flicker = Flicker()
        self._faces = Faces(SHOWN)
        self._vmaf = Vmaf()
        self._number = self._vmaf_frames = 0

    @property
    def frames(self) -> int:
        """How many were taken."""
        return self._number

    def add(self, show: Callable[[], Picture]) -> Picture | None:
        """The next frame, made by `show` if it is looked at; returns it then. Frames after the last are not judged."""
        number, self._number = self._number, self._number + 1
        often = is_often(number) and (not self._thin or is_even(number, OFTEN))
        seldom = is_seldom(number) and (not self._thin or is_even(number, SELDOM))
        followed = self._watched and is_followed(number)
        if number >= len(self._reference) or not (often or seldom or followed or self._every_frame):
            return None
        picture = show()
        real = self._reference.picture(number)
        if followed:
            self._flicker.add(real, picture)
            if is_watched(number):
                self._vmaf.add(real, picture)
                self._vmaf_frames += 1
        else:
            self._flicker.cut()
        judge = self._reference.judge
        if often:
            self._psnr.append(psnr(real, picture))
            self._faces.add(self._reference.landmarks(number), judge.landmarks(picture))
        if is_described(number):
            self._features.append(describe(judge, [picture]))
        if seldom:
            seen = judge.look(picture, is_thorough(number))
            self._rows.append(judge.compare(self._reference.seen(number), seen))
        return picture

    def result(self) -> Scored:
        """All that was found. Raises MetricError."""
        means, counts = {}, {}
        for name in self._rows[0] if self._rows else ():
            known = [row[name] for row in self._rows if math.isfinite(row[name])]
            means[name], counts[name] = sum(known) / len(known) if known else math.nan, len(known)
        means["psnr"], counts["psnr"] = mean_db(self._psnr), len(self._psnr)
        means[VMAF], counts[VMAF] = self._vmaf.result(), self._vmaf_frames
        told, of = self._faces.result()
        features = np.concatenate(self._features) if self._features else np.zeros((0, 512), np.float32)
        return Scored(means | told, counts | of, self._flicker.result(), features)


def as_json(scored: Scored) -> dict[str, Any]:
    """What a record keeps of it."""
    return {"scores": scored.scores, "counts": scored.counts, "flicker": scored.flicker}
