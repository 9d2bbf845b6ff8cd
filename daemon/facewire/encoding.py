"""Encoding: camera pictures in, messages out. No clock, no socket: time comes with the frames.

    frame -> face -> crop -> keypoints -> bundle
                       \\-> pivot, when the policy asks for one

    encoding = open_encoding(profile("vsat"))
    for frame in frames:
        for message in encoding.push(frame):
            ...

A new pivot starts a new epoch. In a file it starts at once. On a link (`paced`) the pivot's slices take their time; the
old epoch goes on, by its own crop, until `pivot_sent` says that they are out: the receiver never waits for a picture.
A pivot that stays on a link is sent once more, finer (`finer`).

No face: the last keypoints are sent again and marked (the receiver holds its picture). Several faces: the one that was
followed, else the largest. No face yet: nothing is sent.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Protocol

from facewire.deformation import Fitter, fit_bundle
from facewire.face.crop import cut
from facewire.finer import STAYED, Originals
from facewire.keyframes import CODED_SIZE, EncodingCounters, Numbers, bundle, find_points
from facewire.likeness import look
from facewire.networks import ENCODER, FITTING, Networks, open_networks
from facewire.pivots import CutDetector, Decision, Limits, PivotPolicy, Scene, Taken, distance, preset, unlikeness
from facewire.profiles import Profile
from facewire.still import calmed
from facewire.trellis import deformed
from facewire.types import Crop, Epoch, Frame, Message, Picture, Points
from facewire.watching import FaceWatch, Finder
from facewire.wire.keypoints import to_grid
from facewire.wire.pivot import content_id, decode_pivot, encode_pivot, slices

MEASURE_SECONDS = 0.48
"""Seconds between two measurements of head pose and background."""
ALIKE = 0.09
"""Mean difference of thumbnails up to which an earlier run's pivot may show what the camera shows (see pivots.CUT)."""


class Meter(Protocol):
    """Measures what a coded picture shows (scene.SceneMeter)."""

    def measure(self, picture: Picture) -> Scene: ...


@dataclass(frozen=True)
class Pending:
    """A pivot whose epoch begins when its slices are out. is_finer: it takes the place of the running one, and what is
    really needed goes before it."""

    taken: Taken
    is_sent: bool = False
    is_finer: bool = False


