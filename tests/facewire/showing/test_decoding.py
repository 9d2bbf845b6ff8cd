from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.networks import Networks, Session, open_networks
from facewire.showing.decoding import Decoding
from facewire.types import Between, Bundle, Epoch, KeypointFrame, Message, Picture, PivotSlice, Points, ShownFrame
from facewire.wire.keypoints import to_grid
from facewire.wire.mouth import Place, stretch
from facewire.wire.pivot import add_difference, add_lids, add_mouth, behind, content_id, encode_pivot
from facewire.wire.pivot_store import PivotCache

STEP = 0.5


@pytest.fixture(scope="module")
def networks(tiny_models: Path) -> Networks:
    return open_networks(tiny_models)


@dataclass
class Watched:
    """A session whose feeds are kept."""

    inner: Session
    fed: list[Mapping[str, NDArray[Any]]]

    def __post_init__(self) -> None:
        self.inputs, self.outputs = self.inner.inputs, self.inner.outputs

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        self.fed.append(inputs)
        return self.inner.run(inputs)


def grey(level: int) -> Picture:
    return np.full((256, 256, 3), level, np.uint8)


DARK, LIGHT = encode_pivot(grey(60), 4000), encode_pivot(grey(180), 4000)
CALM = np.tanh(np.linspace(-1, 1, 60, dtype=np.float32).reshape(3, 20).sum(0) * 60 / 255).reshape(10, 2)
"""What the tiny keypoint network finds in DARK."""


def epoch(networks: Networks, pivot: bytes, number: int = 0, first: int = 0, skip: int = 1, stream: int = 7) -> Epoch:
    return Epoch(stream, number, first, content_id(pivot), len(pivot), 256, 25.0, skip, networks.id, STEP)


def slices(pivot: bytes, length: int = 100) -> list[PivotSlice]:
    ident = content_id(pivot)
    return [
        PivotSlice(ident, start, len(pivot), pivot[start : start + length]) for start in range(0, len(pivot), length)
    ]


def keypoints(number: int, shift: float = 0.0, low: bool = False) -> KeypointFrame:
    points: Points = (CALM + shift).astype(np.float32)
    return KeypointFrame(number, to_grid(points, STEP), low)


def bundle(frames: Sequence[KeypointFrame], number: int = 0) -> Bundle:
    return Bundle(number, tuple(frames))


def run(decoding: Decoding, *messages: Message) -> list[ShownFrame]:
    return [frame for message in messages for frame in decoding.push(message)]


def level(frame: ShownFrame) -> float:
    # The tiny upscaler darkens the very rim.
    return float(frame.picture[8:-8, 8:-8].mean())


def started(networks: Networks, skip: int = 1) -> Decoding:
    decoding = Decoding(networks, 128)
    assert run(decoding, epoch(networks, DARK, skip=skip), *slices(DARK)) == []
    return decoding


def test_the_generator_sees_how_far_the_keypoints_moved(networks: Networks) -> None:
    first, middle, last = run(started(networks), bundle([keypoints(0), keypoints(2, 0.2)]))
    assert [frame.number for frame in (first, middle, last)] == [0, 1, 2]
    assert [frame.interpolated for frame in (first, middle, last)] == [False, True, False]
    assert [frame.time for frame in (first, middle, last)] == [0.0, 0.04, 0.08]
    assert first.picture.shape == (128, 128, 3)
    assert level(first) == pytest.approx(60, abs=2)
    assert level(last) == pytest.approx(60 + 0.2 * 255, abs=2)
    assert level(middle) == pytest.approx(60 + 0.1 * 255, abs=2)


@pytest.mark.parametrize(("skip", "parts"), [(0, []), (1, [0.5]), (2, [1 / 3, 2 / 3]), (3, [0.25, 0.5, 0.75])])
def test_shares_of_the_way_for_each_skip(networks: Networks, skip: int, parts: list[float]) -> None:
    frames = run(started(networks, skip), bundle([keypoints(0), keypoints(skip + 1, 0.4)]))
    assert [frame.number for frame in frames] == list(range(skip + 2))
    assert [level(frame) for frame in frames[1:-1]] == pytest.approx([60 + 102 * part for part in parts], abs=2)


def test_without_an_interpolator_middles_are_generated(networks: Networks) -> None:
    plain = Networks(networks.id, {name: s for name, s in networks.sessions.items() if name != "interpolator"})
    frames = run(started(plain, 3), bundle([keypoints(0), keypoints(4, 0.4)]))
    assert [level(frame) for frame in frames] == pytest.approx([60, 85.5, 111, 136.5, 162], abs=2)


