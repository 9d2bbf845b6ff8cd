"""Encoding for files: looks at a stretch of video before it says a word about it. Messages as
facewire.coding.encoding gives them, so a receiver sees no difference; but nothing here waits for a network, so

    pivots    are chosen by trial: candidates out of the whole stretch (a pivot need not be its first frame) are coded
              to the bytes that the budget leaves, reconstructed, and scored against the real frames; earlier pivots
              compete with them, for no bytes
    eyes      that blink get a second picture in a new pivot (facewire.coding.lids)
    movement  is put right by deformations (facewire.showing.deformation) where keypoints miss the real frame; lips
              by one number a frame (facewire.coding.lips)
    bundles   are as long as they can be
    bytes     never exceed the profile's ceiling (facewire.coding.budget), what IP, TCP and ZMTP would add included

A stretch ends where the crop moves, at a cut to another scene, or after STRETCH_SECONDS. At most that many seconds of
coded pictures are held: 65 MB at 25 frames a second and skip 1.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

from facewire.coding.album import Seen as Portrait
from facewire.coding.album import fit, usual_opening
from facewire.coding.budget import Budget
from facewire.coding.keyframes import CODED_SIZE, EncodingCounters, Numbers, blinking, bundle, find_points
from facewire.coding.large import Shots, encode_large
from facewire.coding.lids import blinks, lidded
from facewire.coding.lips import FRAME_BYTES, Lips, spoken
from facewire.coding.pivots import CutDetector, Scene
from facewire.coding.plan import LEAST_PIVOT, Kept, Plan, Seen
from facewire.coding.still import calmed
from facewire.coding.trellis import deformed
from facewire.coding.watching import FaceWatch, Finder
from facewire.face.crop import cut
from facewire.face.mesh import Landmarks
from facewire.face.pose import head_pose
from facewire.link.cost import wire_bytes
from facewire.networks import SENDER, Networks, open_networks
from facewire.profiles import Profile
from facewire.showing.deformation import Fitter, displacements, fit_bundle
from facewire.types import Bundle, Crop, Epoch, Frame, Message, Picture, Points
from facewire.wire.bundles import MAX_BUNDLE_FRAMES
from facewire.wire.deformation import most_frames
from facewire.wire.keypoints import to_grid
from facewire.wire.packets import MAX_SLICE_BYTES, Packer, pack
from facewire.wire.pivot import PATIENT_SPEED, content_id, slices

STRETCH_SECONDS = 20.0
REMEMBERED = 4
"""Earlier pivots that compete with new ones."""
MOST_PIVOT = 3
"""Times the profile's pivot size that one pivot may take when there are bytes to spare."""
ANNOUNCE_SECONDS = 10.0
"""The epoch is said again after this long, for readers that begin in the middle or lost a record."""
LIDS_SHARE, LIDS_BYTES = 0.05, 450
"""Part of a pivot's bytes that shut eyes may take where somebody blinks, and how many at most."""
_SLACK = 0.97
"""Part of what is allowed that is planned for: the planned bytes of keypoints are an estimate."""


