"""Evaluation on a made-up clip and networks whose pictures are known."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.errors import FacewireError
from facewire.networks import Networks
from facewire.networks.manifest import MANIFEST, default_directory
from facewire.types import Bundle, Epoch, KeypointFrame, Message, Picture, PivotSlice
from facewire.wire.container import Writer
from facewire.wire.keypoints import to_grid
from facewire.wire.pivot import content_id, encode_pivot
from facewire_export import evaluate as module
from facewire_export.cli import main
from facewire_export.comparison import Settings
from facewire_export.dataset import ClipEntry
from facewire_export.evaluate import coprime, evaluate
from facewire_export.judge import Judge, Seen
from facewire_export.pipelines import wide_clip
from facewire_export.playback import play, shorten, source_pictures
from facewire_export.sheets import SheetRow, contact_sheet, region
from facewire_export.tables import WAYS, markdown

ID = b"test"
SHIFT = 0.02
"""Keypoints move so far (half crops) with each frame of the made-up clip."""


class Fake:
    """A session that computes with a function."""

    def __init__(self, inputs: Mapping[str, tuple[int, ...]], output: str, run: Any) -> None:
        self.inputs: Mapping[str, tuple[int | None, ...]] = inputs
        self.outputs: Mapping[str, tuple[int | None, ...]] = {output: (1,)}
        self._run, self._output = run, output

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        return {self._output: np.asarray(self._run(inputs), np.float32)}


def moved(feed: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The pivot shifted by how far the keypoints moved: what a perfect generator does to the made-up clip."""
    x, y = (feed["keypoints"] - feed["pivot_keypoints"]).mean((0, 1)) * 128
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
    planes = [cv2.warpAffine(p, matrix, (256, 256), borderMode=cv2.BORDER_REFLECT) for p in feed["pivot"][0]]
    return np.asarray(np.stack(planes)[None])


@pytest.fixture
def networks() -> Networks:
    picture, points = (1, 3, 256, 256), (1, 10, 2)
    still = {"pivot": picture, "pivot_keypoints": points}
    sessions = {
        "keypoints": Fake({"picture": (1, 3, 64, 64)}, "keypoints", lambda _: np.zeros(points)),
        "pivot_encoder": Fake(still, "features", lambda _: np.zeros((1, 1, 1, 1))),
        "generator": Fake({**still, "keypoints": points}, "picture", moved),
        "interpolator": Fake(
            {"picture_before": picture, "picture_after": picture},
            "between",
            lambda feed: (feed["picture_before"] + feed["picture_after"]) / 2,
        ),
    }
    return Networks(ID, sessions)


def scene(size: int, frame: int) -> Picture:
    """A blurred blob picture that moves to the right by 2.56 pixels of 256 with each frame."""
    noise = np.random.default_rng(5).integers(30, 226, (16, 16, 3)).astype(np.uint8)
    large = cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    matrix = np.array([[1, 0, frame * SHIFT * size / 2], [0, 1, 0]], np.float32)
    return np.asarray(cv2.warpAffine(large, matrix, (size, size), borderMode=cv2.BORDER_REFLECT), np.uint8)


def clip(path: Path, frames: int, size: int = 256) -> ClipEntry:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "8", "preset": "ultrafast"})
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for i in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(size, i), format="rgb24")))
        container.mux(stream.encode(None))
    return ClipEntry(path.stem, path, "nobody", size, True)


def stream(frames: int, lost: tuple[int, ...] = ()) -> list[Message]:
    """What an encoder would send for the clip at skip 1."""
    data = encode_pivot(scene(256, 0), 4000)
    epoch = Epoch(7, 0, 0, content_id(data), len(data), 256, 25.0, 1, ID, 0.5)
    numbers = sorted({*range(0, frames, 2), frames - 1} - set(lost))
    bundles: list[Message] = []
    for number in numbers:
        points = np.zeros((10, 2), np.float32)
        points[:, 0] = number * SHIFT
        bundles.append(Bundle(0, (KeypointFrame(number, to_grid(points, 0.5)),)))
    return [epoch, PivotSlice(epoch.pivot_id, 0, len(data), data), *bundles]


