from __future__ import annotations

import numpy as np
import pytest

from facewire.coding.likeness import THUMB, Look
from facewire.coding.pivots import (
    LIBRARY,
    PRESETS,
    SAVED,
    CutDetector,
    Decision,
    Limits,
    PivotPolicy,
    Scene,
    Taken,
    distance,
    preset,
)
from facewire.face.pose import HeadPose
from facewire.types import Crop

CROP = Crop(0, 0, 256)
FPS = 25.0


def scene(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0, room: float = 0.0) -> Scene:
    """`room` turns the background's embedding by so many radians."""
    return Scene(HeadPose(yaw, pitch, roll), np.array([np.cos(room), np.sin(room)], np.float32))


def taken(name: int, what: Scene, crop: Crop = CROP) -> Taken:
    return Taken(bytes([name] * 8), b"data", crop, what)


def begun(interval: float = 4.0, adaptive: bool = True) -> PivotPolicy:
    policy = PivotPolicy(interval, FPS, adaptive=adaptive)
    policy.take(0, taken(0, scene()))
    return policy


def test_the_first_frame_is_a_pivot() -> None:
    assert PivotPolicy(4.0).judge(0, CROP, None) == Decision(new=True, why="first")


@pytest.mark.parametrize(
    ("one", "far"),
    [
        (scene(), 0.0),
        (scene(yaw=15), 1.0),
        (scene(pitch=-30), 2.0),
        (scene(roll=7.5), 0.5),
        (scene(roll=-352.5), 0.5),
        (scene(room=float(np.arccos(0.95))), 1.0),
        (Scene(), 0.0),
    ],
)
def test_distance_is_relative_to_the_limits(one: Scene, far: float) -> None:
    assert distance(one, scene(), Limits()) == pytest.approx(far, abs=1e-4)


def test_each_axis_has_its_own_limit() -> None:
    limits = Limits(yaw=10, pitch=20, roll=40, background=0)
    assert distance(scene(yaw=20, pitch=20, roll=20, room=1), scene(), limits) == 2.0


def test_a_turn_must_last_for_two_measurements() -> None:
    policy = begun()
    assert policy.judge(200, CROP, scene(yaw=20)) == Decision()
    assert policy.judge(212, CROP, scene(yaw=2)) == Decision()
    assert policy.judge(224, CROP, scene(yaw=20)) == Decision()
    assert policy.judge(230, CROP, None) == Decision()
    assert policy.judge(236, CROP, scene(yaw=20)).new


def test_another_room_asks_for_a_pivot() -> None:
    policy = begun()
    policy.judge(200, CROP, scene(room=0.5))
    assert policy.judge(212, CROP, scene(room=0.5)).new


def test_new_pivots_keep_their_distance() -> None:
    policy = begun(interval=10.0)
    begun_at, yaw = [0], 30

    def next_new() -> int:
        nonlocal yaw
        number = next(n for n in range(begun_at[-1] + 50, 2000, 10) if policy.judge(n, CROP, scene(yaw=yaw)).new)
        policy.take(number, taken(yaw, scene(yaw=yaw)))
        begun_at.append(number)
        yaw += 30
        return number - begun_at[-2]

    assert [next_new() for _ in range(5)] == [130, 130, 240, 250, 250]  # half of it while two are saved up


def test_first_means_first() -> None:
    policy = begun(adaptive=False)
    assert not any(policy.judge(number, CROP, scene(yaw=90)).new for number in range(0, 1000, 12))
    assert policy.judge(1000, Crop(5, 5, 256), None).new


def test_a_head_that_turns_back_gets_its_earlier_pivot() -> None:
    policy = begun(interval=1000.0)
    policy.take(100, taken(1, scene(yaw=30)))
    policy.judge(200, CROP, scene(yaw=3))
    back = policy.judge(212, CROP, scene(yaw=3))
    assert back.reuse is not None
    assert back.reuse.pivot_id == bytes(8)


def test_a_pivot_of_another_crop_is_not_used_again() -> None:
    policy = begun(interval=1000.0)
    policy.take(100, taken(1, scene(yaw=30), Crop(9, 9, 200)))
    for number in (200, 212, 224):
        assert policy.judge(number, Crop(9, 9, 200), scene(yaw=3)) == Decision()


def test_who_joins_late_has_no_earlier_pivots() -> None:
    policy = begun(interval=1000.0)
    policy.take(100, taken(1, scene(yaw=30)))
    policy.forget()
    policy.judge(200, CROP, scene(yaw=3))
    assert policy.judge(212, CROP, scene(yaw=3)) == Decision()


