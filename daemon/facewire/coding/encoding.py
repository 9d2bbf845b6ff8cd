"""Encoding: camera pictures in, messages out. No clock, no socket: time comes with the frames.

    frame -> face -> crop -> keypoints -> bundle
                       \\-> pivot, when one is due (choosing)

    encoding = open_encoding(profile("vsat"))
    for frame in frames:
        for message in encoding.push(frame):
            ...

A new pivot starts a new epoch. In a file it starts at once. On a link (`paced`) the pivot's slices take their time; the
old epoch goes on, by its own crop, until `pivot_sent` says that they are out: the receiver never waits for a picture.

No face: the last keypoints are sent again and marked (the receiver holds its picture). Several faces: the one that was
followed, else the largest. No face yet: nothing is sent.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, replace

from facewire.coding.choosing import Choosing, Meter
from facewire.coding.glances import Glances
from facewire.coding.keyframes import CODED_SIZE, EncodingCounters, Numbers, blinking, bundle, find_points
from facewire.coding.lips import Lips, spoken
from facewire.coding.pivots import Limits, PivotPolicy, Taken, preset
from facewire.coding.still import calmed
from facewire.coding.trellis import deformed
from facewire.coding.watching import FaceWatch, Finder
from facewire.face.crop import cut
from facewire.face.mesh import Landmarks, eye_opening
from facewire.networks import ENCODER, Networks, open_networks
from facewire.profiles import Profile
from facewire.showing.deformation import Fit, Fitter, Movement, displacements, fit_bundle
from facewire.types import Bundle, Crop, Epoch, Frame, Message, Picture, Points
from facewire.wire.extras import split
from facewire.wire.keypoints import to_grid
from facewire.wire.pivot import slices


class Encoding:
    """The steps for one stream. Raises ModelError.

    stream: 32-bit number that names it, random if None. paced: see above. background: see finer.Originals; beside: see
    Glances.
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
        beside: Executor | None = None,
    ) -> None:
        self.profile = profile
        self.fps = fps
        self._counters = EncodingCounters()
        self._network_id = networks.id
        self._keypoints = networks["keypoints"]
        self._watch = FaceWatch(finder, fps)
        policy = policy or PivotPolicy(profile.pivot_interval, fps)
        self._choosing = Choosing(policy, meter, self._keypoints, fps, paced, background)
        self._stream = secrets.randbits(32) if stream is None else stream
        self._numbers = Numbers(fps)
        self._next = 0
        self._last: Frame | None = None
        self._shape: tuple[int, ...] = ()
        self._epochs = 0
        self._epoch: Epoch | None = None
        self._networks = networks
        self._fittable: tuple[bytes, int] | None = None
        """The running epoch's pivot, and the kind of deformation that is fitted on it; None: none is."""
        self._fitter: Fitter | None = None
        """Made when it is needed first."""
        self.deforming = True
        """Whether deformations are fitted, where the profile has any: most of the work of a frame."""
        self._gathered: list[tuple[int, Points | None, Picture | None]] = []
        """Frames of the next bundle: number, keypoints (None: no face), what was coded, where it is still needed."""
        self._glances = Glances(self._choosing.face, beside)
        """Their faces, and those of the frames between, where they are needed."""
        self._gate: float | None = None
        """The opening of the eyes below which they are shut in the running epoch; None: its pivot has no shut ones."""
        self._mouthed: bytes | None = None
        """The running epoch's pivot, if it says where its mouth is and lips can be followed."""
        self._lips: Lips | None = None
        self._movement: Movement | None = None
        """Its lips; its movement, where no fitter knows it. Made when they are needed first."""

    @property
    def counters(self) -> EncodingCounters:
        """What happened so far."""
        return replace(self._counters, **asdict(self._choosing.choices))

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
        pending = self._choosing.pending
        return None if pending is None else pending.taken.pivot_id

    @property
    def refining(self) -> bool:
        """Whether that pivot is a finer one, which has time until everybody has it."""
        return self._choosing.refining

    def push(self, frame: Frame) -> list[Message]:
        """Take the next frame; returns what is to be sent now, in order."""
        self._numbers.of(frame)
        self._counters = replace(self._counters, frames=self._counters.frames + 1)
        self._last = frame
        if frame.picture.shape != self._shape:
            self._choosing.force("other picture size" if self._has_begun() else "")
            self._shape = frame.picture.shape
            self._choosing.resized()
        self._watch.update(frame.picture, self.number, at_once=not self._has_begun())
        if not self._has_begun() and not self._watch.stable:
            return []
        if self.number >= self._next:
            return self._code(frame.picture)
        self._glance(frame.picture)
        return []

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
        return self._choosing.in_use

    @property
    def lasting(self) -> list[Taken]:
        """Those of them with which an encoder that starts again may go on."""
        return self._choosing.lasting

    def adapt(self, profile: Profile) -> None:
        """From the next keypoint frame on code as this profile says: skip, bundles, grid, how often a new pivot."""
        new_grid = profile.keypoint_step != self.profile.keypoint_step and self._epoch is not None
        self.profile = profile
        self._choosing.adapt(profile, new_grid)

    def refresh(self) -> None:
        """A new pivot is due, whatever the picture shows."""
        self._choosing.force("refresh" if self._has_begun() else "")

    def recall(self, earlier: Sequence[Taken]) -> None:
        """Pivots of an earlier run: the first picture is compared with them, and one that shows the same is used
        again (receivers hold it)."""
        self._choosing.recall(earlier)

    def pivot_sent(self, pivot_id: bytes) -> None:
        """The slices of the pending pivot are out: its epoch starts with the next keypoint frame."""
        self._choosing.sent(pivot_id)

    def view(self, picture: Picture, size: int = 2 * CODED_SIZE) -> Picture | None:
        """The part of a camera picture that is coded now, at any size; None if nothing is. For looking at only."""
        current = self._choosing.current
        if current is None or picture.shape != current.shape:
            return None
        return cut(picture, current.crop, size)

    @property
    def _every(self) -> int:
        return self.profile.skip + 1

    def _has_begun(self) -> bool:
        return self._epoch is not None or self._choosing.pending is not None

    def _code(self, picture: Picture) -> list[Message]:
        """One keypoint frame, and the pivot if one is due."""
        self._next = self.number + self._every
        wanted = self._watch.crop
        out: list[Message] = []
        coded: Picture | None = None
        if wanted is not None and self._watch.face_seen:
            if not self._has_begun():
                out += self._choosing.recollect(picture, self._watch, self.profile)
                wanted = self._watch.crop or wanted
            coded = cut(picture, wanted, CODED_SIZE)
            out += self._choosing.choose(self.number, coded, wanted, picture, self.profile)
            if self._choosing.due:
                return self._switch(picture, coded, wanted) + out + self._take_full()
        if self._epoch is not None:
            running = self._by_running_crop(picture, coded, wanted)
            self._gather(None if running is None else self._find(running), running)
        return out + self._take_full()

    def _switch(self, picture: Picture, coded: Picture, wanted: Crop) -> list[Message]:
        """Start the pending pivot's epoch with this frame."""
        taken = self._choosing.begin(self.number, picture.shape)
        out = self._take_gathered()
        if taken is None:
            return out
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
        self._fittable = (taken.data, kind) if kind else None
        self._fitter, self._lips, self._movement = None, None, None
        follows = "motion" in self._networks.sessions and split(taken.data).mouth is not None
        self._mouthed = taken.data if follows else None
        self._gate = self._choosing.gate
        self._gather(points, coded)
        return [*out, self._epoch]

    def _by_running_crop(self, picture: Picture, coded: Picture | None, wanted: Crop | None) -> Picture | None:
        """The coded picture by the running epoch's crop; None where there is no face to find keypoints on."""
        current = self._choosing.current
        assert current is not None
        if not self._watch.face_seen or current.shape != picture.shape:
            return None
        if coded is not None and wanted == current.crop:
            return coded
        return cut(picture, current.crop, CODED_SIZE) if self._watch.lies_in(current.crop) else None

    def _find(self, coded: Picture) -> Points:
        return find_points(self._keypoints, coded)

    def _glance(self, picture: Picture) -> None:
        """Of a frame that a receiver makes up only lips and eyes are looked at."""
        if self._mouthed is None or not self.deforming:
            return
        coded = self._by_running_crop(picture, None, None)
        if coded is not None:
            self._glances.at(self.number, coded)

    def _gather(self, points: Points | None, coded: Picture | None) -> None:
        self._gathered.append((self.number, points, coded if self._fittable is not None else None))
        follows = self._mouthed is not None and self.deforming
        looks = self.profile.keypoint_step and (self._gate is not None or follows)
        if looks and points is not None and coded is not None:
            self._glances.at(self.number, coded)
        counters = self._counters
        self._counters = replace(
            counters, keypoint_frames=counters.keypoint_frames + 1, held=counters.held + (points is None)
        )

    def _take_full(self) -> list[Message]:
        return self._take_gathered() if len(self._gathered) >= self.profile.bundle_frames else []

    def _take_gathered(self) -> list[Message]:
        gathered, self._gathered = self._gathered, []
        epoch = self._epoch
        if not gathered or epoch is None:
            self._glances.take()
            return []
        seen = [(number, points) for number, points, _ in gathered]
        message = bundle(epoch, seen if epoch.reference is None else calmed(seen, self.fps))
        # A pivot on its way needs the bytes more.
        plain = epoch.reference is None or (self._choosing.pending is not None and not self.refining)
        deforms = self.deforming and not plain and self.profile.live_deformation > 0
        fitted: list[Fit] | None = None
        if deforms and self._fittable is not None:
            pictures = {number: coded for number, _, coded in gathered if coded is not None}
            self._fitter = self._fitter or Fitter(self._networks, *self._fittable)
            fitted = fit_bundle(self._fitter, message, epoch, pictures)
        glances = self._glances.take()  # looked for meanwhile
        faces = {number: glance.face for number, glance in glances.items()}
        if not plain:
            self._choosing.watch(glances)
        if self._gate is not None:
            message = blinking(message, {n for n, face in faces.items() if eye_opening(face) < self._gate})
        if fitted is not None and self._fitter is not None:
            (message,) = deformed([message], [fitted], self._fitter.kind, self.profile.live_deformation_bytes)
        return [message if plain or not self.deforming else self._spoken(message, epoch, faces, fitted)]

    def _spoken(
        self, message: Bundle, epoch: Epoch, faces: Mapping[int, Landmarks], fitted: Sequence[Fit] | None = None
    ) -> Bundle:
        """A bundle with mouths, where the pivot has one. fitted: its deformations; None: it has none."""
        if self._mouthed is None:
            return message
        if self._lips is None:
            self._lips = Lips(self._mouthed, self._choosing.face)
        if fitted is not None:
            moved = displacements(message, fitted)
        else:
            self._movement = self._movement or Movement(self._networks, self._mouthed)
            moved = self._movement.of_bundle(message, epoch)
        return spoken(message, moved, self._lips, faces, CODED_SIZE, self._gate)


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
    beside: Executor | None = None,
) -> Encoding:
    """Encoding with the real parts: installed networks, MediaPipe. Raises ModelError, MissingDependency.

    models: directory of the networks, "" for the installed ones; pivots: one of pivots.PRESETS. networks: those that
    are open already, in whose place `models` and `threads` say nothing.
    """
    from facewire.coding.scene import SceneMeter
    from facewire.face.finder import FaceFinder

    networks = networks or open_networks(models, threads, ENCODER)
    policy = PivotPolicy(profile.pivot_interval, fps, preset(pivots, limits or Limits()), pivots != "first")
    meter = SceneMeter(networks.get("background"))
    return Encoding(networks, profile, FaceFinder(), meter, fps, policy, None, paced, background, beside)
