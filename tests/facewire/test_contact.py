from __future__ import annotations

from pathlib import Path

import numpy as np

from facewire.contact import CELL, HEAD, Pair, contact_sheet, recorded, spread
from facewire.record import MOST, Recorder
from facewire.types import Picture


def plain(shade: int, size: int = 64) -> Picture:
    return np.full((size, size, 3), shade, np.uint8)


def test_only_frames_that_both_saved_are_paired(tmp_path: Path) -> None:
    real, shown = Recorder(tmp_path, "real", 5), Recorder(tmp_path, "shown", 5)
    for number in (0, 5, 10, 15):
        real.save(7, number, plain(number))
    for number in (5, 15, 20):
        shown.save(7, number, plain(100 + number))
    shown.save(8, 10, plain(1))
    pairs = recorded(tmp_path)
    assert [pair.caption for pair in pairs] == ["0.2 s, frame 5", "0.6 s, frame 15"]
    assert [int(pair.real[0, 0, 0]) for pair in pairs] == [5, 15]
    assert [int(pair.shown[0, 0, 0]) for pair in pairs] == [105, 115]


def test_nothing_recorded_is_no_pair(tmp_path: Path) -> None:
    assert recorded(tmp_path) == []


def test_a_recorder_stops_at_its_limit_and_never_raises(tmp_path: Path) -> None:
    record = Recorder(tmp_path / "gone", "real", 1)
    for number in range(MOST):
        assert record.wants(number)
        record.save(1, number, plain(0, 8))
    assert not record.wants(MOST)


def test_pairs_are_spread_evenly() -> None:
    pairs = [Pair(str(index), plain(0), plain(0)) for index in range(11)]
    assert [pair.caption for pair in spread(pairs, 3)] == ["0", "5", "10"]
    assert spread(pairs[:2], 3) == pairs[:2]


def test_real_stands_left_and_shown_stands_right() -> None:
    pairs = [Pair("0 s", plain(30), plain(200)), Pair("1 s", plain(60), plain(220)), Pair("2 s", plain(90), plain(240))]
    sheet = np.asarray(contact_sheet(pairs, "title", "subtitle"))
    y = HEAD + CELL // 2
    assert sheet[y, 20 + CELL // 2].tolist() == [30] * 3
    assert sheet[y, 20 + CELL + 4 + CELL // 2].tolist() == [200] * 3
    assert (sheet[:HEAD] != sheet[0, 0]).any()
    assert len(sheet) > 2 * CELL
