from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.coding.choosing import PAUSE_SECONDS
from facewire.coding.encoding import Encoding
from facewire.coding.finer import CLOSER, FINEST_SECONDS, LEAST_SECONDS, STAYED
from facewire.coding.keyframes import CODED_SIZE
from facewire.coding.lids import MAX_BYTES
from facewire.coding.pivots import Limits, PivotPolicy, Scene
from facewire.face.box import FaceBox
from facewire.face.mesh import LEFT_EYE, OVAL, RIGHT_EYE, Landmarks
from facewire.face.pose import HeadPose
from facewire.networks import ENCODER, Networks, open_networks
from facewire.outgoing.ladder import shaped
from facewire.profiles import Profile, profile
from facewire.types import Between, Bundle, Crop, Epoch, Frame, KeypointFrame, Message, Picture, PivotSlice
from facewire.wire.assembler import PivotAssembler
from facewire.wire.keypoints import from_grid
from facewire.wire.packets import pack, parse
from facewire.wire.pivot import coarsest, decode_pivot, decode_whole

LINK = replace(profile("vsat"), pivot_bytes=3000)
SHAPE = (240, 320, 3)


def camera(number: int = 0, shape: tuple[int, int, int] = SHAPE) -> Picture:
    """A smooth picture whose brightness swings with the frame number."""
    height, width, _ = shape
    ramp = np.add.outer(np.linspace(0, 80, height), np.linspace(0, 80, width))[:, :, None] + (0, 20, 40)
    return (ramp + abs(number % 100 - 50)).astype(np.uint8)


class Keypoints:
    """A keypoint network whose points follow the picture's brightness; remembers how often it ran."""

    inputs: Mapping[str, tuple[int | None, ...]] = {"picture": (1, 3, 64, 64)}
    outputs: Mapping[str, tuple[int | None, ...]] = {"keypoints": (1, 10, 2)}

    def __init__(self) -> None:
        self.means: list[float] = []

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        self.means.append(float(inputs["picture"].mean()))
        return {"keypoints": np.full((1, 10, 2), self.means[-1] - 0.5, np.float32)}


class Faces:
    """A finder that is told what to find."""

    def __init__(self, face: FaceBox | None = FaceBox(110, 60, 100, 100, 0.9)) -> None:  # noqa: B008
        self.face = face
        self.looks = 0

    def find(self, picture: Picture) -> list[FaceBox]:
        self.looks += 1
        return [] if self.face is None else [self.face]


def face(openness: float, apart: float | None = None) -> Landmarks:
    """A coded picture's landmarks with eyes so far open, and lips so many pixels apart (None: no mouth)."""
    marks = np.zeros((478, 3), np.float32)
    corners = {33: (90, 100), 133: (115, 100), 362: (140, 100), 263: (165, 100)}
    lids = {159: (102, 100 - 25 * openness), 145: (102, 100), 386: (152, 100 - 25 * openness), 374: (152, 100)}
    rest = {168: (128, 95), 6: (128, 105), 197: (128, 115), 1: (128, 130), 4: (128, 125)}
    others = {50: (80, 130), 280: (176, 130), 9: (128, 85)}
    for index, place in {**corners, **lids, **rest, **others}.items():
        marks[index, :2] = place
    for index in (*LEFT_EYE, *RIGHT_EYE):
        if index not in corners and index not in lids:
            marks[index, :2] = (102 if index in LEFT_EYE else 152, 100)
    for at, index in enumerate(OVAL):
        turn = 2 * np.pi * at / len(OVAL)
        marks[index, :2] = 128 + 70 * np.sin(turn), 125 - 85 * np.cos(turn)
    if apart is None:
        marks[14, 1] = 1.0  # not together, whatever they are
    else:
        marks[[78, 308], :2] = (108, 160), (148, 160)
        for sign, inner, outer in ((-1, (82, 13, 312), (37, 0, 267)), (1, (87, 14, 317), (84, 17, 314))):
            for at, x in enumerate((120, 128, 136)):
                marks[inner[at], :2] = x, 160 + sign * apart / 2
                marks[outer[at], :2] = x, 160 + sign * (apart / 2 + 6)
    return marks