class Encoding:
    """The steps for one stream. Raises ModelError.

    stream: 32-bit number that names it, random if None. paced: see above. background: see finer.Originals.
    """

    def __init__(
        self,
        networks: Networks,
        profile: Profile,
        finder: Finder,
        meter: Meter,
        fps: float = 25.0,
        policy: PivotPolicy | None = None,
        stream: int | None = None,
        paced: bool = False,
        background: Executor | None = None,
    ) -> None:
        self.profile = profile
        self.fps = fps
        self.counters = EncodingCounters()
        self._network_id = networks.id
        self._keypoints = networks["keypoints"]
        self._watch = FaceWatch(finder, fps)
        self._meter = meter
        self._policy = policy or PivotPolicy(profile.pivot_interval, fps)
        self._stream = secrets.randbits(32) if stream is None else stream
        self._paced = paced
        self._numbers = Numbers(fps)
        self._cuts = CutDetector()
        self._measure_every = max(1, round(MEASURE_SECONDS * fps))
        self._measured = -self._measure_every
        self._next = 0
        self._last: Frame | None = None
        self._shape: tuple[int, ...] = ()
        self._forced = ""
        self._recalled: list[Taken] = []
        self._epochs = 0
        self._epoch: Epoch | None = None
        self._pending: Pending | None = None
        self._originals = Originals(background)
        self._coarser: tuple[bytes, bytes] | None = None
        self._networks = networks
        self._fitter: Fitter | None = None
        """Of the running epoch's pivot; None: no deformations are sent."""
        self.deforming = True
        """Whether deformations are fitted, where the profile has any: most of the work of a frame."""
        self._gathered: list[tuple[int, Points | None, Picture | None]] = []
        """Frames of the next bundle: number, keypoints (None: no face), what was coded, where it is still needed."""

    @property
    def number(self) -> int:
        """Number of the newest frame."""
        return self._numbers.last

    @property
    def face_seen(self) -> bool:
        """Whether there is a face now."""
        return self._watch.face_seen

    @property
    def epoch(self) -> Epoch | None:
        """The running epoch; None before the first keypoint frame."""
        return self._epoch

    @property
    def pending(self) -> bytes | None:
        """Content id of the pivot that waits for its slices to be sent."""
        return None if self._pending is None else self._pending.taken.pivot_id

    @property
    def refining(self) -> bool:
        """Whether that pivot is a finer one, which has time until everybody has it."""
        return self._pending is not None and self._pending.is_finer

    def push(self, frame: Frame) -> list[Message]:
        """Take the next frame; returns what is to be sent now, in order."""
        self._numbers.of(frame)
        self.counters = replace(self.counters, frames=self.counters.frames + 1)
        self._last = frame
        if frame.picture.shape != self._shape:
            self._forced = "other picture size" if self._has_begun() else ""
            self._shape = frame.picture.shape
            self._policy.forget()
        self._watch.update(frame.picture, self.number, at_once=not self._has_begun())
        if not self._has_begun() and not self._watch.stable:
            return []
        return self._code(frame.picture) if self.number >= self._next else []

    def flush(self) -> list[Message]:
        """The end of the stream: the last frame becomes a keypoint frame, what was gathered is given out."""
        out: list[Message] = []
        if self._last is not None and self._watch.crop is not None and self.number > self._next - self._every:
            out += self._code(self._last.picture)
        return out + self._take_gathered()

    def announce(self, pivots: bool = True) -> list[Message]:
        """What a late joiner needs: the epoch, and (`pivots`) every slice of its pivot and of the one on its way.

        Without pivots: the reminder that is sent at intervals.
        """
        out: list[Message] = [] if self._epoch is None else [self._epoch]
        if pivots:
            for taken in self.in_use:
                out += slices(taken.data, self.profile.slice_bytes)
        return out

    @property
    def in_use(self) -> list[Taken]:
        """The pivot that is animated, and the one on its way."""
        pending = None if self._pending is None else self._pending.taken
        return [taken for taken in (self._policy.current, pending) if taken is not None]

    def coarser(self, pivot_id: bytes) -> bytes | None:
        """The coded pivot in whose place a finer one came last; None for other pivots."""
        return self._coarser[1] if self._coarser is not None and self._coarser[0] == pivot_id else None

    def adapt(self, profile: Profile) -> None:
        """From the next keypoint frame on code as this profile says: skip, bundles, grid, how often a new pivot."""
        coarser = profile.keypoint_step != self.profile.keypoint_step
        self.profile = profile
        self._policy.set_interval(profile.pivot_interval)
        if self.refining and (coarser or not profile.finer_bytes):
            self._pending = None
        if coarser and self._pending is None and self._policy.current is not None and self._epoch is not None:
            # The grid belongs to the epoch: a new one, with the same pivot.
            self._pending = Pending(self._policy.current, is_sent=True)

    def refresh(self) -> None:
        """A new pivot is due, whatever the picture shows."""
        self._forced = "refresh" if self._has_begun() else ""

    def recall(self, earlier: Sequence[Taken]) -> None:
        """Pivots of an earlier run: the first picture is compared with them, and one that shows the same is used
        again (receivers hold it)."""
        self._recalled = list(earlier)

    def pivot_sent(self, pivot_id: bytes) -> None:
        """The slices of the pending pivot are out: its epoch starts with the next keypoint frame."""
        if self._pending is not None and pivot_id == self.pending:
            self._pending = replace(self._pending, is_sent=True)

    def view(self, picture: Picture, size: int = 2 * CODED_SIZE) -> Picture | None:
        """The part of a camera picture that is coded now, at any size; None if nothing is. For looking at only."""
        current = self._policy.current
        if current is None or picture.shape != current.shape:
            return None
        return cut(picture, current.crop, size)

    @property
    def _every(self) -> int:
        return self.profile.skip + 1

    def _has_begun(self) -> bool:
        return self._epoch is not None or self._pending is not None

    def _code(self, picture: Picture) -> list[Message]:
        """One keypoint frame, and the pivot if one is due."""
        self._next = self.number + self._every
        wanted = self._watch.crop
        out: list[Message] = []
        coded: Picture | None = None
        if wanted is not None and self._watch.face_seen:
            if self._recalled and not self._has_begun():
                out += self._recollect(picture)
                wanted = self._watch.crop or wanted
            coded = cut(picture, wanted, CODED_SIZE)
            out += self._choose_pivot(coded, wanted)
            if self._pending is not None and (not self._paced or self._pending.is_sent):
                return self._switch(picture, coded, wanted) + out + self._take_full()
        if self._epoch is not None:
            running = self._by_running_crop(picture, coded, wanted)
            self._gather(None if running is None else self._find(running), running)
        return out + self._take_full()

    def _recollect(self, picture: Picture) -> list[Message]:
        """Look for an earlier pivot that shows what the camera shows now; returns its slices if there is one."""
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
            if unlikeness(coded, decode_pivot(taken.data)) < ALIKE and self._watch.adopt(taken.crop):
                best, nearest = taken, far
        if best is None:
            return []
        self._policy.recall(taken for taken in earlier if taken.crop == best.crop)
        self._pending = Pending(best)
        self.counters = replace(self.counters, reuses=self.counters.reuses + 1)
        return list(slices(best.data, self.profile.slice_bytes)) if self._paced else []

    def _choose_pivot(self, coded: Picture, crop: Crop) -> list[Message]:
        """Asks the policy; returns the slices of a new pivot."""
        current = self._policy.current
        if self._pending is not None and not self.refining:
            return []  # one at a time: a slow link would never finish any
        if current is not None and crop == current.crop:
            if self._cuts.update(coded):
                self._forced = "scene cut"
        else:
            self._cuts.reset()
        scene: Scene | None = None
        urgent = bool(self._forced) or (current is not None and crop != current.crop)
        if self.number - self._measured >= (self._measure_every // 3 if urgent else self._measure_every):
            self._measured = self.number
            scene = self._measure(coded)
        decision: Decision = self._policy.judge(self.number, crop, scene, self._forced)
        if decision.reuse is not None:
            self._forced = ""
            self._pending = Pending(decision.reuse)
            self.counters = replace(self.counters, reuses=self.counters.reuses + 1)
            # On a link a receiver may have come since who has not got it; in a file everybody has.
            return list(slices(decision.reuse.data, self.profile.slice_bytes)) if self._paced else []
        if not decision.new:
            return self._refine()
        self._forced = ""
        data = encode_pivot(coded, self.profile.pivot_bytes)
        self._pending = Pending(Taken(content_id(data), data, crop, scene or self._measure(coded), self._shape))
        self._originals.keep(self._pending.taken.pivot_id, coded)
        self.counters = replace(self.counters, pivots=self.counters.pivots + 1)
        return list(slices(data, self.profile.slice_bytes))

    def _refine(self) -> list[Message]:
        """The slices of the running pivot in more bytes, where it has stayed for a while."""
        current, epoch = self._policy.current, self._epoch
        if not self._paced or self._pending is not None or current is None or epoch is None:
            return []
        if self.number - epoch.first_frame < STAYED * self.profile.pivot_interval * self.fps:
            return []
        finer = self._originals.finer(current, self.profile.finer_bytes)
        if finer is None:
            return []
        self._pending = Pending(finer, is_finer=True)
        self.counters = replace(self.counters, finer=self.counters.finer + 1)
        return list(slices(finer.data, self.profile.slice_bytes))

    def _measure(self, coded: Picture) -> Scene:
        scene = self._meter.measure(coded)
        if self._policy.limits.unlike == float("inf"):
            return scene
        return replace(scene, look=look(coded, self._find(coded)))

    def _switch(self, picture: Picture, coded: Picture, wanted: Crop) -> list[Message]:
        """Start the pending pivot's epoch with this frame."""
        pending, self._pending = self._pending, None
        assert pending is not None
        taken = pending.taken
        out = self._take_gathered()
        if taken.shape != picture.shape:
            return out  # the camera's size changed meanwhile; the policy will ask again
        if pending.is_finer:
            before = self._policy.current
            self._coarser = None if before is None else (taken.pivot_id, before.data)
            self._policy.refine(taken)
        else:
            self._policy.take(self.number, taken)
        coded = coded if taken.crop == wanted else cut(picture, taken.crop, CODED_SIZE)
        points = self._find(coded)
        step = self.profile.keypoint_step
        reference = to_grid(points, step) if step else None
        self._epoch = Epoch(
            stream=self._stream,
            number=self._epochs % 256,
            first_frame=self.number,
            pivot_id=taken.pivot_id,
            pivot_bytes=len(taken.data),
            coded_size=CODED_SIZE,
            fps=self.fps,
            skip=self.profile.skip,
            network=self._network_id,
            step=step,
            reference=reference,
        )
        self._epochs += 1
        kind = self.profile.live_deformation if reference is not None and "motion" in self._networks.sessions else 0
        self._fitter = Fitter(self._networks, taken.data, kind) if kind else None
        self._gather(points, coded)
        return [*out, self._epoch]

    def _by_running_crop(self, picture: Picture, coded: Picture | None, wanted: Crop | None) -> Picture | None:
        """The coded picture by the running epoch's crop; None where there is no face to find keypoints on."""
        current = self._policy.current
        assert current is not None
        if not self._watch.face_seen or current.shape != picture.shape:
            return None
        if coded is not None and wanted == current.crop:
            return coded
        return cut(picture, current.crop, CODED_SIZE) if self._watch.lies_in(current.crop) else None

    def _find(self, coded: Picture) -> Points:
        return find_points(self._keypoints, coded)

    def _gather(self, points: Points | None, coded: Picture | None) -> None:
        self._gathered.append((self.number, points, coded if self._fitter is not None else None))
        counters = self.counters
        self.counters = replace(
            counters, keypoint_frames=counters.keypoint_frames + 1, held=counters.held + (points is None)
        )

    def _take_full(self) -> list[Message]:
        return self._take_gathered() if len(self._gathered) >= self.profile.bundle_frames else []

    def _take_gathered(self) -> list[Message]:
        gathered, self._gathered = self._gathered, []
        epoch, fitter = self._epoch, self._fitter
        if not gathered or epoch is None:
            return []
        seen = [(number, points) for number, points, _ in gathered]
        message = bundle(epoch, seen if epoch.reference is None else calmed(seen, self.fps))
        if fitter is None or not self.deforming or not self.profile.live_deformation:
            return [message]
        if self._pending is not None and not self.refining:
            return [message]  # a pivot on its way needs the bytes more
        pictures = {number: coded for number, _, coded in gathered if coded is not None}
        fitted = fit_bundle(fitter, message, epoch, pictures)
        return [*deformed([message], [fitted], fitter.kind, self.profile.live_deformation_bytes)]


def open_encoding(
    profile: Profile,
    models: str = "",
    fps: float = 25.0,
    threads: int = 1,
    pivots: str = "adaptive",
    limits: Limits | None = None,
    paced: bool = False,
    networks: Networks | None = None,
    background: Executor | None = None,
) -> Encoding:
    """Encoding with the real parts: installed networks, MediaPipe. Raises ModelError, MissingDependency.

    models: directory of the networks, "" for the installed ones; pivots: one of pivots.PRESETS. networks: those that
    are open already, in whose place `models` and `threads` say nothing.
    """
    from facewire.face.finder import FaceFinder
    from facewire.scene import SceneMeter

    names = tuple(name for name in ENCODER if profile.live_deformation or name not in FITTING)
    networks = networks or open_networks(models, threads, names)
    policy = PivotPolicy(profile.pivot_interval, fps, preset(pivots, limits or Limits()), pivots != "first")
    return Encoding(
        networks, profile, FaceFinder(), SceneMeter(networks.get("background")), fps, policy, None, paced, background
    )
