"""When a new pivot is due. Pure: measurements in, decision out.

The rule of "Compressing Video Calls using Synthetic Talking Heads" (Agarwal et al., BMVC 2022, adaptive pivot
selection): a new pivot when yaw, pitch or roll of the head differ by more than 15 degrees from the pivot's, or the
background's embedding by more than 0.05 (cosine distance). Added here, because a pivot costs a slow link dear:

    guarded     a guess at how badly the pivot would reconstruct the picture (likeness.apart) asks as well: a hand
                before the face, other light, somebody else
    confirmed   the rule must hold for two measurements in a row; a glance aside is no turn
    not often   so many seconds lie between two new pivots (half as many where two are saved up), and their bytes are
                saved up first
    reused      a head that turns back to where an earlier pivot was taken gets that pivot again, for no picture bytes
    forced      a crop that moved, or a cut to another scene, does not wait for a second measurement
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.coding import likeness
from facewire.coding.likeness import Look
from facewire.face.mesh import Landmarks, eye_opening, mouth_opening
from facewire.face.pose import HeadPose
from facewire.types import Crop, Picture

CONFIRM = 2
"""Measurements in a row that must ask for a new pivot."""
LIBRARY = 6
"""Earlier pivots that may be used again."""
CLOSE_ENOUGH = 0.6
"""An earlier pivot is used again if it is nearer than this part of the limits: else the next turn leaves it at once."""
SAVED = 3.0
"""Pivots that a calm stretch saves up for a restless one."""
HASTE = 0.5
"""Part of the interval after which a head that has turned gets a new pivot already, where two or more are saved up."""
DWELL = 1.0
"""Seconds that a pivot stays at least, even when the next one costs nothing."""
FORCED = 0.25
"""A forced pivot waits only for this part of the interval between two new pivots."""
CUT = 0.13
"""Mean difference of two thumbnails (of 1.0) that is a cut to another scene. Over 17 held-out clips 0.16 s of talking
change 0.096 at most; clips of different people differ by 0.16 to 0.4."""


@dataclass(frozen=True)
class Limits:
    """How far the picture may move away from its pivot: degrees, and cosine distance of the background."""

    yaw: float = 15.0
    pitch: float = 15.0
    roll: float = 15.0
    background: float = 0.05
    unlike: float = 0.065
    """Of likeness.apart. Over 17 held-out clips talking heads are 0.03 from their first frame (median of the medians;
    the most restless one 0.10), a hand's worth of other colour before the mouth makes it 0.07, light dimmed by 40 %
    0.20, another person 0.12 or more."""


_OFF = float("inf")
PRESETS: dict[str, Limits] = {
    "adaptive": Limits(),
    "paper": Limits(unlike=_OFF),
    "pose": Limits(background=_OFF, unlike=_OFF),
    "background": Limits(_OFF, _OFF, _OFF, unlike=_OFF),
    "yaw": Limits(pitch=_OFF, roll=_OFF, background=_OFF, unlike=_OFF),
    "pitch": Limits(yaw=_OFF, roll=_OFF, background=_OFF, unlike=_OFF),
    "roll": Limits(yaw=_OFF, pitch=_OFF, background=_OFF, unlike=_OFF),
    "first": Limits(_OFF, _OFF, _OFF, _OFF, _OFF),
}
"""The paper's rule, each of its parts alone (its ablation), none, and ours."""


def preset(name: str, limits: Limits) -> Limits:
    """`limits`, but those that the preset leaves out are off."""
    left_out = PRESETS[name]
    kept = {
        axis: _OFF if getattr(left_out, axis) == _OFF else getattr(limits, axis)
        for axis in ("yaw", "pitch", "roll", "background", "unlike")
    }
    return Limits(**kept)


@dataclass(frozen=True)
class Scene:
    """What is known of one coded picture. pose: None where no head was found; background: unit vector float32 [E], or
    None where it is not looked at; look: for likeness.apart, None where there is none; face: landmarks
    float32 [478, 3] in pixels, None where no face was found."""

    pose: HeadPose | None = None
    background: NDArray[np.float32] | None = None
    look: Look | None = None
    face: Landmarks | None = None

    @property
    def eyes(self) -> float | None:
        """How far the eyes are open (face.mesh.eye_opening); None where no face was found."""
        return None if self.face is None else eye_opening(self.face)

    @property
    def lips(self) -> float | None:
        """How far the lips are apart (face.mesh.mouth_opening); None where no face was found."""
        return None if self.face is None else mouth_opening(self.face)


@dataclass(frozen=True)
class Taken:
    """A pivot that was sent: its content id, its coded bytes, the crop it was cut by, what it shows, the shape of the
    camera picture; gate: the opening of the eyes below which its shut ones are shown (lids), None without them."""

    pivot_id: bytes
    data: bytes
    crop: Crop
    scene: Scene
    shape: tuple[int, ...] = ()
    gate: float | None = None


@dataclass(frozen=True)
class Decision:
    """What to do now. new: code this frame as the pivot; reuse: go back to that one; neither: carry on."""

    new: bool = False
    reuse: Taken | None = None
    why: str = ""


def distance(one: Scene, other: Scene, limits: Limits) -> float:
    """How far two scenes are apart, relative to the limits: above 1 a pivot of one does not do for the other."""
    far = 0.0
    if one.pose is not None and other.pose is not None:
        for axis in ("yaw", "pitch", "roll"):
            turn = getattr(one.pose, axis) - getattr(other.pose, axis)
            far = max(far, abs((turn + 180.0) % 360.0 - 180.0) / getattr(limits, axis))
    if one.background is not None and other.background is not None:
        apart = 1.0 - float(np.dot(one.background, other.background))
        far = max(far, apart / limits.background if limits.background > 0 else 0.0)
    if one.look is not None and other.look is not None:
        far = max(far, likeness.apart(other.look, one.look) / limits.unlike)
    return far


