"""The pivot that frames are animated from: asked for, coded, on its way, used again, sent once more and better.

The policy (pivots) decides, here it is carried out. No clock: frames have numbers.

    measure the frame --> policy --> a new one: coded, its slices are to be sent    --> pending --> current
                                 \\-> an earlier one: its slices, for who lacks it   --> pending --> current
                                 \\-> none: where a blink was seen, with shut eyes   --> pending --> current
                                           where it has stayed, a better one, finer --> pending --> current
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Protocol

from facewire.coding.album import Album, Seen
from facewire.coding.blink import Blink
from facewire.coding.finer import CLOSER, FINEST_SECONDS, LEAST_SECONDS, STAYED, Finer, Originals
from facewire.coding.glances import Glance
from facewire.coding.keyframes import CODED_SIZE, find_points
from facewire.coding.large import twice
from facewire.coding.likeness import look
from facewire.coding.lips import encode_face
from facewire.coding.pivots import CutDetector, Decision, PivotPolicy, Scene, Taken, distance, unlikeness
from facewire.coding.watching import FaceWatch
from facewire.face.crop import cut
from facewire.face.mesh import Landmarks
from facewire.networks import Session
from facewire.profiles import Profile
from facewire.types import Crop, Picture, PivotSlice
from facewire.wire.pivot import coarsest, content_id, decode_pivot, slices

MEASURE_SECONDS = 0.48
"""Seconds between two measurements of head pose and background."""
ALIKE = 0.09
"""Mean difference of thumbnails up to which an earlier run's pivot may show what the camera shows (see pivots.CUT)."""
SHUT, TOGETHER = 0.16, 0.06
"""Eyes that are less open are shut (face.mesh.eye_opening), lips that are less apart are together (mouth_opening): what
nobody can open again makes no new pivot..."""
PAUSE_SECONDS = 0.6
"""... unless they stay so: a blink takes 0.1 to 0.4 s, and who talks parts his lips several times a second."""


class Meter(Protocol):
    """Measures what a coded picture shows (scene.SceneMeter)."""

    def measure(self, picture: Picture) -> Scene: ...

    def face(self, picture: Picture) -> Landmarks | None: ...


@dataclass(frozen=True)
class Pending:
    """A pivot whose epoch begins when its slices are out. is_finer: it takes the place of the running one (finer), and
    what is really needed goes before it."""

    taken: Taken
    is_sent: bool = False
    is_finer: bool = False


@dataclass(frozen=True)
class Choices:
    """How often so far: new pivots, earlier ones used again, and better ones in their place."""

    pivots: int = 0
    reuses: int = 0
    finer: int = 0


