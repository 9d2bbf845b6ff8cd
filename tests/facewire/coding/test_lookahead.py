from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from tests.facewire.coding.test_encoding import face

from facewire.coding.lookahead import Lookahead
from facewire.coding.plan import Kept, Plan, Seen
from facewire.face.box import FaceBox
from facewire.face.mesh import Landmarks
from facewire.link.cost import wire_bytes
from facewire.networks import Networks, open_networks
from facewire.profiles import profile
from facewire.types import Bundle, Crop, Epoch, Frame, Message, Picture, PivotSlice
from facewire.wire.packets import Packer, pack
from facewire.wire.pivot import content_id, decode_pivot, decode_whole, encode_pivot

SHAPE = (256, 256, 3)


@pytest.fixture(scope="module")
def networks(tiny_models: Path) -> Networks:
    return open_networks(tiny_models)


class Faces:
    """A finder that sees a face wherever the picture is not black."""

    def find(self, picture: Picture) -> list[FaceBox]:
        return [FaceBox(70, 80, 120, 120, 0.9)] if picture.max() > 0 else []


def room(kind: int, brightness: int = 0) -> Picture:
    """Rooms of different patterns; the tiny generator can only make a picture brighter."""
    rows, columns = np.mgrid[0:256, 0:256]
    pattern = (rows // (8 * kind) + columns // 16) % 2 if kind % 2 else (rows * kind // 64 + columns // 32) % 2
    return np.repeat((60 + 90 * pattern + brightness)[:, :, None], 3, 2).astype(np.uint8)


def code(
    networks: Networks,
    pictures: Iterable[Picture],
    name: str = "bgan",
    adaptive: bool = True,
    landmarks: Callable[[Picture], Landmarks | None] | None = None,
    bare: bool = False,
) -> list[Message]:
    link = replace(profile(name), deformation=0) if bare else profile(name)
    steps = Lookahead(networks, link, Faces(), adaptive=adaptive, stream=5, landmarks=landmarks)
    out: list[Message] = []
    for number, picture in enumerate(pictures):
        out += steps.push(Frame(picture, number / 25))
    return out + steps.flush()


def numbers(messages: Iterable[Message]) -> list[int]:
    return [frame.number for message in messages if isinstance(message, Bundle) for frame in message.frames]


def wire(messages: Iterable[Message]) -> int:
    packer = Packer()
    return sum(wire_bytes(len(packer.pack(message))) for message in messages)


def test_a_calm_clip_is_one_pivot_and_one_bundle(networks: Networks) -> None:
    messages = code(networks, [room(1, number % 5) for number in range(60)])
    assert [type(message) for message in messages] == [PivotSlice, Epoch, Bundle]
    assert numbers(messages) == [*range(0, 60, 2), 59]
    assert wire(messages) <= 8000 / 8 * 60 / 25


@pytest.mark.parametrize("adaptive", [True, False])
def test_who_blinks_is_seen_blinking(networks: Networks, adaptive: bool) -> None:
    blink = range(20, 28)
    pictures = [room(1, 4 if number in blink else 0) for number in range(60)]

    def landmarks(picture: Picture) -> Landmarks:
        return face(0.05 if picture.mean() > room(1, 2).mean() else 0.3)

    messages = code(networks, pictures, adaptive=adaptive, landmarks=landmarks)
    data = b"".join(part.data for part in messages if isinstance(part, PivotSlice))
    assert decode_whole(data).shut is not None
    bundles = [message for message in messages if isinstance(message, Bundle)]
    assert [frame.number for part in bundles for frame in part.frames if frame.shut] == [20, 22, 24, 26]
    assert wire(messages) <= 8000 / 8 * 60 / 25
    bare = code(networks, pictures, adaptive=adaptive, landmarks=landmarks, bare=True)
    plain = b"".join(part.data for part in bare if isinstance(part, PivotSlice))
    assert decode_whole(plain).shut is None
    assert not any(frame.shut for message in bare if isinstance(message, Bundle) for frame in message.frames)


@pytest.mark.parametrize(("fit", "tried"), [({8, 12}, {8, 12}), ({99}, {0, 2, 4, 6, 8, 10, 12, 14})])
def test_only_what_is_fit_to_be_a_pivot_is_tried(networks: Networks, fit: set[int], tried: set[int]) -> None:
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (8, 10, 2)).astype(np.float32)
    stretch = [Seen(2 * at, room(1, 5 * at), points[at]) for at in range(8)]
    coded: list[int] = []

    def made(seen: Seen, allowed: int, speed: int) -> Kept:
        coded.append(seen.number)
        assert seen.coded is not None
        data = encode_pivot(seen.coded, allowed, speed)
        return Kept(content_id(data), data, Crop(0, 0, 256), SHAPE)

    assert Plan(networks, stretch, [], None, 4000, made, fit).choice() is not None
    assert set(coded) <= tried
    assert len(set(coded)) >= 2


