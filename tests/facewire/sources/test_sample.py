"""The sample: deterministic, alive, still where it should be still."""

from __future__ import annotations

import importlib.util
from itertools import pairwise

import numpy as np
import pytest

from facewire.errors import MissingDependency, SourceError
from facewire.sources import open_source
from facewire.sources.sample_motion import Expression, expression
from facewire.sources.sample_portrait import Portrait, portrait

pytestmark = pytest.mark.skipif(importlib.util.find_spec("skimage") is None, reason="scikit-image is not installed")


@pytest.fixture(scope="module")
def face() -> Portrait:
    return Portrait(256)


def test_the_portrait_comes_without_importing_its_package() -> None:
    import subprocess
    import sys

    code = ("import sys; from facewire.sources.sample_portrait import portrait; portrait();"
            "print([m for m in ('skimage', 'scipy', 'mediapipe', 'torch') if m in sys.modules])")
    paths = [path for path in sys.path if path]
    done = subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}; {code}"], capture_output=True,
                          text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""
    assert portrait().shape == (512, 512, 3)


def test_frames_are_the_same_each_time() -> None:
    one, other = (open_source("sample:?size=256", pace=False) for _ in range(2))
    for _ in range(5):
        other.read(0.0)
    for number in range(8):
        first = one.read(0.0)
        assert first is not None
        if number >= 5:
            second = other.read(0.0)
            assert second is not None
            assert np.array_equal(first.picture, second.picture)
            assert first.time == second.time == pytest.approx(number / 25)


def test_size_and_end() -> None:
    source = open_source("sample:?size=640&seconds=0.08", pace=False)
    sizes = []
    while (frame := source.read(0.0)) is not None:
        sizes.append(frame.picture.shape)
    assert sizes == [(640, 640, 3)] * 2
    assert source.ended


def test_paced() -> None:
    source = open_source("sample:?size=128", fps=50.0)
    assert source.live
    first, second = source.read(1.0), source.read(1.0)
    assert first is not None
    assert second is not None
    assert second.time - first.time == pytest.approx(0.02)


@pytest.mark.parametrize("spec", ["sample:?size=20", "sample:?size=9000", "sample:x", "sample:?size=big"])
def test_wrong_options(spec: str) -> None:
    with pytest.raises(SourceError):
        open_source(spec)


def test_without_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match="scikit-image"):
        open_source("sample:")


def test_at_rest_it_is_the_portrait(face: Portrait) -> None:
    import cv2

    real = cv2.resize(portrait()[:240, 105:345], (256, 256), interpolation=cv2.INTER_CUBIC)
    difference = np.abs(face.render(Expression()).astype(int) - real)
    assert difference.mean() < 1.5


def test_each_expression_changes_its_part_alone(face: Portrait) -> None:
    rest = face.render(Expression()).astype(int)

    def changed(now: Expression) -> tuple[float, float, float]:
        difference = np.abs(face.render(now) - rest).mean(axis=2)
        eyes, mouth = difference[98:116, 90:165], difference[140:200, 90:160]
        return float(eyes.max()), float(mouth.max()), float(difference[:, :30].max())

    eyes, mouth, wall = changed(Expression(mouth=2.0))
    assert mouth > 60
    assert eyes == wall == 0
    eyes, mouth, wall = changed(Expression(blink=1.0))
    assert eyes > 60
    assert mouth == wall == 0
    eyes, mouth, wall = changed(Expression(yaw=12.0, pitch=5.0, roll=4.0))
    assert eyes > 40
    assert mouth > 40
    assert wall == 0, "the background stands still"


def test_an_open_mouth_is_dark_inside(face: Portrait) -> None:
    inside = (slice(159, 163), slice(122, 130))
    assert face.render(Expression(mouth=2.0))[inside].mean() < 80
    assert face.render(Expression(mouth=0.0))[inside].mean() > 110


@pytest.mark.parametrize("now", [Expression(yaw=20.0), Expression(yaw=-20.0), Expression(pitch=10.0),
                                 Expression(pitch=-10.0),
                                 Expression(yaw=16.0, pitch=-8.0, roll=6.0, right=5.0, down=3.0, nearer=0.03)])
def test_nothing_folds_or_tears(face: Portrait, now: Expression) -> None:
    """Where neighbours come from stays in order, and no pixel is stretched over more than a few."""
    x, y = face._origins(now)
    for along in (np.diff(x, axis=1), np.diff(y, axis=0)):
        assert along.min() > 0.2
        assert along.max() < 3.5


def test_it_moves_all_the_time_and_never_jumps(face: Portrait) -> None:
    pictures = [face.render(expression(n / 25)).astype(np.float32) for n in range(60)]
    moved = [float(np.abs(one - other).mean()) for one, other in pairwise(pictures)]
    assert min(moved) > 0.02
    assert max(moved) < 8.0


def test_motion_is_alive_and_bounded() -> None:
    moments = [expression(n / 25) for n in range(25 * 120)]
    assert sum(1 for now in moments if now.blink > 0.9) > 30
    assert {round(now.mouth, 1) for now in moments} >= {0.2, 0.5, 1.0, 1.5, 2.0}
    assert 10 < max(abs(now.yaw) for now in moments) < 20
    assert max(abs(now.pitch) for now in moments) < 10
    assert max(abs(now.roll) for now in moments) < 6
    assert all(0.0 <= now.mouth <= 2.0 and 0.0 <= now.blink <= 1.0 and 0.0 <= now.brows <= 1.0 for now in moments)
    assert expression(7.3) == expression(7.3)
