"""Units, records and resuming, with networks whose pictures are known."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="torch (extra: export) is not installed")

import torch
from tests.facewire_export.evaluation.made_up import clip, networks, stream

from facewire.errors import FacewireError
from facewire_export.evaluate import Plan, entries_of, evaluate, spread
from facewire_export.evaluation import ours, run
from facewire_export.evaluation.footage import Footage
from facewire_export.evaluation.points import Ours, points
from facewire_export.evaluation.records import REAL, Records, features_path, read
from facewire_export.evaluation.run import Bar, Keys, measure, units
from facewire_export.evaluation.work import Setup, Worker, player_path
from facewire_export.judge import Judge
from facewire_export.sheets import HEAD, TILE

FRAMES = 12
MINE = "bgan,bgan-pivot,bgan-bicubic,bgan-skip3,x264-live-256-q51,av1-live-128-half-q70"


@pytest.fixture(autouse=True)
def _made_up_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams of the made-up clip instead of MediaPipe and the keypoint network."""
    torch.set_num_threads(1)

    def code(footage: Footage, point: Ours, folder: Path, models: str = "") -> ours.Stream:
        messages = stream(len(footage.real), skip=point.skip)
        total = sum(len(repr(m)) for m in messages) // 10
        rate = {"kbps": 7.5, "bpp": 0.001, "seconds": footage.seconds, "bytes": {"pivots": total, "total": total}}
        return ours.stream_of(messages, rate, ours.profile_of(point))

    monkeypatch.setattr(ours, "code", code)
    monkeypatch.setattr(run, "models_id", lambda _: "models")
    monkeypatch.setattr(run, "code_id", lambda: "code")


def worker_of(setup: Setup) -> Worker:
    return Worker(setup, Judge(None, with_faces=False), networks())


def plan_of(folder: Path, names: str = "a", only: str = MINE, **more: Any) -> Plan:
    entries = [clip(folder / f"{name}.mp4", FRAMES) for name in names]
    return Plan(entries, points(only), Setup(folder / "out", None), 1, "the command", **more)


def test_a_moving_clip_is_better_than_a_held_pivot(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, publish=tmp_path / "results" / "val")
    assert evaluate(plan, {"lpips": "no weights"}, worker_of(plan.setup)) == {}
    out = plan.setup.out
    found = {record["point"]: record for record in read(out / "records.jsonl")}
    assert set(found) == {point.name for point in plan.points}
    assert found["bgan"]["scores"]["psnr"] > found["bgan-pivot"]["scores"]["psnr"] + 3
    assert found["bgan"]["frames"] == found["bgan-skip3"]["shown_frames"] == FRAMES
    assert found["bgan"]["kbps"]["all_in"] > 1
    assert found["av1-live-128-half-q70"]["packets"] == FRAMES // 2
    assert found["bgan"]["scores"]["lpips"] is None
    for name in (REAL, "bgan", "x264-live-256-q51"):
        assert player_path(out, name, "a").is_file()
    assert (out / "sheets" / "a.png").is_file()
    assert cv2.imread(str(out / "strips" / "a.png")).shape == (HEAD + 2 * TILE, 6 * TILE, 3)
    assert (out / "figure5-faces.png").is_file()
    page = (out / "page.html").read_text()
    assert "players/a/bgan.mp4" in page
    assert "http" not in page
    report = (out / "report.md").read_text()
    assert "Left out: lpips: no weights" in report
    assert "Table 2" in report
    assert "The command took 0." in report
    assert evaluate(plan, {"lpips": "no weights"}, worker_of(plan.setup)) == {}
    assert "measured 0 of these 6 records" in (out / "report.md").read_text()
    into = tmp_path / "results" / "val"
    published = {path.relative_to(into).as_posix() for path in into.rglob("*")}
    assert {"records.jsonl", "report.md", "summary.json", "points.csv", "clips.csv", "plots/figure5.png"} <= published
    assert not any("mp4" in name or "faces" in name or "sheet" in name or "strip" in name for name in published)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["points"]["bgan"]["clips"] == 1
    assert summary["command"] == "the command"