def test_who_looks_down_at_first_is_shown_with_open_eyes(networks: Networks) -> None:
    pictures = [room(1, 0 if number < 20 else 60) for number in range(60)]
    steps = Lookahead(
        networks, profile("bgan"), Faces(), stream=5,
        landmarks=lambda picture: face(0.1 if picture.mean() < room(1, 30).mean() else 0.3),
    )  # fmt: skip
    with patch("facewire.coding.lips.encode_pivot", side_effect=encode_pivot) as coding:
        for number, picture in enumerate(pictures):
            steps.push(Frame(picture, number / 25))
        steps.flush()
    tried = [call.args[0].mean() for call in coding.call_args_list]
    assert tried
    assert min(tried) > room(1, 30).mean()


def test_nobody_has_to_blink(networks: Networks) -> None:
    pictures = [room(1, number % 5) for number in range(60)]
    for landmarks in (lambda _: face(0.3), lambda _: None):
        with_them, without = code(networks, pictures, landmarks=landmarks), code(networks, pictures)
        assert [pack(message) for message in with_them] == [pack(message) for message in without]


def test_cuts_bring_pivots_and_the_way_back_brings_none(networks: Networks) -> None:
    """Scene A, scene B, scene A again: two pictures, three epochs."""
    scenes = [1] * 40 + [4] * 40 + [1] * 40
    messages = code(networks, [room(kind, number % 3) for number, kind in enumerate(scenes)], "vsat")
    epochs = [message for message in messages if isinstance(message, Epoch)]
    assert [epoch.first_frame for epoch in epochs] == [0, 40, 80]
    assert epochs[0].pivot_id == epochs[2].pivot_id != epochs[1].pivot_id
    assert len({message.pivot_id for message in messages if isinstance(message, PivotSlice)}) == 2
    assert not [m for m in messages[messages.index(epochs[2]) :] if isinstance(m, PivotSlice)]


def test_the_pivot_is_the_frame_that_does_best_for_all(networks: Networks) -> None:
    """A flash at the beginning would make a bad pivot: the first frame is not taken only because it is first."""
    pictures = [room(1, 25 if number == 0 else 0) for number in range(50)]
    best, first = (code(networks, pictures, adaptive=adaptive) for adaptive in (True, False))
    means = []
    for messages in (best, first):
        part = messages[0]
        assert isinstance(part, PivotSlice)
        means.append(float(decode_pivot(part.data).mean()))
    assert means[0] < means[1] - 15


@pytest.mark.parametrize("name", ["iridium", "bgan", "vsat"])
@pytest.mark.parametrize("adaptive", [True, False])
def test_no_clip_costs_more_than_its_ceiling(networks: Networks, name: str, adaptive: bool) -> None:
    dice = np.random.default_rng(2)
    noise = dice.integers(0, 40, (4, *SHAPE)).astype(np.uint8)
    pictures = [room(1 + number // 60 % 2 * 3) + noise[number % 4] for number in range(150)]
    messages = code(networks, pictures, name, adaptive)
    link = profile(name)
    assert wire(messages) <= link.ceiling_kbps * 125 * max(150 / 25, link.first_pivot_seconds)
    assert numbers(messages)[-1] == 149


def test_without_a_face_the_receiver_is_told_to_hold(networks: Networks) -> None:
    black = np.zeros(SHAPE, np.uint8)
    messages = code(networks, [room(1)] * 30 + [black] * 40 + [room(1)] * 30)
    frames = [frame for message in messages if isinstance(message, Bundle) for frame in message.frames]
    held = [frame.number for frame in frames if frame.low_confidence]
    assert held
    assert all(30 <= number <= 76 for number in held)
    assert frames[-1].number == 99
    assert not frames[-1].low_confidence


def test_nothing_is_said_before_the_first_face(networks: Networks) -> None:
    black = np.zeros(SHAPE, np.uint8)
    assert code(networks, [black] * 30) == []
    messages = code(networks, [black] * 30 + [room(1)] * 30)
    assert numbers(messages)[0] >= 30


def test_raw_keypoints_and_long_clips(networks: Networks) -> None:
    link = replace(profile("lan"), keypoint_step=0.0)
    steps = Lookahead(networks, link, Faces(), fps=5.0, stream=5)
    out: list[Message] = []
    for number in range(5 * 30):
        out += steps.push(Frame(room(1, number % 4), number / 5))
    assert out  # a stretch ended: memory is bounded
    out += steps.flush()
    epochs = [message for message in out if isinstance(message, Epoch)]
    assert {epoch.step for epoch in epochs} == {0.0}
    assert len({epoch.first_frame for epoch in epochs}) == 1  # the second stretch goes on with the first one's pivot
    assert numbers(out) == [*range(0, 150, 2), 149]
