"""Pivots that outlive the encoder: on the shelf, and back into use by the next one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.facewire.coding.test_encoding import SHAPE, Bench

from facewire.coding.pivots import Scene, Taken
from facewire.coding.shelf import MOST, OLDEST_SECONDS, Shelf
from facewire.face.pose import HeadPose
from facewire.types import Crop
from facewire.wire.pivot import content_id, decode_pivot, encode_pivot


def taken(seed: int, background: bool = True) -> Taken:
    data = np.random.default_rng(seed).bytes(500)
    vector = np.array([0.6, 0.8], np.float32) if background else None
    return Taken(content_id(data), data, Crop(1, 2, 100 + seed), Scene(HeadPose(1.0, 2.0, 3.0), vector), SHAPE)


def same(one: Taken, other: Taken) -> bool:
    first, second = one.scene.background, other.scene.background
    alike = first is second if first is None or second is None else np.allclose(first, second)
    fields = [(t.pivot_id, t.data, t.crop, t.shape, t.scene.pose) for t in (one, other)]
    return bool(alike) and fields[0] == fields[1]


def test_what_is_kept_is_offered_by_the_next_one_the_latest_first(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "sent", 4000)
    kept = [taken(seed, seed % 2 == 0) for seed in range(MOST + 2)]
    for item in kept:
        shelf.keep(item)
    shelf.keep(kept[0])
    offered = Shelf(tmp_path / "sent", 4000).offer()
    expected = [kept[0], *reversed(kept[3:])][:MOST]
    assert len(offered) == MOST
    assert all(same(one, other) for one, other in zip(offered, expected, strict=True))


def test_pivots_of_another_quality_or_of_yesterday_stay_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Shelf(tmp_path, 4000).keep(taken(1))
    assert Shelf(tmp_path, 8000).offer() == []
    assert len(Shelf(tmp_path, 4000).offer()) == 1
    import time

    later = time.time() + OLDEST_SECONDS + 60
    monkeypatch.setattr("facewire.coding.shelf.time.time", lambda: later)
    assert Shelf(tmp_path, 4000).offer() == []


def test_a_damaged_shelf_is_an_empty_one(tmp_path: Path) -> None:
    Shelf(tmp_path, 4000).keep(taken(1))
    index = tmp_path / "index.json"
    good = json.loads(index.read_text())
    (name,) = good
    crooked = json.dumps({name: {**good[name], "crop": 5}})
    for wrong in ("", "[]", "{", json.dumps({"x": 1}), json.dumps({name: {}}), crooked):
        index.write_text(wrong)
        assert Shelf(tmp_path, 4000).offer() == []
    index.write_text(json.dumps(good))
    (tmp_path / f"{name}.pivot").write_bytes(b"other")
    assert Shelf(tmp_path, 4000).offer() == []


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    shelf = Shelf(tmp_path / "file" / "sent", 4000)
    shelf.keep(taken(1))
    assert Shelf(tmp_path / "file" / "sent", 4000).offer() == []
    Shelf(None, 4000).keep(taken(1))


def first_run() -> tuple[Bench, list[Taken]]:
    bench = Bench(paced=True)
    bench.feed(30)
    for item in bench.encoding.in_use:
        bench.encoding.pivot_sent(item.pivot_id)
    bench.feed(10)
    (kept,) = bench.encoding.in_use
    return bench, [kept]


def test_the_next_run_animates_the_pivot_of_the_last_one() -> None:
    _, kept = first_run()
    again = Bench(paced=True)
    again.encoding.recall(kept)
    again.feed(10)
    assert again.encoding.pending == kept[0].pivot_id
    assert (again.encoding.counters.reuses, again.encoding.counters.pivots) == (1, 0)
    again.encoding.pivot_sent(kept[0].pivot_id)
    again.feed(10)
    assert again.encoding.epoch is not None
    assert again.encoding.epoch.pivot_id == kept[0].pivot_id


def test_of_a_picture_that_was_sent_twice_the_finer_one_is_used() -> None:
    _, (kept,) = first_run()
    data = encode_pivot(decode_pivot(kept.data), len(kept.data) - 100)
    coarser = replace(kept, data=data, pivot_id=content_id(data))
    for earlier in ([kept, coarser], [coarser, kept]):
        again = Bench(paced=True)
        again.encoding.recall(earlier)
        again.feed(10)
        assert again.encoding.pending == kept.pivot_id


@pytest.mark.parametrize("change", ["pose", "person", "size", "place"])
def test_another_picture_gets_a_pivot_of_its_own(change: str) -> None:
    _, (kept,) = first_run()
    again = Bench(paced=True)
    if change == "pose":
        again.head.yaw = 40.0
    elif change == "person":
        dark = np.full((256, 256, 3), 250, np.uint8)
        data = encode_pivot(dark, 3000)
        kept = replace(kept, data=data, pivot_id=content_id(data))
    elif change == "size":
        kept = replace(kept, shape=(480, 640, 3))
    else:
        kept = replace(kept, crop=Crop(0, 0, 60))
    again.encoding.recall([kept])
    again.feed(10)
    assert (again.encoding.counters.reuses, again.encoding.counters.pivots) == (0, 1)