class Lookahead:
    """The steps for one file. Raises ModelError.

    adaptive False: the first frame of a stretch is its pivot, and a stretch that only goes on keeps the last one's.
    first: number of the first frame (a file that is appended to goes on counting). stream: random if None.
    landmarks: of the face in a coded picture, for blinks; None: eyes stay open.
    """

    def __init__(
        self,
        networks: Networks,
        profile: Profile,
        finder: Finder,
        fps: float = 25.0,
        adaptive: bool = True,
        first: int = 0,
        stream: int | None = None,
        cost: Callable[[int], int] = wire_bytes,
        landmarks: Callable[[Picture], Landmarks | None] | None = None,
    ) -> None:
        self.counters = EncodingCounters()
        self._networks, self._profile, self._fps, self._adaptive = networks, profile, fps, adaptive
        self._numbers = Numbers(fps, first)
        self._watch = FaceWatch(finder, fps)
        self._stream = secrets.randbits(32) if stream is None else stream
        self._cost = cost
        self._budget = Budget(profile.ceiling_kbps * 125, profile.first_pivot_seconds)
        self._first = first
        self._cuts = CutDetector()
        self._stretch: list[Seen] = []
        self._shots = Shots(MOST_PIVOT * profile.pivot_bytes)
        self._most = max(1, round(STRETCH_SECONDS * fps / (profile.skip + 1)))
        self._crop: Crop | None = None
        self._shape: tuple[int, ...] = ()
        self._goes_on = False
        self._next = first
        self._kept: list[Kept] = []
        self._landmarks = landmarks
        self._portraits: dict[int, Portrait] = {}
        """The running stretch's pictures with what is known of their faces, by frame number."""
        self._glances: dict[int, Landmarks] = {}
        """Faces of the frames between, by number."""
        self._origins: dict[bytes, int] = {}
        """Which frame of it a pivot was coded from."""
        self._epoch: Epoch | None = None
        self._fitter: tuple[bytes, Fitter, Lips | None] | None = None
        self._epochs = 0
        self._announced = first
        self._packer = Packer()
        self._waiting: Frame | None = None

    def push(self, frame: Frame) -> list[Message]:
        """Take the next frame; returns the messages of a stretch when it ends."""
        number = self._numbers.of(frame)
        self.counters = replace(self.counters, frames=self.counters.frames + 1)
        out: list[Message] = []
        if frame.picture.shape != self._shape:
            out += self._end_stretch()
            self._shape = frame.picture.shape
        begun = self._epoch is not None or bool(self._stretch)
        self._watch.update(frame.picture, number, at_once=not begun)
        self._waiting = frame if begun or self._watch.stable else None
        if self._waiting is not None and number >= self._next:
            out += self._take(frame.picture, number)
        elif self._waiting is not None:
            self._glance(frame.picture, number)
        return out

    def flush(self) -> list[Message]:
        """The end: the last frame becomes a keypoint frame, what is left of the last stretch is given out."""
        out: list[Message] = []
        if self._waiting is not None and self._numbers.last > self._next - self._profile.skip - 1:
            out += self._take(self._waiting.picture, self._numbers.last)
        return out + self._end_stretch()

    def _take(self, picture: Picture, number: int) -> list[Message]:
        self._next = number + self._profile.skip + 1
        self._waiting = None
        crop, out = self._watch.crop, []
        if crop is None:
            return []
        if crop != self._crop:
            out = self._end_stretch()
            self._crop = crop
            self._cuts.reset()
        coded = cut(picture, crop, CODED_SIZE) if self._watch.face_seen else None
        if coded is not None and self._cuts.update(coded):
            out += self._end_stretch()
        points = None if coded is None else find_points(self._networks["keypoints"], coded)
        self._stretch.append(Seen(number, coded, points))
        if coded is not None:
            self._shots.add(number, picture, crop)
        if len(self._stretch) >= self._most:
            out += self._end_stretch()
            self._goes_on = True
        return out

    def _glance(self, picture: Picture, number: int) -> None:
        """Of a frame between only the lips are looked at."""
        if self._crop is not None and self._watch.face_seen:
            face = self._find_face(cut(picture, self._crop, CODED_SIZE))
            if face is not None:
                self._glances[number] = face

    def _find_face(self, coded: Picture) -> Landmarks | None:
        if self._landmarks is None or not self._profile.keypoint_step or not self._profile.deformation:
            return None  # the last: keypoints alone are asked for
        return self._landmarks(coded)

    def _end_stretch(self) -> list[Message]:
        stretch, self._stretch = self._stretch, []
        goes_on, self._goes_on = self._goes_on, False
        if not stretch:
            return []
        if self._profile.keypoint_step:
            calm = calmed([(seen.number, seen.points) for seen in stretch], self._fps)
            stretch = [replace(seen, points=points) for seen, (_, points) in zip(stretch, calm, strict=True)]
        self._origins, self._portraits = {}, self._looked_at(stretch)
        # Frames that nobody can see begin with a frame without a face only after the first picture.
        choice = self._choose(stretch, goes_on) if any(seen.coded is not None for seen in stretch) else None
        out: list[Message] = []
        pivots: list[Kept | None] = [None] * len(stretch) if choice is None else [*choice]
        runs = groupby(zip(stretch, pivots, strict=True), key=lambda pair: pair[1])
        for kept, run in runs:
            out += self._say([seen for seen, _ in run], kept)
        self._glances = {}
        self._shots.clear()
        return out

    def _choose(self, stretch: Sequence[Seen], goes_on: bool) -> list[Kept] | None:
        """The pivot of each frame; None: none can be had, or needs to."""
        allowed = self._pivot_bytes(stretch)
        current = self._current()
        portraits = list(self._portraits.values())
        lids = min(LIDS_BYTES, int(LIDS_SHARE * allowed)) if blinks(portraits) else 0
        chosen = self._chosen(stretch, goes_on, allowed - lids, current)
        return None if chosen is None else self._with_lids(chosen, portraits, lids)

    def _chosen(
        self, stretch: Sequence[Seen], goes_on: bool, allowed: int, current: Kept | None
    ) -> list[Kept] | None:
        if not self._adaptive:
            if goes_on and current is not None:
                return [current] * len(stretch)
            first = next(seen for seen in stretch if seen.coded is not None)
            return None if allowed < LEAST_PIVOT else [self._coded(first, allowed, PATIENT_SPEED)] * len(stretch)
        may = fit(list(self._portraits.values()))
        best = {number for number, one_may in zip(self._portraits, may, strict=True) if one_may}
        large = self._shots.any
        return Plan(self._networks, stretch, self._usable(), current, allowed, self._coded, best, large).choice()

    def _looked_at(self, stretch: Sequence[Seen]) -> dict[int, Portrait]:
        out = {}
        for seen in stretch:
            face = None if seen.coded is None else self._find_face(seen.coded)
            if seen.coded is not None and face is not None:
                out[seen.number] = Portrait(seen.coded, Scene(head_pose(face, CODED_SIZE), face=face))
        return out

    def _with_lids(self, chosen: Sequence[Kept], portraits: Sequence[Portrait], most: int) -> list[Kept]:
        """New pivots with shut eyes, where a blink was seen, in so many bytes more."""
        known = {kept.pivot_id for kept in self._kept}
        new = {kept.pivot_id: kept for kept in chosen if kept.pivot_id not in known}
        for pivot_id, kept in new.items():
            portrait = self._portraits.get(self._origins[pivot_id])
            if portrait is None or not most:
                continue
            share = most // len(new)
            made = lidded(kept.data, portrait, portraits, usual_opening(portraits), share)
            allowed = len(kept.data) + share
            large, face = self._shots.get(self._origins[pivot_id]), portrait.scene.face
            data = made.data if made else encode_large(portrait.picture, large, face, allowed, PATIENT_SPEED)
            new[pivot_id] = replace(kept, pivot_id=content_id(data), data=data, gate=made.gate if made else None)
        return [new.get(kept.pivot_id, kept) for kept in chosen]

    def _are_shut(self, number: int, kept: Kept) -> bool:
        portrait = None if kept.gate is None else self._portraits.get(number)
        openness = None if portrait is None else portrait.scene.eyes
        return kept.gate is not None and openness is not None and openness < kept.gate

    def _pivot_bytes(self, stretch: Sequence[Seen]) -> int:
        """Bytes that pivots of a stretch may take, framing excluded."""
        begin = (stretch[0].number - self._first) / self._fps
        end = (stretch[-1].number - self._first + 1) / self._fps
        points = [seen.points for seen in stretch if seen.points is not None]
        probe = self._new_epoch(stretch[0].number, bytes(8), 1, points[0])
        parts = [stretch[at : at + MAX_BUNDLE_FRAMES] for at in range(0, len(stretch), MAX_BUNDLE_FRAMES)]
        messages: list[Message] = [probe]
        messages += [bundle(probe, [(seen.number, seen.points) for seen in part]) for part in parts]
        keypoints = sum(self._cost(len(pack(message))) for message in messages)
        if self._deforms:
            keypoints += round((self._profile.deformation_bytes + FRAME_BYTES) * len(points))
        most = MOST_PIVOT * self._profile.pivot_bytes
        allowed = min(most, _SLACK * (self._budget.allowance(begin, end) - keypoints))
        if self._profile.first_pivot_seconds and self._epoch is None:
            allowed = min(allowed, self._profile.first_pivot_seconds * self._profile.ceiling_kbps * 125)
        framing = self._cost(int(max(0, allowed))) - int(max(0, allowed)) + 14
        return int(allowed) - framing

    def _coded(self, seen: Seen, allowed: int, speed: int) -> Kept:
        assert seen.coded is not None
        assert self._crop is not None
        # What is only tried is tried at the coded size.
        large = self._shots.get(seen.number) if speed == PATIENT_SPEED else None
        data = encode_large(seen.coded, large, self._face(seen.number), allowed, speed)
        self._origins[content_id(data)] = seen.number
        return Kept(content_id(data), data, self._crop, self._shape)

    def _usable(self) -> list[Kept]:
        """Earlier pivots that were cut as this stretch is."""
        return [kept for kept in self._kept if kept.crop == self._crop and kept.shape == self._shape][-REMEMBERED:]

    def _current(self) -> Kept | None:
        name = None if self._epoch is None else self._epoch.pivot_id
        return next((kept for kept in self._usable() if kept.pivot_id == name), None)

    def _say(self, run: Sequence[Seen], kept: Kept | None) -> list[Message]:
        """The messages of a run of frames with one pivot; kept None: the receiver holds its picture."""
        out: list[Message] = []
        first = next((seen for seen in run if seen.points is not None), None)
        if kept is not None and first is not None and first.points is not None:
            out += self._open(run[0].number, kept, first.points)
        elif self._epoch is None:
            return []
        epoch = self._epoch
        assert epoch is not None
        most = min(MAX_BUNDLE_FRAMES, most_frames(self._profile.deformation))
        seen_points = [(seen.number, seen.points if kept is not None else None) for seen in run]
        shut = {seen.number for seen in run if kept is not None and self._are_shut(seen.number, kept)}
        parts = (seen_points[at : at + most] for at in range(0, len(run), most))
        bundles = [blinking(bundle(epoch, part), shut) for part in parts]
        if self._deforms and kept is not None:
            bundles = self._deformed(bundles, run, epoch, kept)
        for part in bundles:
            frames = part.frames
            if frames[0].number - self._announced >= ANNOUNCE_SECONDS * self._fps:
                self._announced = frames[0].number
                out.append(epoch)
            out.append(part)
            held = sum(frame.low_confidence for frame in frames)
            self.counters = replace(
                self.counters,
                keypoint_frames=self.counters.keypoint_frames + len(frames),
                held=self.counters.held + held,
            )
        time = (run[0].number - self._first) / self._fps
        for message in out:
            self._budget.spend(time, self._cost(len(self._packer.pack(message))))
        return out

    @property
    def _deforms(self) -> bool:
        return self._profile.deformation > 0 and self._profile.keypoint_step > 0 and "motion" in self._networks.sessions

    def _deformed(self, bundles: Sequence[Bundle], run: Sequence[Seen], epoch: Epoch, kept: Kept) -> list[Bundle]:
        """The bundles of a run with deformations that take the profile's bytes a frame at most, all in all."""
        if self._fitter is None or self._fitter[0] != kept.pivot_id:
            fitter = Fitter(self._networks, kept.data, self._profile.deformation)
            lips = None if self._landmarks is None else Lips(kept.data, self._landmarks)
            self._fitter = kept.pivot_id, fitter, lips
        _, fitter, lips = self._fitter
        pictures = {seen.number: seen.coded for seen in run if seen.coded is not None}
        fitted = [fit_bundle(fitter, message, epoch, pictures) for message in bundles]
        out = deformed(bundles, fitted, fitter.kind, self._profile.deformation_bytes)
        if lips is None:
            return out
        faces = self._glances | {seen.number: face for seen in run if (face := self._face(seen.number)) is not None}
        return [
            spoken(part, displacements(part, fits), lips, faces, CODED_SIZE, kept.gate)
            for part, fits in zip(out, fitted, strict=True)
        ]

    def _face(self, number: int) -> Landmarks | None:
        portrait = self._portraits.get(number)
        return None if portrait is None else portrait.scene.face

    def _open(self, number: int, kept: Kept, points: Points) -> list[Message]:
        """Pivot and epoch, where they are not the running ones."""
        if self._epoch is not None and self._epoch.pivot_id == kept.pivot_id and kept in self._usable():
            return []
        out: list[Message] = []
        known = any(old.pivot_id == kept.pivot_id for old in self._kept)
        if not known:
            out += slices(kept.data, MAX_SLICE_BYTES)
        self._kept = [*(old for old in self._kept if old.pivot_id != kept.pivot_id), kept][-8 * REMEMBERED :]
        self._epoch = self._new_epoch(number, kept.pivot_id, len(kept.data), points)
        self._epochs += 1
        self._announced = number
        self.counters = replace(
            self.counters, pivots=self.counters.pivots + (not known), reuses=self.counters.reuses + known
        )
        return [*out, self._epoch]

    def _new_epoch(self, number: int, pivot_id: bytes, pivot_bytes: int, points: Points) -> Epoch:
        step = self._profile.keypoint_step
        return Epoch(
            stream=self._stream,
            number=self._epochs % 256,
            first_frame=number,
            pivot_id=pivot_id,
            pivot_bytes=pivot_bytes,
            coded_size=CODED_SIZE,
            fps=self._fps,
            skip=self._profile.skip,
            network=self._networks.id,
            step=step,
            reference=to_grid(points, step) if step else None,
        )


def open_lookahead(
    profile: Profile,
    models: str = "",
    fps: float = 25.0,
    threads: int = 2,
    pivots: str = "adaptive",
    first: int = 0,
    networks: Networks | None = None,
) -> Lookahead:
    """Lookahead with the real parts: installed networks (or those that are open already), MediaPipe. Raises ModelError,
    MissingDependency."""
    from facewire.face.finder import FaceFinder
    from facewire.face.mesh import FaceMesh

    networks = networks or open_networks(models, threads, SENDER)
    landmarks = FaceMesh().landmarks
    return Lookahead(networks, profile, FaceFinder(), fps, pivots != "first", first, landmarks=landmarks)