def test_it_goes_on_where_it_stopped_and_measures_again_what_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tmp_path, only="bgan-pivot,bgan-skip3,x264-live-256-q51")
    setup, entries = plan.setup, plan.entries
    records, keys = Records(setup.out), Keys(setup, [])

    def due() -> list[str]:
        left = units(entries, plan.points, Records(setup.out), Keys(setup, []), setup)
        return sorted(point.name for unit in left for point in unit.points)

    todo = units(entries, plan.points, records, keys, setup)
    assert len(todo) == 3
    measure(todo[:2], records, keys, setup, 1, worker_of(setup))
    with records.path.open("a") as handle:
        handle.write('{"clip": "a", "poi')
    assert len(due()) == 1
    again = Records(setup.out)
    measure(units(entries, plan.points, again, keys, setup), again, keys, setup, 1, worker_of(setup))
    assert due() == []
    # Other networks: ours again, codecs not.
    monkeypatch.setattr(run, "models_id", lambda _: "others")
    assert due() == ["bgan-pivot", "bgan-skip3"]
    monkeypatch.setattr(run, "models_id", lambda _: "models")
    # What a record needs beside it has gone: measured again.
    features_path(setup.out, "bgan-pivot", "a").unlink()
    player_path(setup.out, "x264-live-256-q51", "a").unlink()
    assert due() == ["bgan-pivot", "x264-live-256-q51"]
    # Another clip under the same name: all of it again.
    clip(tmp_path / "a.mp4", FRAMES + 1)
    assert len(due()) == 3


def test_a_point_that_fails_is_named_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of(tmp_path, names="ab", only="bgan-pivot")
    (tmp_path / "b.mp4").write_text("no video")
    failed = evaluate(plan, {}, worker_of(plan.setup))
    assert list(failed) == ["b bgan-pivot"]
    assert "cannot be read" in failed["b bgan-pivot"]
    assert "b bgan-pivot: " in capsys.readouterr().err
    assert "Left out: b bgan-pivot" in (plan.setup.out / "report.md").read_text()


def test_nothing_usable_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    plan = Plan(entries_of([tmp_path]), points("bgan-pivot"), Setup(tmp_path / "out", None), 1, "x")
    with pytest.raises(FacewireError, match="no clip could be evaluated"):
        evaluate(plan, {}, worker_of(plan.setup))
    with pytest.raises(FacewireError, match="holds no records"):
        evaluate(Plan(plan.entries, plan.points, plan.setup, 1, "x", measure=False), {})


def test_without_vvc_the_report_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from facewire_export.evaluation import vvc

    monkeypatch.setattr(vvc, "encoder", lambda: "")
    plan = plan_of(tmp_path, only="bgan-pivot,vvc-live-256-q48")
    assert list(evaluate(plan, {}, worker_of(plan.setup))) == ["VVC"]
    assert "Left out: VVC: no ffmpeg with libvvenc" in (plan.setup.out / "report.md").read_text()


def test_records_survive_a_cut_line(tmp_path: Path) -> None:
    records = Records(tmp_path)
    features = np.zeros((2, 512), np.float32)
    records.add({"clip": "a", "point": "p", "key": "k", "scores": {"psnr": float("inf")}}, features)
    with records.path.open("a") as handle:
        handle.write('{"clip": "b", "point"')
    again = Records(tmp_path)
    again.add({"clip": "b", "point": "p", "key": "k"}, features)
    assert [(r["clip"], r.get("scores")) for r in read(records.path)] == [("a", {"psnr": None}), ("b", None)]
    assert again.get("a", "p", "k") is not None
    assert again.get("a", "p", "other") is None


def test_clips_by_folder_and_by_name(tmp_path: Path) -> None:
    for name in "abc":
        clip(tmp_path / f"{name}.mp4", 2)
    entries = entries_of([tmp_path])
    assert [e.name for e in entries] == ["a", "b", "c"]
    assert [e.name for e in spread(entries, 2)] == ["a", "c"]
    assert [e.name for e in entries_of([tmp_path / "b.mp4"])] == ["b"]
    with pytest.raises(FacewireError, match="two clips are named b"):
        entries_of([tmp_path, tmp_path / "b.mp4"])


def test_the_command_line_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from facewire_export.cli import main as command

    assert command(["evaluate", str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err
    clip(tmp_path / "a.mp4", 2)
    assert command(["evaluate", str(tmp_path), "--only", "mpeg1", "--out", str(tmp_path / "out")]) == 1
    assert "mpeg1: no such point" in capsys.readouterr().err


def test_the_bar_is_a_line_for_each_unit_where_nobody_watches() -> None:
    out = io.StringIO()
    with Bar(2, out) as bar:
        bar.step("a")
        bar.say("trouble")
        bar.step("b")
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["1/2", "trouble", "2/2"]