def unlikeness(one: Picture, other: Picture) -> float:
    """Mean difference of two coded pictures' thumbnails, 0 to 1; CUT says what it means."""
    return float(np.abs(_thumbnail(one) - _thumbnail(other)).mean())


def _thumbnail(picture: Picture) -> NDArray[np.float32]:
    height, width = picture.shape[0] // 16 * 16, picture.shape[1] // 16 * 16
    cells = picture[:height:4, :width:4].astype(np.float32)
    return np.asarray(cells.reshape(16, cells.shape[0] // 16, 16, cells.shape[1] // 16, 3).mean((1, 3)) / 255.0)


class CutDetector:
    """Notices a cut to another scene by comparing thumbnails of coded pictures."""

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None

    def update(self, picture: Picture) -> bool:
        """Take the next coded picture; True if it shares nothing with the one before."""
        small = _thumbnail(picture)
        before, self._last = self._last, small
        return before is not None and float(np.abs(small - before).mean()) > CUT

    def reset(self) -> None:
        """The crop moved on purpose: the next picture is compared with nothing."""
        self._last = None


class PivotPolicy:
    """Decides, frame by frame, which pivot to animate.

    interval: seconds between two new pivots; adaptive False: the first pivot stays, unless one is forced.
    saved: pivots that may be saved up, one for each interval that passes: a source that is cut again and again gets no
    more than that.
    """

    def __init__(
        self,
        interval: float,
        fps: float = 25.0,
        limits: Limits | None = None,
        adaptive: bool = True,
        saved: float = SAVED,
    ) -> None:
        self.limits = limits or Limits()
        self._most = self._savings = saved
        self._saved_at = 0
        self._adaptive = adaptive
        self._fps = fps
        self._interval = interval * fps
        self._dwell = DWELL * fps
        self._library: OrderedDict[bytes, Taken] = OrderedDict()
        self._current: Taken | None = None
        self._new_at = self._switched_at = 0
        self._asked = 0

    @property
    def current(self) -> Taken | None:
        """The pivot that is animated."""
        return self._current

    def set_interval(self, seconds: float) -> None:
        """Seconds that must lie between two new pivots from now on."""
        self._interval = seconds * self._fps

    def take(self, number: int, taken: Taken) -> None:
        """From frame `number` on, this pivot is the current one (a new one, or one out of the library)."""
        if taken.pivot_id not in self._library:
            self._new_at = number
            self._savings -= 1
        self._library[taken.pivot_id] = taken
        self._library.move_to_end(taken.pivot_id)
        while len(self._library) > LIBRARY:
            self._library.popitem(last=False)
        self._current, self._switched_at, self._asked = taken, number, 0

    def refine(self, finer: Taken) -> None:
        """The current pivot's picture in more bytes takes its place, and costs nothing of what is saved up."""
        if self._current is not None:
            self._library.pop(self._current.pivot_id, None)
        self._library[finer.pivot_id] = self._current = finer

    def recall(self, earlier: Iterable[Taken]) -> None:
        """Pivots of an earlier run that may be used again."""
        for taken in earlier:
            self._library.setdefault(taken.pivot_id, taken)

    def forget(self) -> None:
        """The camera's pictures have another size: no earlier pivot is used again."""
        self._library.clear()
        if self._current is not None:
            self._library[self._current.pivot_id] = self._current

    def judge(self, number: int, crop: Crop, scene: Scene | None, forced: str = "") -> Decision:
        """Look at frame `number`, as `crop` cuts it. scene: its measurement, None in between two measurements.

        forced: why a new pivot is needed whatever was measured (crop moved, scene cut); "" if it is not.
        """
        current = self._current
        if current is None:
            return Decision(new=True, why="first")
        self._save(number)
        if forced or crop != current.crop:
            known = None if scene is None else self._nearest(crop, scene, current)
            if known is not None and number - self._switched_at >= self._dwell / 2:
                return Decision(reuse=known, why=forced or "crop moved")
            if self._savings < 1 or number - self._new_at < FORCED * self._interval:
                return Decision()
            return Decision(new=True, why=forced or "crop moved")
        if not self._adaptive or scene is None:
            return Decision()
        if distance(scene, current.scene, self.limits) <= 1.0:
            self._asked = 0
            return Decision()
        self._asked += 1
        if self._asked < CONFIRM or number - self._switched_at < self._dwell:
            return Decision()
        known = self._nearest(crop, scene, current)
        if known is not None:
            return Decision(reuse=known, why="turned back")
        wait = self._interval * (HASTE if self._savings >= 2 else 1.0)
        if self._savings < 1 or number - self._new_at < wait:
            return Decision()
        return Decision(new=True, why="turned")

    def _save(self, number: int) -> None:
        passed, self._saved_at = number - self._saved_at, number
        self._savings = min(self._most, self._savings + passed / max(self._interval, 1.0))

    def _nearest(self, crop: Crop, scene: Scene, current: Taken) -> Taken | None:
        others = [item for item in self._library.values() if item is not current and item.crop == crop]
        rated = [(distance(scene, item.scene, self.limits), index) for index, item in enumerate(others)]
        best = min(rated, default=(np.inf, -1))
        return others[best[1]] if best[0] <= CLOSE_ENOUGH else None