class Choosing:
    """One stream's pivots. keypoints: the network, where the policy compares looks. paced: a pivot's slices take their
    time (a link), its epoch begins when they are out. background: see finer.Originals."""

    def __init__(
        self,
        policy: PivotPolicy,
        meter: Meter,
        keypoints: Session,
        fps: float,
        paced: bool = False,
        background: Executor | None = None,
    ) -> None:
        self.pending: Pending | None = None
        """The pivot whose epoch is to begin."""
        self.choices = Choices()
        self._policy, self._meter, self._keypoints = policy, meter, keypoints
        self._fps, self._paced = fps, paced
        self._cuts = CutDetector()
        self._every = max(1, round(MEASURE_SECONDS * fps))
        self._measured = -self._every
        self._poor_since: int | None = None
        self._forced = ""
        self._recalled: list[Taken] = []
        self._originals = Originals(background)
        self._album = Album()
        self._blink = Blink()
        self._began = 0
        """Since which frame the running pivot's picture is animated."""

    @property
    def current(self) -> Taken | None:
        """The pivot that is animated."""
        return self._policy.current

    @property
    def in_use(self) -> list[Taken]:
        """The pivot that is animated, and the one on its way."""
        pending = None if self.pending is None else self.pending.taken
        return [taken for taken in (self.current, pending) if taken is not None]

    @property
    def lasting(self) -> list[Taken]:
        """Those of them with which an encoder that starts again may go on: while a finer one is on its way, all who
        show a picture show the one before."""
        return self.in_use[:1] if self.refining else self.in_use

    @property
    def refining(self) -> bool:
        """Whether the pending pivot is a finer one, which has time until everybody has it."""
        return self.pending is not None and self.pending.is_finer

    @property
    def due(self) -> bool:
        """Whether the pending pivot's epoch may begin."""
        return self.pending is not None and (not self._paced or self.pending.is_sent)

    def force(self, why: str) -> None:
        """A new pivot is needed, whatever is measured; "": it is not."""
        self._forced = why

    def resized(self) -> None:
        """The camera's pictures have another size: no earlier pivot is used again."""
        self._policy.forget()

    def recall(self, earlier: Sequence[Taken]) -> None:
        """Pivots of an earlier run, which the first picture will be compared with."""
        self._recalled = list(earlier)

    def adapt(self, profile: Profile, new_grid: bool) -> None:
        """From now on as often as this profile says. new_grid: keypoints lie on another one, which belongs to the
        epoch: a new epoch, with the same pivot."""
        self._policy.set_interval(profile.pivot_interval)
        if self.refining and (new_grid or not profile.finer_bytes):
            self.pending = None
        if new_grid and self.pending is None and self.current is not None:
            self.pending = Pending(self.current, is_sent=True)

    def sent(self, pivot_id: bytes) -> None:
        """The slices of the pending pivot are out."""
        if self.pending is not None and pivot_id == self.pending.taken.pivot_id:
            self.pending = replace(self.pending, is_sent=True)

    def recollect(self, picture: Picture, watch: FaceWatch, profile: Profile) -> list[PivotSlice]:
        """Look, once, for an earlier run's pivot that shows what the camera shows now; returns its slices."""
        earlier, self._recalled = self._recalled, []
        best, nearest = None, 1.0
        for taken in sorted(earlier, key=lambda one: len(one.data)):  # of two alike the finer one is the last
            if taken.shape != picture.shape:
                continue
            coded = cut(picture, taken.crop, CODED_SIZE)
            scene = self._measure(coded)
            far = distance(scene, taken.scene, self._policy.limits)
            if scene.pose is None or taken.scene.pose is None or far > nearest:
                continue
            # The same pose in front of the same wall may be somebody else's.
            if unlikeness(coded, decode_pivot(taken.data)) < ALIKE and watch.adopt(taken.crop):
                best, nearest = taken, far
        if best is None:
            return []
        self._policy.recall(taken for taken in earlier if taken.crop == best.crop)
        return self._reuse(best, profile)

    def choose(
        self, number: int, coded: Picture, crop: Crop, picture: Picture, profile: Profile
    ) -> list[PivotSlice]:
        """Look at frame `number`, coded by `crop` from a camera's picture; returns the slices of the pivot that is
        pending then."""
        current = self.current
        if self.pending is not None and not self.refining:
            return []  # one at a time: a slow link would never finish any
        if current is not None and crop == current.crop:
            if self._cuts.update(coded):
                self._forced = "scene cut"
        else:
            self._cuts.reset()
        scene: Scene | None = None
        urgent = bool(self._forced) or (current is not None and crop != current.crop)
        if number - self._measured >= (self._every // 3 if urgent else self._every):
            self._measured = number
            scene = self._measure(coded)
            if current is not None and crop == current.crop and self._originals.refines(current.pivot_id):
                self._album.add(_seen(coded, scene, picture, crop, profile))
        decision: Decision = self._policy.judge(number, crop, scene, self._forced)
        if decision.reuse is not None:
            self._forced = ""
            return self._reuse(decision.reuse, profile)
        if not decision.new:
            self._poor_since = None if scene is not None else self._poor_since
            return self._improve(number, profile)
        if self._waits(number, scene, urgent):
            return []
        self._forced = ""
        scene = scene or self._measure(coded)
        data = encode_face(coded, scene.face if profile.keypoint_step else None, profile.pivot_bytes)
        taken = Taken(content_id(data), data, crop, scene, picture.shape)
        self.pending = Pending(taken)
        self._originals.keep(taken.pivot_id, _seen(coded, scene, picture, crop, profile))
        self.choices = replace(self.choices, pivots=self.choices.pivots + 1)
        return list(slices(data, profile.slice_bytes))

    def face(self, coded: Picture) -> Landmarks | None:
        """The face in a coded picture."""
        return self._meter.face(coded)

    def watch(self, glances: Mapping[int, Glance]) -> None:
        """Frames of the running pivot, as its crop cuts them, in their order: is there a blink?"""
        current = self.current
        if current is not None and self._lacks_shut_eyes(current):
            for picture, face in glances.values():
                self._blink.look(picture, face, current.scene)

    @property
    def gate(self) -> float | None:
        """The opening of the eyes below which the running pivot's shut ones are shown (lids); None: it has none."""
        return None if self.current is None else self.current.gate

    def begin(self, number: int, shape: tuple[int, ...]) -> Taken | None:
        """The pending pivot is the current one from frame `number` on; None, and it is dropped, where the camera's size
        has changed meanwhile: the policy will ask again."""
        pending, self.pending = self.pending, None
        if pending is None or pending.taken.shape != shape:
            return None
        if self.current is None or coarsest(pending.taken.data) != coarsest(self.current.data):  # another picture
            self._album.clear()
            self._blink.clear()
            self._began = number
        if pending.is_finer:
            self._policy.refine(pending.taken)
        else:
            self._policy.take(number, pending.taken)
        return pending.taken

    def _waits(self, number: int, scene: Scene | None, urgent: bool) -> bool:
        """Whether a new pivot should wait, for shut eyes to open, or lips; scene: None where nothing was measured just
        now. urgent: what is shown is wrong without it, and lips are not waited for."""
        is_poor = scene is not None and (
            (scene.eyes is not None and scene.eyes < SHUT)
            or (not urgent and scene.lips is not None and scene.lips < TOGETHER)
        )
        since = self._poor_since
        if (since is None or scene is not None) and not is_poor:
            self._poor_since = None
            return False
        since = self._poor_since = number if since is None else since
        if number - since > PAUSE_SECONDS * self._fps:
            self._poor_since = None
            return False
        if is_poor:
            self._measured = number - self._every + self._every // 3  # look again soon
        return True

    def _reuse(self, taken: Taken, profile: Profile) -> list[PivotSlice]:
        self.pending = Pending(taken)
        self.choices = replace(self.choices, reuses=self.choices.reuses + 1)
        # On a link a receiver may have come since who has not got it; in a file everybody has.
        return list(slices(taken.data, profile.slice_bytes)) if self._paced else []

    def _improve(self, number: int, profile: Profile) -> list[PivotSlice]:
        """The slices of what takes the running pivot's place: the same with shut eyes, or a better one."""
        if self.pending is not None or self.current is None or not profile.finer_bytes:
            return []
        found = self._with_shut_eyes(self.current)
        if found is None and self._paced:
            found = self._finer(self.current, (number - self._began) / self._fps, profile)
        if found is None:
            return []
        self.pending = Pending(found.taken, is_finer=True)
        self.choices = replace(self.choices, finer=self.choices.finer + 1)
        return list(slices(found.taken.data, profile.slice_bytes))

    def _with_shut_eyes(self, current: Taken) -> Finer | None:
        if not self._blink.seen or not self._lacks_shut_eyes(current):
            return None
        job = self._originals.with_shut_eyes(current, self._blink.seen, self._blink.usual)
        if job is None:
            return None
        found = job.result()
        if found is None:
            self._blink.clear()  # it does not fit; the next one may
        return found

    def _lacks_shut_eyes(self, current: Taken) -> bool:
        """Whether it has none, and its picture is kept, beside which they are to lie."""
        return current.gate is None and current.pivot_id in self._originals

    def _finer(self, current: Taken, seconds: float, profile: Profile) -> Finer | None:
        """What is better than the running pivot, after its picture has stayed for so long."""
        enough = max(LEAST_SECONDS, STAYED * profile.pivot_interval)
        if seconds >= FINEST_SECONDS and not self._originals.refines(current.pivot_id):
            return self._originals.finest(current, profile.finest_bytes)
        if seconds >= enough:
            seen = [*self._album.seen, *self._blink.seen]
            return self._originals.finer(current, seen, profile.finer_bytes, profile.finer_side > CODED_SIZE)
        if seconds >= LEAST_SECONDS and enough >= 2 * LEAST_SECONDS:
            return self._originals.closer(current, min(profile.finer_bytes, CLOSER * profile.pivot_bytes))
        return None

    def _measure(self, coded: Picture) -> Scene:
        scene = self._meter.measure(coded)
        if self._policy.limits.unlike == float("inf"):
            return scene
        return replace(scene, look=look(coded, find_points(self._keypoints, coded)))


def _seen(coded: Picture, scene: Scene, picture: Picture, crop: Crop, profile: Profile) -> Seen:
    """A picture to keep; large where the profile has bytes for that, and the camera shows more than is coded."""
    wanted = profile.finer_side > CODED_SIZE or profile.finest_bytes
    return Seen(coded, scene, twice(picture, crop) if wanted else None)