def test_the_library_is_bounded() -> None:
    policy = begun(interval=1000.0)
    for name in range(1, LIBRARY + 1):
        policy.take(100 * name, taken(name, scene(yaw=30.0 * name)))
    policy.judge(9000, CROP, scene(yaw=0))
    assert policy.judge(9012, CROP, scene(yaw=0)) == Decision()  # pivot 0 has left the library


def test_a_moved_crop_forces_a_pivot_without_a_measurement_but_not_at_any_rate() -> None:
    policy = begun(interval=4.0)
    moved = Crop(40, 0, 256)
    assert policy.judge(10, moved, None) == Decision()
    assert policy.judge(26, moved, None) == Decision(new=True, why="crop moved")
    assert policy.judge(26, CROP, None, forced="scene cut") == Decision(new=True, why="scene cut")


def test_cuts_are_seen_and_motion_is_not() -> None:
    rng = np.random.default_rng(3)
    coarse = rng.integers(40, 200, (8, 8, 3), dtype=np.uint8)
    one = np.kron(coarse, np.ones((32, 32, 1), np.uint8))
    cuts = CutDetector()
    assert not cuts.update(one)
    assert not cuts.update(np.roll(one, 6, 1))
    assert cuts.update(np.invert(np.roll(one, 128, 0)))
    cuts.reset()
    assert not cuts.update(one)


def seen(grey: float, yaw: float = 0.0) -> Scene:
    """A scene whose picture is all of one grey."""
    points = np.zeros((10, 2), np.float32)
    return Scene(HeadPose(yaw, 0, 0), None, Look(np.full((THUMB, THUMB, 3), grey, np.float32), points))


def test_the_guard_asks_although_the_head_has_not_turned() -> None:
    """The lights go out: after two measurements a new pivot; when they are on again, the old one."""
    policy = PivotPolicy(4.0, FPS)
    policy.take(0, taken(0, seen(0.5)))
    assert policy.judge(200, CROP, seen(0.52)) == Decision()
    assert policy.judge(212, CROP, seen(0.3)) == Decision()
    assert policy.judge(224, CROP, seen(0.3)).new
    policy.take(224, taken(1, seen(0.3)))
    assert policy.judge(300, CROP, seen(0.5)) == Decision()
    again = policy.judge(312, CROP, seen(0.5)).reuse
    assert again is not None
    assert again.pivot_id == bytes(8)


def test_a_cut_back_to_a_known_scene_costs_no_picture() -> None:
    policy = PivotPolicy(4.0, FPS)
    policy.take(0, taken(0, seen(0.5)))
    assert policy.judge(100, CROP, seen(0.9), "scene cut").new
    policy.take(100, taken(1, seen(0.9)))
    assert policy.judge(104, CROP, seen(0.5), "scene cut") == Decision()  # flicker: not at once
    back = policy.judge(150, CROP, seen(0.5), "scene cut")
    assert back.reuse is not None
    assert back.why == "scene cut"
    policy.take(150, back.reuse)
    assert policy.judge(200, CROP, seen(0.1), "scene cut").new


def test_a_source_that_is_cut_for_ever_gets_what_was_saved_up_and_then_its_share() -> None:
    policy = PivotPolicy(4.0, FPS)
    policy.take(0, taken(0, seen(0.0)))
    pivots = 0
    seconds = 120
    for number in range(1, int(seconds * FPS)):
        if policy.judge(number, CROP, seen(number % 97 / 97), "scene cut").new:
            pivots += 1
            policy.take(number, taken(number % 251 + 1, seen(-1.0)))
    assert seconds / 4 - 1 <= pivots <= seconds / 4 + SAVED


@pytest.mark.parametrize(
    ("name", "asks"),
    [
        ("adaptive", {"yaw", "pitch", "roll", "room", "light"}),
        ("paper", {"yaw", "pitch", "roll", "room"}),
        ("pose", {"yaw", "pitch", "roll"}),
        ("background", {"room"}),
        ("yaw", {"yaw"}),
        ("pitch", {"pitch"}),
        ("roll", {"roll"}),
        ("first", set()),
    ],
)
def test_presets_are_the_parts_of_the_rule(name: str, asks: set[str]) -> None:
    limits = preset(name, Limits(yaw=10))
    others = {
        "yaw": scene(yaw=20),
        "pitch": scene(pitch=20),
        "roll": scene(roll=20),
        "room": scene(room=1),
        "light": seen(0.9),
    }
    pivots = {what: seen(0.1) if what == "light" else scene() for what in others}
    found = {what for what, other in others.items() if distance(other, pivots[what], limits) > 1}
    assert found == asks
    assert set(PRESETS) == {"adaptive", "paper", "pose", "background", "yaw", "pitch", "roll", "first"}