class Head:
    """A meter that is told what to measure."""

    def __init__(self) -> None:
        self.yaw = 0.0
        self.openness = 0.3
        self.apart: float | None = None
        self.measurements = self.looks = 0

    def measure(self, picture: Picture) -> Scene:
        assert picture.shape == (CODED_SIZE, CODED_SIZE, 3)
        self.measurements += 1
        return Scene(HeadPose(self.yaw, 0.0, 0.0), face=face(self.openness, self.apart))

    def face(self, picture: Picture) -> Landmarks:
        self.looks += 1
        return face(self.openness, self.apart)


class AtOnce(Executor):
    """An executor that is never busy: what the fake camera shows changes."""

    def submit(self, work: Any, /, *args: Any, **more: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work(*args, **more))
        return done


class Bench:
    """An Encoding with its fakes, and a feed of frames."""

    def __init__(
        self,
        paced: bool = False,
        interval: float = 1.0,
        skip: int = 1,
        bundle_frames: int = 2,
        unlike: float = float("inf"),  # the camera's picture swings: off where it is not what is tested
        models: Path | None = None,  # of the networks that fit deformations
        beside: Executor | None = None,
        link: Profile = LINK,
    ) -> None:
        self.keypoints, self.faces, self.head = Keypoints(), Faces(), Head()
        self.shape = SHAPE
        self.fed = 0
        link = replace(link, skip=skip, bundle_frames=bundle_frames)
        sessions = {} if models is None else open_networks(models, names=ENCODER).sessions
        if models is not None:
            link = replace(link, live_deformation=2, live_deformation_bytes=200.0)
        self.encoding = Encoding(
            Networks(b"netw", {**sessions, "keypoints": self.keypoints}),
            link,
            self.faces,
            self.head,
            policy=PivotPolicy(interval, 25.0, Limits(unlike=unlike)),
            stream=7,
            paced=paced,
            beside=beside,
        )

    def feed(self, count: int) -> list[Message]:
        out: list[Message] = []
        for _ in range(count):
            out += self.encoding.push(Frame(camera(self.fed, self.shape), self.fed / 25))
            self.fed += 1
        return out


def viewed(bench: Bench) -> Picture:
    view = bench.encoding.view(camera(0), 64)
    assert view is not None
    return view


Kind = TypeVar("Kind", Epoch, PivotSlice, Bundle)


def of(kind: type[Kind], messages: Iterable[Message]) -> list[Kind]:
    return [message for message in messages if isinstance(message, kind)]


def frames_of(messages: Iterable[Message]) -> list[KeypointFrame]:
    return [frame for message in messages if isinstance(message, Bundle) for frame in message.frames]


def epochs_of(messages: Iterable[Message]) -> list[Epoch]:
    return [message for message in messages if isinstance(message, Epoch)]


def test_a_stream_is_an_epoch_its_pivot_and_bundles() -> None:
    bench = Bench()
    messages = bench.feed(21) + bench.encoding.flush()
    assert isinstance(messages[0], Epoch)
    assert messages[0].first_frame == 0
    assert messages[0].stream == 7
    slices = [message for message in messages if isinstance(message, PivotSlice)]
    assert messages[1 : 1 + len(slices)] == slices
    assert all(len(part.data) <= LINK.slice_bytes for part in slices)
    assembler = PivotAssembler()
    whole = [data for part in slices if (data := assembler.add(part)) is not None]
    assert len(whole) == 1
    assert len(whole[0]) == messages[0].pivot_bytes <= LINK.pivot_bytes
    assert decode_pivot(whole[0]).shape == (CODED_SIZE, CODED_SIZE, 3)
    assert [frame.number for frame in frames_of(messages)] == list(range(0, 21, 2))
    assert all(parse(pack(message)) == message for message in messages if not isinstance(message, Bundle))