def test_a_frame_with_shut_eyes_is_made_from_the_second_picture(networks: Networks) -> None:
    blinking = add_lids(DARK, 64, 64, np.full((64, 96, 3), 180, np.uint8), 800)
    assert blinking is not None
    decoding = Decoding(networks, 128)
    run(decoding, epoch(networks, blinking), *slices(blinking))
    shut = [replace(keypoints(number), shut=number in (2, 4)) for number in (0, 2, 4, 6)]
    eyes = [float(frame.picture[40:56, 40:70].mean()) for frame in run(decoding, bundle(shut))]
    assert eyes[0] == pytest.approx(60, abs=6)
    assert eyes[2:5] == pytest.approx([180] * 3, abs=6)
    assert eyes[6] == pytest.approx(60, abs=6)
    frames = run(started(networks), bundle(shut))  # a pivot that has no second picture
    assert [level(frame) for frame in frames] == pytest.approx([60] * 7, abs=2)


def test_shut_eyes_alone_are_enough_for_who_keeps_the_pivot(networks: Networks) -> None:
    blinking = add_lids(DARK, 64, 64, np.full((64, 96, 3), 180, np.uint8), 800)
    assert blinking is not None
    decoding = started(networks)
    eyes = [rest for part in slices(blinking) if (rest := behind(part, len(DARK))) is not None]
    run(decoding, *eyes, replace(epoch(networks, blinking), number=1, first_frame=2))
    (shown,) = run(decoding, Bundle(1, (replace(keypoints(2), shut=True),)))
    assert float(shown.picture[40:56, 40:70].mean()) == pytest.approx(180, abs=6)


def test_a_middle_is_made_as_it_is_said(networks: Networks) -> None:
    """Eyes open late, and lips: what the interpolator, or without one the generator, is fed."""
    blinking = add_lids(DARK, 64, 64, np.full((64, 96, 3), 180, np.uint8), 800)
    assert blinking is not None
    pivot = add_mouth(blinking, Place((108, 160), (148, 160)))
    first = replace(keypoints(0), mouth=2)
    for name in ("interpolator", "generator"):
        fed: list[Mapping[str, NDArray[Any]]] = []
        sessions = {n: s for n, s in networks.sessions.items() if name == "interpolator" or n != "interpolator"}
        decoding = Decoding(Networks(networks.id, {**sessions, name: Watched(networks[name], fed)}), 128)
        run(decoding, epoch(networks, pivot), *slices(pivot))
        second = replace(keypoints(2), mouth=4, shut=True, between=(Between(-1, False),))
        run(decoding, bundle([first, second]))
        mouth = -1 if name == "interpolator" else 2
        assert fed[-1]["stretch"] == pytest.approx(stretch(Place((108, 160), (148, 160)), mouth))
        assert fed[-1]["pivot"][0, 0, 48, 55] == pytest.approx(60 / 255, abs=0.05)
        run(decoding, bundle([replace(keypoints(5), mouth=4, between=(Between(-1, True),))]))  # one got lost
        assert not fed[-1]["stretch"].any() or name == "generator"
        assert fed[-1]["pivot"][0, 0, 48, 55] == pytest.approx(60 / 255, abs=0.05)


def test_bundles_join_and_an_odd_last_frame_is_not_lost(networks: Networks) -> None:
    decoding = started(networks)
    frames = run(decoding, bundle([keypoints(0), keypoints(2)]), bundle([keypoints(4), keypoints(5)]))
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4, 5]
    assert list(decoding.flush()) == []


def test_low_confidence_holds_the_picture(networks: Networks) -> None:
    decoding = started(networks)
    frames = run(decoding, bundle([keypoints(0, 0.1), keypoints(2, 0.3, low=True), keypoints(4, 0.3)]))
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    assert level(frames[0]) == level(frames[1]) == level(frames[2])
    assert frames[1].picture is frames[0].picture
    assert level(frames[2]) < level(frames[3]) < level(frames[4])
    assert decoding.counters.held == 2


def test_low_confidence_first_of_all_shows_something(networks: Networks) -> None:
    assert len(run(started(networks), bundle([keypoints(0, low=True)]))) == 1


def test_a_change_of_pivot_is_never_mixed(networks: Networks) -> None:
    decoding = started(networks)
    run(decoding, bundle([keypoints(0)]), *slices(LIGHT), epoch(networks, LIGHT, 1, 2))
    held, new = run(decoding, bundle([keypoints(2)], 1))
    assert (held.number, new.number) == (1, 2)
    assert level(held) == pytest.approx(60, abs=2)
    assert level(new) > 120
    # Bundles of the epoch before still mean the pivot of the epoch before.
    assert level(run(decoding, bundle([keypoints(4)]))[-1]) == pytest.approx(60, abs=2)
    assert decoding.counters.pivots == 2


