from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.errors import ModelError
from facewire.networks import open_networks
from facewire.networks.opencv import MOVERS, OpencvMover
from facewire.networks.ort import OrtSession
from facewire.networks.session import Session
from facewire.wire.mouth import Place, stretch


def smooth(rng: np.random.Generator, channels: int, side: int, waves: int) -> NDArray[np.float32]:
    """float32 [1, channels, side, side], about 0 to 1."""
    some = rng.random((channels, waves, waves), np.float32)
    wide = np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in some])
    return np.asarray(wide[np.newaxis], np.float32)


def feed_of(session: Session) -> dict[str, NDArray[Any]]:
    """Two frames whose pivot moves by up to 13 pixels of 256, over its border too, and whose lips come apart."""
    rng = np.random.default_rng(3)
    feed: dict[str, NDArray[Any]] = {
        "pivot": smooth(rng, 3, session.inputs["pivot"][-1] or 0, 64),
        "share": np.array([0.25], np.float32),
        "stretch": stretch(Place((100, 160), (150, 165)), -6),
    }
    for when in ("before", "after"):
        feed[f"displacement_{when}"] = (smooth(rng, 2, 64, 5) - 0.5) * np.float32(0.2)
        feed[f"keep_{when}"] = smooth(rng, 1, 256, 20)
        feed[f"paint_{when}"] = smooth(rng, 3, 256, 20) * np.float32(0.3)
    return feed


@pytest.mark.parametrize("name", sorted(MOVERS))
def test_it_makes_what_the_network_makes(name: str) -> None:
    network = open_networks(names=(name,), provider="cpu", precision="fp32")[name]
    mover = open_networks(names=(name,), provider="cpu")[name]
    assert isinstance(network, OrtSession)
    assert isinstance(mover, OpencvMover)
    assert (mover.inputs, mover.outputs) == (network.inputs, network.outputs)
    feed = feed_of(network)
    wanted, made = network.run(feed)["between"], mover.run(feed)["between"]
    assert made.shape == wanted.shape
    assert made.dtype == np.float32
    assert 0 <= made.min() <= made.max() <= 1
    assert np.mean((made - wanted) ** 2) < 1e-5  # 50 dB
    held = np.mean((mover.run({**feed, "stretch": stretch(None, 0)})["between"] - wanted) ** 2)
    assert held > 2e-5  # the lips are part of it


@pytest.mark.parametrize("name", sorted(MOVERS))
def test_a_pivot_that_stays_may_be_read_only(name: str) -> None:
    mover = open_networks(names=(name,), provider="cpu")[name]
    feed = feed_of(mover)
    first = mover.run(feed)["between"]
    feed["pivot"].setflags(write=False)
    assert [np.array_equal(mover.run(feed)["between"], first) for _ in range(2)] == [True, True]
    other = feed["pivot"] * np.float32(0.5)
    other.setflags(write=False)
    assert mover.run({**feed, "pivot": other})["between"].mean() < first.mean()


def test_wrong_feeding_is_a_model_error() -> None:
    mover = open_networks(names=("composer",), provider="cpu")["composer"]
    feed = feed_of(mover)
    with pytest.raises(ModelError, match="composer: keep_before is"):
        mover.run({**feed, "keep_before": feed["keep_before"][..., :8]})
    del feed["share"]
    with pytest.raises(ModelError, match="'share' was not given"):
        mover.run(feed)


def test_a_network_that_takes_something_else_is_run_as_it_is(tiny_models: Path) -> None:
    assert isinstance(open_networks(tiny_models, names=("interpolator",), provider="cpu")["interpolator"], OrtSession)