def test_the_points_arrive_as_the_network_found_them() -> None:
    bench = Bench(skip=0)
    messages = bench.feed(40) + bench.encoding.flush()
    epoch = epochs_of(messages)[0]
    means = bench.keypoints.means
    sent = [float(from_grid(frame.points, epoch.step, epoch.reference)[0, 0]) for frame in frames_of(messages)]
    assert len(sent) == 40
    assert np.allclose(sent, np.array(means) - 0.5, atol=0.71 * epoch.step / 128)


def test_deformations_go_with_the_points_until_they_are_too_much_work(tiny_models: Path) -> None:
    bench = Bench(models=tiny_models)
    assert all(frame.deformation is not None for frame in frames_of(bench.feed(20)))
    bench.encoding.deforming = False
    bench.feed(4)  # what was gathered before
    assert all(frame.deformation is None for frame in frames_of(bench.feed(20)))


@pytest.mark.parametrize("skip", [0, 1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_the_last_frame_is_always_a_keypoint_frame(skip: int, count: int) -> None:
    bench = Bench(skip=skip, bundle_frames=3)
    numbers = [frame.number for frame in frames_of(bench.feed(count) + bench.encoding.flush())]
    assert numbers == sorted({*range(0, count, skip + 1), count - 1})


def test_no_face_means_no_message() -> None:
    bench = Bench()
    bench.faces.face = None
    assert bench.feed(50) + bench.encoding.flush() == []
    assert bench.encoding.announce() == []
    bench.faces.face = FaceBox(110, 60, 100, 100, 0.9)
    assert epochs_of(bench.feed(3))[0].first_frame == 50


def test_a_doubtful_face_is_looked_at_three_times() -> None:
    bench = Bench()
    bench.faces.face = FaceBox(110, 60, 100, 100, 0.55)
    assert bench.feed(2) == []
    assert epochs_of(bench.feed(2))[0].first_frame == 2


def test_a_doubtful_face_of_a_short_clip_is_better_than_none() -> None:
    bench = Bench()
    bench.faces.face = FaceBox(110, 60, 100, 100, 0.55)
    messages = bench.feed(1) + bench.encoding.flush()
    assert [frame.number for frame in frames_of(messages)] == [0]


def test_the_face_is_looked_for_now_and_then() -> None:
    bench = Bench()
    bench.feed(101)
    assert bench.faces.looks == 21
    assert bench.head.measurements <= 11


def test_a_lost_face_holds_the_picture_and_comes_back() -> None:
    bench = Bench()
    bench.feed(20)
    bench.faces.face = None
    held = frames_of(bench.feed(40))
    assert held[-1].low_confidence
    assert (held[-1].points == held[-2].points).all()
    assert not bench.encoding.face_seen
    bench.faces.face = FaceBox(110, 60, 100, 100, 0.9)
    again = frames_of(bench.feed(20))
    assert not again[-1].low_confidence
    assert bench.encoding.counters.held > 10


def test_one_missed_look_holds_nothing() -> None:
    bench = Bench()
    bench.feed(21)
    face, bench.faces.face = bench.faces.face, None
    bench.feed(5)
    bench.faces.face = face
    bench.feed(20)
    assert bench.encoding.counters.held == 0


def test_a_turned_head_starts_an_epoch_and_the_old_bundle_goes_first() -> None:
    bench = Bench(bundle_frames=4)
    bench.feed(50)
    bench.head.yaw = 30.0
    messages = bench.feed(50)
    epoch = epochs_of(messages)[0]
    at = messages.index(epoch)
    assert epoch.number == 1
    assert all(isinstance(message, Bundle) and message.epoch == 0 for message in messages[:at])
    assert all(message.epoch == 1 for message in messages[at:] if isinstance(message, Bundle))
    numbers = [frame.number for frame in frames_of(messages)]
    assert numbers == list(range(numbers[0], numbers[-1] + 1, 2))
    assert epoch.first_frame in numbers


def test_a_head_that_turns_back_costs_no_picture() -> None:
    bench = Bench()
    first = epochs_of(bench.feed(50))[0]
    for yaw in (30.0, 0.0):
        bench.head.yaw = yaw
        messages = bench.feed(60)
    assert epochs_of(messages)[0].pivot_id == first.pivot_id
    assert not of(PivotSlice, messages)
    assert bench.encoding.counters.reuses == 1


def test_on_a_link_the_old_epoch_goes_on_until_the_pivot_is_out() -> None:
    bench = Bench(paced=True)
    start = bench.feed(1)
    assert start == of(PivotSlice, start)
    assert bench.feed(20) == []
    assert bench.encoding.pending is not None
    bench.encoding.pivot_sent(b"another!")
    assert bench.feed(2) == []
    bench.encoding.pivot_sent(bench.encoding.pending)
    assert epochs_of(bench.feed(2))[0].first_frame == 24
    bench.feed(30)
    bench.head.yaw = 30.0
    messages = bench.feed(60)
    assert of(PivotSlice, messages)
    assert not epochs_of(messages)
    assert len(frames_of(messages)) == 30
    pending = bench.encoding.pending
    assert pending is not None
    bench.encoding.pivot_sent(pending)
    assert epochs_of(bench.feed(2))[0].pivot_id == pending


def noisy(number: int, shape: tuple[int, int, int] = SHAPE, seed: int = 1) -> Picture:
    """A picture that no coder makes small."""
    return np.random.default_rng(seed).integers(0, 255, shape, np.uint8)


@pytest.fixture
def stays(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A link on which the first pivot was just sent once more, finer, and is not there yet."""
    monkeypatch.setattr(sys.modules[__name__], "camera", noisy)
    bench = Bench(paced=True)
    bench.feed(1)
    assert bench.encoding.pending is not None
    bench.encoding.pivot_sent(bench.encoding.pending)
    wait = round(STAYED * LINK.pivot_interval * 25)
    assert not of(PivotSlice, bench.feed(wait))
    parts = of(PivotSlice, bench.feed(4))
    assert {part.pivot_id for part in parts} == {bench.encoding.pending}
    assert LINK.pivot_bytes < parts[0].total <= LINK.finer_bytes
    return bench


def test_a_pivot_that_stays_is_sent_once_more_finer(stays: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first, finer = stays.encoding.in_use
    assert stays.encoding.lasting == [first]  # who starts again must not animate what nobody has as a whole
    numbers = [frame.number for frame in frames_of(stays.feed(50))]
    assert numbers == list(range(numbers[0], numbers[0] + 48, 2))
    stays.encoding.pivot_sent(finer.pivot_id)
    epoch = epochs_of(stays.feed(4))[0]
    assert (epoch.pivot_id, epoch.pivot_bytes) == (finer.pivot_id, len(finer.data))
    assert (finer.crop, finer.scene) == (first.crop, first.scene)
    assert finer.data.startswith(first.data)
    assert stays.encoding.lasting == [finer]
    # Once, and a head that turns back finds the finer one.
    assert not of(PivotSlice, stays.feed(300))
    for yaw, seed in ((30.0, 2), (0.0, 1)):
        stays.head.yaw = yaw
        monkeypatch.setattr(sys.modules[__name__], "camera", partial(noisy, seed=seed))
        stays.feed(60)
        assert stays.encoding.pending is not None
        stays.encoding.pivot_sent(stays.encoding.pending)
        epoch = epochs_of(stays.feed(4))[0]
    assert epoch.pivot_id == finer.pivot_id
    counters = stays.encoding.counters
    assert (counters.pivots, counters.finer, counters.reuses) == (2, 1, 1)


@pytest.mark.parametrize(("face_side", "is_large"), [(100, False), (220, True)])
def test_what_is_finer_is_large_where_the_camera_shows_more_than_is_coded(
    monkeypatch: pytest.MonkeyPatch, face_side: int, is_large: bool
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "camera", noisy)
    bench = Bench(paced=True, link=replace(LINK, finer_side=512, finer_bytes=60_000))
    bench.shape = (720, 1280, 3)
    bench.faces.face = FaceBox(500, 250, face_side, face_side, 0.9)
    parts = of(PivotSlice, bench.feed(1))
    bench.encoding.pivot_sent(parts[0].pivot_id)
    bench.feed(round(max(LEAST_SECONDS, STAYED * LINK.pivot_interval) * 25) + 8)
    _, finer = bench.encoding.in_use
    large = decode_whole(finer.data).large
    assert (large is not None) == is_large
    assert large is None or large.picture.shape == (512, 512, 3)


def test_where_a_better_picture_is_long_to_wait_for_the_same_one_comes_closer_before_and_finest_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "camera", noisy)
    narrow = replace(LINK, pivot_interval=10.0, finer_side=256, finer_bytes=12_000)
    narrow = replace(narrow, finest_bytes=60_000)
    bench = Bench(paced=True, link=narrow)
    bench.shape = (720, 1280, 3)
    bench.faces.face = FaceBox(500, 250, 220, 220, 0.9)
    seconds, totals, are_large = [], [], []
    for _ in range(800):
        for part in of(PivotSlice, bench.feed(1))[:1]:
            seconds.append(bench.fed / 25)
            totals.append(part.total)
            are_large.append(decode_whole(bench.encoding.in_use[-1].data).large is not None)
            assert part.pivot_id == bench.encoding.pending
            bench.encoding.pivot_sent(part.pivot_id)
    assert seconds == pytest.approx([0, LEAST_SECONDS, STAYED * narrow.pivot_interval, FINEST_SECONDS], abs=0.3)
    budgets = (narrow.pivot_bytes, CLOSER * narrow.pivot_bytes, narrow.finer_bytes, narrow.finest_bytes)
    for total, most in zip(totals, budgets, strict=True):
        assert 0.8 * most < total <= most
    assert are_large == [False, False, False, True]


def blink(bench: Bench, openness: float = 0.05) -> list[Message]:
    """The eyes shut for 0.16 s, and are open again."""
    bench.head.openness = openness
    out = bench.feed(4)
    bench.head.openness = 0.3
    return out + bench.feed(12)


@pytest.fixture
def talks(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A link on which somebody has a first pivot, whose eyes are open."""
    monkeypatch.setattr(sys.modules[__name__], "camera", noisy)
    monkeypatch.setattr("facewire.coding.blink.head_pose", lambda *_: HeadPose(0.0, 0.0, 0.0))
    bench = Bench(paced=True, models=tiny_models)
    bench.head.apart = 6.0
    bench.feed(1)
    assert bench.encoding.pending is not None
    bench.encoding.pivot_sent(bench.encoding.pending)
    return bench


def test_after_a_blink_the_pivot_goes_on_with_shut_eyes(talks: Bench) -> None:
    bench = talks
    assert not of(PivotSlice, bench.feed(16) + blink(bench, 0.2))  # no blink: half open
    parts = of(PivotSlice, blink(bench))
    open_eyes, both = bench.encoding.in_use
    assert {part.pivot_id for part in parts} == {both.pivot_id}
    assert both.data.startswith(open_eyes.data)
    assert 0 < len(both.data) - len(open_eyes.data) <= MAX_BYTES
    bench.encoding.pivot_sent(both.pivot_id)
    bench.head.openness = 0.05
    messages = bench.feed(20)
    assert [epoch.pivot_id for epoch in epochs_of(messages)] == [both.pivot_id]
    assert all(frame.shut for frame in frames_of(messages)[4:])
    bench.head.openness = 0.3
    assert not any(frame.shut for frame in frames_of(bench.feed(20))[4:])
    assert not of(PivotSlice, blink(bench))  # once
    # It is the same picture, and what is seen of it counts from its beginning: the finer one does not come later.
    wait = round(max(LEAST_SECONDS, STAYED * LINK.pivot_interval) * 25) + 1
    parts = of(PivotSlice, bench.feed(wait - bench.fed + 6))
    assert parts
    assert parts[0].total > len(both.data)
    finer = bench.encoding.in_use[1]
    assert finer.gate is not None


def test_shut_eyes_that_do_not_fit_are_waited_for_again(talks: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    talks.feed(8)
    with monkeypatch.context() as nothing:
        nothing.setattr("facewire.coding.finer.lidded", lambda *_: None)
        assert not of(PivotSlice, blink(talks))
    assert not of(PivotSlice, talks.feed(20))
    assert of(PivotSlice, blink(talks))


def test_a_blink_is_no_pivot() -> None:
    bench = Bench()
    bench.head.openness = 0.1
    assert not of(PivotSlice, bench.feed(8))
    bench.head.openness = 0.3
    assert len({part.pivot_id for part in of(PivotSlice, bench.feed(6))}) == 1


def test_lips_that_are_together_are_waited_for_but_not_where_the_scene_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    bench.head.apart = 0.5
    assert not of(PivotSlice, bench.feed(8))
    bench.head.apart = 6.0
    assert of(PivotSlice, bench.feed(6))
    bench.feed(100)
    bench.head.apart = 0.5
    monkeypatch.setattr(sys.modules[__name__], "camera", lambda _, shape: np.full(shape, 240, np.uint8))
    assert of(PivotSlice, bench.feed(8))


@pytest.mark.parametrize(("openness", "apart"), [(0.1, None), (0.3, 0.5)])
def test_eyes_and_lips_that_stay_shut_are_taken_as_they_are(openness: float, apart: float | None) -> None:
    bench = Bench()
    bench.head.openness, bench.head.apart = openness, apart
    shown = next(number for number in range(100) if of(PivotSlice, bench.feed(1)))
    assert PAUSE_SECONDS * 25 < shown <= PAUSE_SECONDS * 25 + 4


def test_what_was_seen_meanwhile_may_be_the_better_pivot() -> None:
    """The camera's picture is brightest at first; most of the time it is darker."""
    bench = Bench(paced=True, unlike=0.9)
    first = of(PivotSlice, bench.feed(20))[0].pivot_id
    bench.encoding.pivot_sent(first)
    bench.feed(round(STAYED * LINK.pivot_interval * 25) + 20)
    before, finer = bench.encoding.in_use
    assert (before.pivot_id, finer.crop) == (first, before.crop)
    assert decode_pivot(finer.data).mean() < decode_pivot(before.data).mean() - 10
    coarser = coarsest(finer.data)
    assert len(coarser) <= len(before.data)
    assert abs(decode_pivot(coarser).mean() - decode_pivot(finer.data).mean()) < 3


@pytest.mark.parametrize("kind", [0, 2])
def test_lips_move_where_the_pivot_has_a_mouth(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    """Where deformations go with the points, and where none do."""
    bench = Bench(paced=True, models=tiny_models)
    bench.encoding.profile = replace(bench.encoding.profile, live_deformation=kind, live_deformation_bytes=0.0)
    still = {"keypoints": np.zeros((1, 10, 2), np.float32)}
    monkeypatch.setattr(bench.keypoints, "run", lambda _: still)
    bench.head.apart = 6.0
    slices = of(PivotSlice, bench.feed(20))
    mouth = decode_whole(b"".join(part.data for part in slices)).mouth
    assert mouth is not None
    assert (mouth.left, mouth.right, mouth.below) == ((108, 160), (148, 160), 0)
    bench.encoding.pivot_sent(slices[0].pivot_id)
    assert {frame.mouth for frame in frames_of(bench.feed(16))} == {0}
    bench.head.apart = 0.0
    shut = frames_of(bench.feed(16))[-4:]
    bench.head.apart = 14.0
    opened = frames_of(bench.feed(24))[-4:]
    assert min(frame.mouth for frame in shut) >= 2
    assert max(frame.mouth for frame in opened) <= -2
    bench.encoding.deforming = False
    looks = bench.head.looks
    bench.feed(8)
    assert {frame.mouth for frame in frames_of(bench.feed(16))} == {0}
    assert bench.head.looks == looks


@pytest.mark.parametrize("beside", [False, True])
def test_lips_between_two_frames_are_looked_at(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    bench = Bench(models=tiny_models, beside=AtOnce() if beside else None)
    bench.encoding.profile = replace(bench.encoding.profile, live_deformation=0)
    still = {"keypoints": np.zeros((1, 10, 2), np.float32)}
    monkeypatch.setattr(bench.keypoints, "run", lambda _: still)
    bench.head.apart = 8.0
    bench.feed(21)
    told: list[tuple[Between, ...]] = []
    for number in range(12):  # each fourth frame, an interpolated one, shows shut lips
        bench.head.apart = 0.0 if number % 4 == 0 else 8.0
        told += [frame.between for frame in frames_of(bench.feed(1))]
    spoken = [one[0].mouth for one in told if one]
    assert len(spoken) >= 4
    assert min(spoken[0::2]) >= 2 > max(spoken[1::2]) or min(spoken[1::2]) >= 2 > max(spoken[0::2])


def test_a_blink_that_was_seen_is_shown_from_then_on() -> None:
    bench = Bench(paced=True, unlike=0.9)
    bench.encoding.pivot_sent(of(PivotSlice, bench.feed(20))[0].pivot_id)
    assert not any(frame.shut for frame in frames_of(bench.feed(100)))
    bench.head.openness = 0.05
    assert not any(frame.shut for frame in frames_of(bench.feed(24)))  # nobody could show it yet
    bench.head.openness = 0.3
    bench.feed(round(STAYED * LINK.pivot_interval * 25))
    _, finer = bench.encoding.in_use
    assert finer.gate is not None
    assert decode_whole(finer.data).shut is not None
    assert bench.head.looks == 0
    bench.encoding.pivot_sent(finer.pivot_id)
    bench.feed(4)
    bench.head.openness = 0.05
    blinking = frames_of(bench.feed(12))
    bench.head.openness = 0.3
    blinking += frames_of(bench.feed(12))
    assert [frame.shut for frame in blinking] == sorted([frame.shut for frame in blinking], reverse=True)
    assert 4 <= sum(frame.shut for frame in blinking) <= 7


def test_a_pivot_that_is_needed_does_not_wait_for_a_finer_one(stays: Bench) -> None:
    finer = stays.encoding.pending
    stays.head.yaw = 30.0
    parts = of(PivotSlice, stays.feed(60))
    assert {part.pivot_id for part in parts} == {stays.encoding.pending} != {finer}


@pytest.mark.parametrize("step", [1, 2])
def test_a_link_that_is_too_narrow_gets_no_finer_pivot(stays: Bench, step: int) -> None:
    running = stays.encoding.in_use[0].pivot_id
    stays.encoding.adapt(shaped(LINK, step))
    assert stays.encoding.pending == (running if step == 2 else None)  # another grid needs an epoch
    assert not of(PivotSlice, stays.feed(300))


def test_while_a_pivot_for_a_new_crop_is_on_its_way_the_old_crop_is_coded() -> None:
    bench = Bench(paced=True, interval=0.0)
    bench.feed(1)
    bench.encoding.pivot_sent(bench.encoding.pending or b"")
    bench.feed(20)
    view = viewed(bench)
    bench.faces.face = FaceBox(140, 130, 100, 100, 0.9)
    messages = bench.feed(20)
    assert of(PivotSlice, messages)
    assert np.array_equal(viewed(bench), view)
    assert len(frames_of(messages)) == 10
    bench.encoding.pivot_sent(bench.encoding.pending or b"")
    bench.feed(2)
    assert not np.array_equal(viewed(bench), view)


def test_a_camera_that_comes_back_with_another_size_gets_a_new_pivot() -> None:
    bench = Bench()
    bench.feed(50)
    bench.shape = (480, 640, 3)
    bench.faces.face = FaceBox(220, 120, 200, 200, 0.9)
    messages = bench.feed(50)
    assert [epoch.number for epoch in epochs_of(messages)] == [1]
    assert not frames_of(messages)[-1].low_confidence


def test_a_smaller_camera_picture_is_no_reason_to_stop() -> None:
    bench = Bench(paced=True)
    bench.feed(1)
    bench.shape = (60, 80, 3)
    bench.faces.face = FaceBox(20, 10, 30, 30, 0.9)
    bench.encoding.pivot_sent(bench.encoding.pending or b"")
    messages = bench.feed(20)
    bench.encoding.pivot_sent(bench.encoding.pending or b"")
    messages += bench.feed(20)
    assert len(epochs_of(messages)) == 1


def test_numbers_follow_the_time_of_the_frames() -> None:
    bench = Bench(skip=0, bundle_frames=1)
    times = [0.0, 0.04, 0.08, 0.2, 0.16, 0.24, 5.24, 1000.0]
    sent = [frame.number for time in times for frame in frames_of(bench.encoding.push(Frame(camera(), time)))]
    assert sent == [0, 1, 2, 5, 6, 8, 133, 133 + 50 * 25]


def test_a_late_joiner_is_told_all_it_needs() -> None:
    bench = Bench()
    bench.feed(30)
    epoch, *slices = bench.encoding.announce()
    assert epoch == bench.encoding.epoch
    assert sum(len(part.data) for part in slices if isinstance(part, PivotSlice)) == bench.encoding.epoch.pivot_bytes
    assert bench.encoding.announce(pivots=False) == [epoch]


def test_the_view_is_the_crop() -> None:
    bench = Bench()
    assert bench.encoding.view(camera(), 64) is None
    bench.feed(1)
    crop = Crop(54, 6, 200)
    view = viewed(bench)
    assert view.shape == (64, 64, 3)
    assert abs(float(view.mean()) - float(camera()[crop.top :, crop.left :].mean())) < 40


def test_the_same_frames_give_the_same_bytes() -> None:
    def code() -> list[bytes]:
        bench = Bench()
        return [pack(message) for message in bench.feed(60) + bench.encoding.flush()]

    assert code() == code()


def test_a_real_face_through_the_real_parts(tiny_models: Path) -> None:
    pytest.importorskip("mediapipe")
    from facewire.coding.encoding import open_encoding
    from facewire.sources import open_source

    source = open_source("sample:", pace=False)
    encoding = open_encoding(profile("vsat"), str(tiny_models))
    messages: list[Message] = []
    for _ in range(30):
        frame = source.read(1.0)
        assert frame is not None
        messages += encoding.push(frame)
    source.close()
    assert epochs_of(messages)[0].first_frame == 0
    assert len(frames_of(messages)) >= 14


def test_light_that_changes_brings_a_pivot_and_the_way_back_none() -> None:
    bench = Bench(unlike=0.065)

    def lit(share: float) -> list[Message]:
        out: list[Message] = []
        for _ in range(60):
            picture = (camera(50) * share).astype(np.uint8)
            out += bench.encoding.push(Frame(picture, bench.fed / 25))
            bench.fed += 1
        return out

    lit(1.0)
    before = bench.encoding.counters
    dimmed = lit(0.5)
    assert len(epochs_of(dimmed)) == 1
    assert of(PivotSlice, dimmed)
    back = lit(1.0)
    assert len(epochs_of(back)) == 1
    assert not of(PivotSlice, back)
    assert bench.encoding.counters.reuses == before.reuses + 1