def fake_compress(source: Path, out: Path, settings: Settings, report: Path) -> None:
    frames = sum(1 for _ in source_pictures(source, 64))
    with Writer(out) as writer:
        for message in stream(frames):
            writer.write(message)
        total = writer.bytes
    rate = {"kbps": total * 8 / 1000 / (frames / 25), "bpp": 0.01, "pivots": 1, "keypoint_frames": frames // 2}
    report.write_text(json.dumps({**rate, "bytes": {"pivots": total, "total": total}}))


SETTINGS = Settings("bgan", 1, "adaptive", 256, 3, 0, "models", "all")


def test_a_moving_clip_is_better_than_a_held_pivot(tmp_path: Path, networks: Networks) -> None:
    entry = clip(tmp_path / "a.mp4", 12)
    judge = Judge(None, with_faces=False)
    result = evaluate([entry], tmp_path / "out", networks, judge, SETTINGS, tmp_path / "sheets", "cmd", fake_compress)
    scores = result["scores"]
    assert result["all_same_length"]
    assert result["frames"] == 12
    assert scores["shown"]["psnr"] > scores["pivot"]["psnr"] + 3
    assert scores["shown"]["ssim"] > scores["pivot"]["ssim"]
    assert scores["first_frame"]["psnr"] >= scores["first_pivot"]["psnr"] - 0.5
    assert scores["pivot"] == scores["first_pivot"]
    assert scores["shown"]["lpips"] is None
    assert result["clips_better_than_pivot"]["psnr"] == 1
    assert (tmp_path / "sheets" / "a.png").is_file()
    table = (tmp_path / "out" / "table.md").read_text()
    assert all(title in table for title in WAYS.values())
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["settings"]["every"] == 3
    assert summary["machine"]["cores"] >= 1
    assert "lpips" in summary["missing_scores"]


def test_it_goes_on_where_it_stopped(tmp_path: Path, networks: Networks, capsys: pytest.CaptureFixture[str]) -> None:
    entries = [clip(tmp_path / f"{name}.mp4", 5) for name in "ab"]
    judge = Judge(None, with_faces=False)
    out = tmp_path / "out"
    done: list[str] = []

    def counting(source: Path, coded: Path, settings: Settings, report: Path) -> None:
        done.append(source.stem)
        if source.stem == "b" and len(done) == 2:
            raise FacewireError("the light went out")
        fake_compress(source, coded, settings, report)

    first = evaluate(entries, out, networks, judge, SETTINGS, None, compress=counting)
    assert first["failed"] == {"b": "the light went out"}
    assert "b: the light went out" in capsys.readouterr().err
    with (out / "clips.jsonl").open("a") as handle:
        handle.write('{"clip": "b", "sco')
    result = evaluate(entries, out, networks, judge, SETTINGS, None, compress=counting)
    assert done == ["a", "b", "b"]
    assert result["clips"] == 2
    lines = (out / "clips.jsonl").read_text().splitlines()
    assert [json.loads(line)["clip"] for line in lines] == ["a", "b"]
    # Other settings: nothing is reused.
    other = Settings(**{**vars(SETTINGS), "size": 128})
    evaluate(entries[:1], out, networks, judge, other, None, compress=counting)
    assert done == ["a", "b", "b", "a"]


def test_nothing_usable_is_one_error(tmp_path: Path, networks: Networks) -> None:
    def broken(source: Path, coded: Path, settings: Settings, report: Path) -> None:
        raise FacewireError(f"{source.name} cannot be compressed into {coded.name} by {settings.profile}, see {report}")

    entry = clip(tmp_path / "a.mp4", 3)
    with pytest.raises(FacewireError, match="no clip could be evaluated"):
        evaluate([entry], tmp_path / "out", networks, Judge(None, False), SETTINGS, None, compress=broken)


def test_ctrl_c_stops_and_does_not_skip_a_clip(tmp_path: Path, networks: Networks) -> None:
    def stopped(source: Path, coded: Path, settings: Settings, report: Path) -> None:
        raise FacewireError(f"interrupted: {coded} holds the first 3 frames")

    entries = [clip(tmp_path / f"{name}.mp4", 3) for name in "ab"]
    with pytest.raises(KeyboardInterrupt):
        evaluate(entries, tmp_path / "out", networks, Judge(None, False), SETTINGS, None, compress=stopped)


def test_play_holds_what_was_lost(networks: Networks) -> None:
    played = list(play(stream(11, lost=(2, 4, 6)), networks, 256, frames=13))
    assert [p.number for p in played] == list(range(13))
    assert [p.number for p in played if p.held] == [1, 2, 3, 4, 5, 6, 7, 11, 12]
    assert played[3].shown is played[0].shown
    assert [p.number for p in played if p.interpolated and not p.held] == [9]
    assert list(play([], networks, 256, frames=4)) == []


def test_shorten_is_lossless(tmp_path: Path) -> None:
    entry = clip(tmp_path / "a.mp4", 9)
    shorten(entry.path, 4, tmp_path / "short.mkv")
    short = list(source_pictures(tmp_path / "short.mkv", 256))
    assert len(short) == 4
    for ours, theirs in zip(short, source_pictures(entry.path, 256), strict=False):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("skip", range(4))
def test_samples_meet_sent_and_interpolated_frames_alike(skip: int) -> None:
    for every in range(1, 13):
        chosen = coprime(every, skip)
        assert every <= chosen <= every + 2
        assert {n % (skip + 1) for n in range(chosen // 2, 500, chosen)} == set(range(skip + 1))


def test_judge_tells_a_far_mouth(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(None, with_faces=False)
    mesh = np.random.default_rng(0).uniform(50, 200, (478, 3)).astype(np.float32)
    mesh[[234, 454]] = [[50, 100, 0], [150, 100, 0]]
    aside = mesh + np.array([3, 4, 0], np.float32)
    picture = scene(64, 0)
    same = judge.compare(Seen(picture, None, mesh, None), Seen(picture, None, mesh, None))
    far = judge.compare(Seen(picture, None, mesh, None), Seen(picture, None, aside, None))
    assert same["mouth"] == same["eyelids"] == 0.0
    assert far["mouth"] == pytest.approx(5.0, rel=1e-4)
    blind = judge.compare(Seen(picture, None, mesh, None), Seen(picture, None, None, None))
    assert math.isnan(blind["mouth"])
    assert math.isnan(blind["lpips"])


def test_sheet_shape_and_regions() -> None:
    mesh = np.full((478, 3), 100, np.float32)
    picture = scene(256, 0)
    four = (picture, picture, picture, picture)
    sheet = contact_sheet([SheetRow(four, mesh, "a"), SheetRow(four, None, "b")], "title")
    assert sheet.shape == (44 + 22 + 256 + 96 + 128 + 22 + 256, 1024, 3)
    for corner in (0.0, 255.0):
        points = np.array([[corner, corner], [corner + 40, corner]], np.float32)
        left, top, width, height = region(points, 256, 2.0, 0.5)
        assert left >= 0
        assert top >= 0
        assert left + width <= 256
        assert top + height <= 256


def test_table_without_any_score() -> None:
    scores: dict[str, dict[str, float | None]] = {way: dict.fromkeys(("psnr", "lpips")) for way in WAYS}
    record = {
        "clip": "x", "frames": 3, "source_frames": 3, "rate": {"bytes": {}}, "scores": scores,
        "flicker": {"real": None, "shown": None},
    }  # fmt: skip
    settings = {"size": 512, "profile": "bgan", "skip": 1, "pivots": "adaptive", "every": 7}
    assert "| x | 3 | - | - |" in markdown([record], settings)


def test_the_command_line_needs_a_folder(tmp_path: Path) -> None:
    assert module.default_weights() is None or module.default_weights()
    assert main(["evaluate", str(tmp_path / "none")]) == 1


@pytest.mark.skipif(not (default_directory() / MANIFEST).is_file(), reason="no networks in models_onnx")
def test_the_command_on_the_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    folder = tmp_path / "clips"
    folder.mkdir()
    wide_clip("sample:", folder / "sample.mp4", 12, 256, 256)
    out = tmp_path / "out"
    words = ["evaluate", str(folder), "--out", str(out), "--weights", str(tmp_path), "--no-sheets", "--size", "128"]
    assert main([*words, "--every", "4"]) == 0
    assert "lpips is left out" in capsys.readouterr().err
    summary = json.loads((out / "summary.json").read_text())
    assert summary["all_same_length"]
    assert summary["frames"] == 12
    assert summary["settings"]["every"] == 5
    assert summary["rate"]["bytes"]["total"] > summary["rate"]["bytes"]["pivots"] > 0
    assert summary["scores"]["shown"]["mouth"] is not None