def test_a_missing_pivot_is_waited_for(networks: Networks) -> None:
    decoding = started(networks)
    run(decoding, bundle([keypoints(0)]), epoch(networks, LIGHT, 1, 2))
    assert run(decoding, bundle([keypoints(2), keypoints(4)], 1)) == []
    assert decoding.counters.waiting == 2
    run(decoding, *reversed(slices(LIGHT)))
    assert [frame.number for frame in run(decoding, bundle([keypoints(6)], 1))] == [6]
    assert decoding.counters.missing == 5


def test_a_cached_pivot_needs_no_slices_even_after_a_restart(networks: Networks, tmp_path: Path) -> None:
    first = Decoding(networks, 128, PivotCache(tmp_path))
    run(first, epoch(networks, DARK), *slices(DARK))
    again = Decoding(networks, 128, PivotCache(tmp_path))
    assert len(run(again, epoch(networks, DARK), bundle([keypoints(0)]))) == 1


def test_a_pivot_that_comes_back_is_not_encoded_again(networks: Networks) -> None:
    decoding = started(networks)
    run(decoding, *slices(LIGHT), epoch(networks, LIGHT, 1, 2), epoch(networks, DARK, 2, 4))
    assert len(run(decoding, bundle([keypoints(4)], 2))) == 1
    assert decoding.counters.pivots == 2


def test_repeated_announcements_change_nothing(networks: Networks) -> None:
    decoding = started(networks)
    run(decoding, bundle([keypoints(0)]), epoch(networks, DARK), *slices(DARK))
    assert [frame.number for frame in run(decoding, bundle([keypoints(2)]))] == [1, 2]
    assert (decoding.counters.pivots, decoding.counters.epochs) == (1, 1)


def test_other_networks_mean_no_picture_and_one_line(networks: Networks) -> None:
    decoding = started(networks)
    run(decoding, bundle([keypoints(0)]))
    run(decoding, replace(epoch(networks, DARK, 1, 2), network=b"\1\2\3\4"))
    assert run(decoding, bundle([keypoints(2)], 1)) == []
    assert decoding.problem is not None
    assert "01020304" in decoding.problem
    assert decoding.counters.foreign == 1
    run(decoding, epoch(networks, DARK, 2, 4))
    assert decoding.problem is None
    assert len(run(decoding, bundle([keypoints(4)], 2))) > 0


def test_unannounced_late_and_repeated_frames_are_counted_and_dropped(networks: Networks) -> None:
    decoding = started(networks)
    assert run(decoding, bundle([keypoints(0)], 9)) == []
    assert decoding.counters.orphans == 1
    run(decoding, bundle([keypoints(0), keypoints(2)]))
    assert run(decoding, bundle([keypoints(0), keypoints(2)])) == []
    assert decoding.counters.late == 2
    assert [f.number for f in run(decoding, bundle([keypoints(2), keypoints(4)]))] == [3, 4]


def test_lost_bundles_leave_a_gap_and_are_not_invented(networks: Networks) -> None:
    decoding = started(networks)
    run(decoding, bundle([keypoints(0)]))
    assert [frame.number for frame in run(decoding, bundle([keypoints(20)]))] == [20]
    assert decoding.counters.missing == 19


def test_one_frame_from_the_far_future_is_not_believed_two_are(networks: Networks) -> None:
    decoding = started(networks)
    run(decoding, bundle([keypoints(0)]))
    assert run(decoding, bundle([keypoints(4_000_000_000)])) == []
    assert [frame.number for frame in run(decoding, bundle([keypoints(2)]))] == [1, 2]
    # An hour without a link, say: the second bundle after it is shown.
    assert run(decoding, bundle([keypoints(90_000)])) == []
    assert [frame.number for frame in run(decoding, bundle([keypoints(90_002)]))] == [90_002]


def test_a_new_stream_starts_over(networks: Networks) -> None:
    decoding = started(networks)
    run(decoding, bundle([keypoints(500)]))
    run(decoding, epoch(networks, LIGHT, stream=8), *slices(LIGHT))
    assert [frame.number for frame in run(decoding, bundle([keypoints(0)]))] == [0]
    assert decoding.counters.streams == 2


def test_after_a_broken_connection_the_announcement_is_waited_for(networks: Networks) -> None:
    decoding = started(networks)
    run(decoding, bundle([keypoints(0)]))
    decoding.animator.forget()
    assert run(decoding, bundle([keypoints(2)])) == []
    run(decoding, epoch(networks, DARK))
    assert [frame.number for frame in run(decoding, bundle([keypoints(10)]))] == [10]


def test_a_pivot_that_is_no_picture_is_refused_once(networks: Networks) -> None:
    junk = bytes(range(256)) * 3
    decoding = Decoding(networks, 128)
    run(decoding, epoch(networks, junk), *slices(junk), *slices(junk))
    assert decoding.counters.bad_pivots == 1
    assert run(decoding, bundle([keypoints(0)])) == []
    run(decoding, epoch(networks, DARK, 1), *slices(DARK))
    assert len(run(decoding, bundle([keypoints(2)], 1))) == 1


