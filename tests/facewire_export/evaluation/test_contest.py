"""Comparison at equal rates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch (extra: export) is not installed")

from facewire_export.evaluation.aggregate import Results, gather
from facewire_export.evaluation.contest import at, contest, front
from facewire_export.evaluation.paper import paper_tables
from facewire_export.evaluation.points import points
from facewire_export.evaluation.tables import baselines, clip_by_clip, contests, overview


def record(clip: str, point: str, rate: float, **scores: float | None) -> dict[str, Any]:
    """A record with that all-in rate; 8 kbit/s less of coded bytes."""
    return {
        "clip": clip, "point": point, "frames": 50, "fps": 25.0, "scores": {"psnr": None, **scores},
        "counts": {"psnr": 4, "mouth": 4}, "flicker": {"real": 1.0, "shown": 1.5},
        "kbps": {"stream": rate - 8, "all_in": rate}, "bpp": rate / 1000,
        "bytes": {"first": 250, "total": 900, "link": 1000}, "packets": 3, "cpu_seconds": {"code": 1.0},
    }  # fmt: skip


def results(records: list[dict[str, Any]]) -> Results:
    return gather(points(), records, Path("nowhere"))


def test_a_front_has_no_point_that_is_beaten_more_cheaply() -> None:
    curve = front([(30.0, 0.3), (10.0, 0.5), (20.0, 0.6), (40.0, 0.2)], lower_is_better=True)
    assert curve == [(10.0, 0.5), (30.0, 0.3), (40.0, 0.2)]
    assert front([(10.0, 20.0), (20.0, 19.0), (30.0, 25.0)], lower_is_better=False) == [(10.0, 20.0), (30.0, 25.0)]


def test_between_points_over_the_logarithm_of_the_rate() -> None:
    curve = [(10.0, 0.5), (40.0, 0.3)]
    assert at(curve, 9.9) is None
    assert at(curve, 10.0) == pytest.approx(0.5)
    assert at(curve, 20.0) == pytest.approx(0.4)
    assert at(curve, 400.0) == 0.3
    assert at([], 5.0) is None


def test_who_wins() -> None:
    found = results([
        record("a", "bgan", 10.0, lpips=0.2, psnr=20.0),
        record("a", "vsat", 20.0, lpips=0.1, psnr=21.0),
        record("a", "x265-live-256-q51", 15.0, lpips=0.15, psnr=25.0),
        record("a", "x265-live-512-q51", 60.0, lpips=0.05, psnr=30.0),
    ])  # fmt: skip
    by_factor = contest(found)
    at_once = by_factor[1]["lpips"][0]
    assert not at_once.reached
    assert at_once.lowest == 15.0
    assert at_once.we_win is None
    # Twice the rate: our `vsat` point against their curve.
    twice = by_factor[2]
    assert twice["lpips"][0].ours == pytest.approx(0.1)
    assert twice["lpips"][0].we_win is True
    assert twice["psnr"][0].we_win is False
    assert by_factor[8]["lpips"][0].we_win is False
    by_stream = contest(found, "stream")
    assert not by_stream[1]["lpips"][0].reached
    assert by_stream[4]["lpips"][0].reached


def test_a_codec_that_reaches_a_rate_on_few_clips_cannot_do_it() -> None:
    found = results([
        *(record(clip, "bgan", 10.0, lpips=0.2) for clip in "abc"),
        record("a", "av1-live-512-q70", 9.0, lpips=0.1),
        *(record(clip, "av1-live-512-q70", 11.0, lpips=0.1) for clip in "bc"),
    ])  # fmt: skip
    entry = contest(found)[1]["lpips"][0]
    assert (entry.clips, entry.of) == (1, 3)
    assert not entry.reached


def test_the_first_picture_can_be_told_apart() -> None:
    pivot = record("a", "bgan", 10.0) | {"epochs": [[0, "ab", 400], [9, "cd", 300]]}
    rows = results([pivot, record("a", "av1-live-512-q70", 10.0)]).rows
    # 50 frames are 2 s: 8 * (1000 - 400) bits, 8 * (1000 - 250) bits.
    assert rows["bgan"].later == pytest.approx(2.4)
    assert rows["av1-live-512-q70"].later == pytest.approx(3.0)


def test_a_codec_in_whose_pictures_no_face_is_found_loses() -> None:
    found = results([
        record("a", "bgan", 10.0, identity=0.8),
        record("a", "av1-live-128-half-q70", 7.0, identity=None),
    ])  # fmt: skip
    entry = contest(found)[1]["identity"][0]
    assert entry.faceless
    assert entry.we_win is True
    assert "no face is found" in contests(found, "all_in")[0].markdown()


def test_a_codec_that_was_not_measured_so_high_has_not_lost() -> None:
    found = results([
        record("a", "bgan", 10.0, lpips=0.2, psnr=20.0),
        record("a", "vp9-live-256-q63", 15.0, lpips=0.3, psnr=25.0),
    ])  # fmt: skip
    twice = contest(found)[2]
    assert twice["lpips"][0].is_open
    assert twice["lpips"][0].we_win is None
    assert twice["psnr"][0].we_win is False
    assert "open 0.200 / 0.300" in contests(found, "all_in")[1].markdown()


def test_tables_say_it_plainly() -> None:
    found = results([
        record("a", "bgan", 10.0, lpips=0.2, psnr=20.0),
        record("a", "bgan-bare", 9.5, lpips=0.25, psnr=19.5),
        record("a", "bgan-skip3", 9.0, lpips=0.3, psnr=19.0),
        record("a", "x264-live-256-q51", 12.0, lpips=0.4, psnr=25.0),
        record("a", "x264-live-512-q51", 30.0, lpips=0.4, psnr=25.0),
    ])  # fmt: skip
    first, second = contests(found, "all_in")[:2]
    assert "cannot (12.0 at least: 0.400)" in first.markdown()
    assert "won 0.200 / 0.400" in second.markdown()
    assert "LOST 20.00 / 25.00" in second.markdown()
    assert "1 won, 1 lost" in second.note
    assert "H.264 (x264) live" in overview(found).markdown()
    tables = paper_tables(found)
    assert [table.title.split(":")[0] for table in tables] == ["Table 1", "Table 2", "Table 3"]
    assert [row[0] for row in tables[0].rows] == ["+ super-resolution", "+ deformations"]
    assert tables[0].rows[0][-2:] == ("26.7", "0.81")
    assert {len(row) for row in tables[0].rows} == {len(tables[0].head)}


def test_clip_by_clip_counts_what_a_viewer_should_get() -> None:
    found = results([
        record("a", "bgan", 10.0, lpips=0.1, pose=2.9, lips=0.8),
        record("b", "bgan", 12.0, lpips=0.3, pose=3.1, lips=0.7),
        record("c", "bgan", 11.0, lpips=0.2, pose=1.0, lips=None),
    ])  # fmt: skip
    table = clip_by_clip(found)
    assert table is not None
    assert [row[0] for row in table.rows] == ["b", "c", "a"]
    assert "on 2 of 3 clips" in table.note
    assert "on 1 of 2" in table.note
    assert "1.50" in table.rows[0]
    assert clip_by_clip(results([record("a", "vsat", 10.0)])) is None


def test_baselines_are_told_and_training_records_beside_them_are_not(tmp_path: Path) -> None:
    assert baselines(tmp_path) is None
    (tmp_path / "animator-fomm.json").write_text('{"steps": 3}')
    assert baselines(tmp_path) is None
    told = {
        "motion": "fomm", "scores": {"shown": {"psnr": 19.5, "ssim": 0.66, "lpips": 0.123}},
        "payload": {"numbers": 60, "raw_bits": 1920, "entropy_bits": 168.4},
    }  # fmt: skip
    (tmp_path / "fomm.json").write_text(json.dumps(told))
    table = baselines(tmp_path)
    assert table is not None
    assert table.rows == (("fomm", "60", "1920", "168", "19.50", "0.660", "0.123"),)