def test_state_stays_bounded(networks: Networks) -> None:
    decoding = started(networks)
    for number in range(300):
        pivot = bytes([number % 256, number // 256]) * 50
        run(decoding, epoch(networks, pivot, number % 256, number), *slices(pivot))
    assert len(decoding.animator._epochs) <= 8
    assert len(decoding.animator._bad) <= 8
    assert len(decoding.animator._scenes) <= 3


def test_in_a_hurry_interpolated_frames_are_left_out(networks: Networks) -> None:
    decoding = started(networks)
    frames = list(decoding.push(bundle([keypoints(0), keypoints(2), keypoints(4)]), hurry=True))
    assert [frame.number for frame in frames] == [0, 2, 4]


@dataclass
class Layered:
    """The tiny generator, that says what it moved as well: everything, by `moved` half crops."""

    inner: Session
    moved: float

    def __post_init__(self) -> None:
        self.inputs, self.outputs = self.inner.inputs, self.inner.outputs

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        moved = np.zeros((1, 2, 64, 64), np.float32)
        moved[:, 1] = self.moved
        return {**self.inner.run(inputs), "displacement": moved}


class Composer:
    """Gives the pivot back."""

    inputs: Mapping[str, Any] = {"pivot": (1, 3, 512, 512)}
    outputs: Mapping[str, Any] = {}

    def __init__(self) -> None:
        self.fed: list[Mapping[str, NDArray[Any]]] = []

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        self.fed.append(inputs)
        return {"between": inputs["pivot"]}


LARGE = add_difference(DARK, np.full((512, 512, 3), 90, np.uint8), 4000)


def shown_large(
    networks: Networks, size: int, moved: float, pivot: bytes = LARGE
) -> tuple[Composer, list[ShownFrame]]:
    composer = Composer()
    generator = Layered(networks["generator"], moved)
    sessions = {**networks.sessions, "generator": generator, "composer": composer}
    decoding = Decoding(Networks(networks.id, sessions), size)
    run(decoding, epoch(networks, pivot), *slices(pivot))
    return composer, run(decoding, bundle([keypoints(0), keypoints(2), keypoints(4, low=True)]))


def test_a_large_pivot_is_composed_at_its_own_size(networks: Networks) -> None:
    composer, frames = shown_large(networks, 512, 0.05)
    assert [float(frame.picture.mean()) for frame in frames] == pytest.approx([90] * 5, abs=2)
    assert [float(feeds["share"][0]) for feeds in composer.fed] == [0.0, 0.5, 0.0]  # the last one is held
    assert all(feeds["pivot"].shape == (1, 3, 512, 512) for feeds in composer.fed)
    assert not composer.fed[0]["stretch"].any()


@pytest.mark.parametrize(("size", "moved"), [(256, 0.05), (512, 0.2)])
def test_it_is_not_where_nobody_sees_it_or_it_has_moved_far(networks: Networks, size: int, moved: float) -> None:
    composer, frames = shown_large(networks, size, moved)
    assert len(frames) == 5
    assert not composer.fed


def test_a_large_pivot_of_another_size_is_a_finer_one(networks: Networks) -> None:
    small = encode_pivot(np.full((64, 64, 3), 80, np.uint8), 4000)
    pivot = add_difference(small, np.full((128, 128, 3), 90, np.uint8), 4000)
    composer, frames = shown_large(networks, 512, 0.05, pivot)
    assert [level(frame) for frame in frames] == pytest.approx([90] * 5, abs=3)
    assert not composer.fed


def test_without_a_composer_a_large_pivot_is_a_finer_one(networks: Networks) -> None:
    decoding = Decoding(networks, 512)
    run(decoding, epoch(networks, LARGE), *slices(LARGE))
    (frame,) = run(decoding, bundle([keypoints(0)]))
    assert level(frame) == pytest.approx(90, abs=3)


def test_shut_eyes_of_a_large_pivot(networks: Networks) -> None:
    blinking = add_lids(LARGE, 64, 64, np.full((64, 96, 3), 180, np.uint8), 800)
    assert blinking is not None
    generator = Layered(networks["generator"], 0.0)
    sessions = {**networks.sessions, "generator": generator, "composer": Composer()}
    decoding = Decoding(Networks(networks.id, sessions), 512)
    run(decoding, epoch(networks, blinking), *slices(blinking))
    opened, _, shut = run(decoding, bundle([keypoints(0), replace(keypoints(2), shut=True)]))
    eyes = [float(frame.picture[150:220, 150:280].mean()) for frame in (opened, shut)]
    assert eyes == pytest.approx([90, 180], abs=6)
