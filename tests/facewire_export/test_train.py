"""`facewire-export train` on two made-up clips: every task takes steps, alone and under torchrun."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (facewire[export])")

from facewire.networks import Networks  # noqa: E402
from facewire_export import baselines  # noqa: E402
from facewire_export.dataset import LANDMARKS, Clip, ClipEntry, DatasetError  # noqa: E402
from facewire_export.networks.receiver import PARTS  # noqa: E402
from facewire_export.onnx_export import Shelf  # noqa: E402
from facewire_export.pipelines import pictures_of, square  # noqa: E402
from facewire_export.train import TASKS, add_train_arguments, main  # noqa: E402
from facewire_export.training.pool import Pool, ten_points  # noqa: E402
from facewire_export.training.representations import REPRESENTATIONS  # noqa: E402
from facewire_export.training.sent import FRAMES, send  # noqa: E402
from facewire_export.training.streams import Streams  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT.parent / "shared" / "weights"

needs_weights = pytest.mark.skipif(
    not WEIGHTS.is_dir(), reason="needs ../shared/weights: the networks of the perceptual losses are not shipped"
)


def write_clip(path: Path, seed: int) -> None:
    """Twelve frames of drifting noise, 512x512: no face is in it, so no landmarks either."""
    dice = np.random.default_rng(seed)
    field = dice.integers(0, 255, (40, 40, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 512
        stream.pix_fmt = "yuv420p"
        for shift in range(12):
            picture = np.ascontiguousarray(field[shift : shift + 512, shift : shift + 512])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for name, seed in (("train", 1), ("val", 2)):
        (folder / name).mkdir()
        write_clip(folder / name / "noise.mp4", seed)
    return folder


def options(clips: Path, out: Path, *more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    common = ["--out", str(out), "--cache", str(clips / "cache"), "--weights", str(WEIGHTS), "--device", "cpu"]
    return parser.parse_args([str(clips / "train"), *common, "--batch", "2", *more])


@needs_weights
@pytest.mark.parametrize("task", TASKS)
def test_each_task_takes_a_step_and_goes_on_from_there(clips: Path, tmp_path: Path, task: str) -> None:
    assert main(options(clips, tmp_path, "--task", task, "--steps", "1")) == 0
    assert main(options(clips, tmp_path, "--task", task, "--steps", "2", "--resume")) == 0
    record = json.loads((tmp_path / f"{task}.json").read_text())
    assert record["steps"] == 2
    assert record["clips"] == 1
    assert all(np.isfinite(value) for value in record["held_out"].values())
    weights = torch.load(tmp_path / f"{task}.best.pt", weights_only=True)["average"]
    assert all(torch.isfinite(value).all() for value in weights.values())


@needs_weights
def test_baselines_take_steps_of_both_phases_and_are_compared(clips: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for motion in REPRESENTATIONS:
        arguments = ["--task", "animator", "--motion", motion, "--motion-steps", "1", "--steps", "2"]
        assert main(options(clips, runs, *arguments)) == 0
        record = json.loads((runs / f"animator-{motion}.json").read_text())
        assert (record["steps"], record["motion"]) == (2, motion)
        assert record["cpu_seconds"] > 0
        assert all(np.isfinite(value) for value in record["held_out"].values())
    assert not (runs / "animator.best.pt").exists()  # nothing that an export would take for ours
    parser = argparse.ArgumentParser()
    baselines.add_baselines_arguments(parser)
    places = ["--out", str(tmp_path / "results"), "--cache", str(clips / "cache"), "--weights", str(WEIGHTS)]
    assert baselines.main(parser.parse_args([str(runs), "--clips", str(clips / "val"), *places])) == 0
    results = {m: json.loads((tmp_path / "results" / f"{m}.json").read_text()) for m in REPRESENTATIONS}
    assert [r["payload"]["numbers"] for r in results.values()] == [20, 20, 60, 36]
    assert len({r["scores"]["held"]["psnr"] for r in results.values()}) == 1
    assert "| vid2vid3d | 36 | 1152 |" in (tmp_path / "results" / "table.md").read_text()


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample in a folder `train`, long enough to be sent."""
    folder = tmp_path_factory.mktemp("face")
    (folder / "train").mkdir()
    with av.open(str(folder / "train" / "face.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 512
        stream.pix_fmt = "yuv420p"
        for picture in pictures_of("sample:", 2 * FRAMES + 2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(square(picture, 512), "rgb24")))
        container.mux(stream.encode())
    return folder


START = ROOT / "models_onnx" / "compact"


def carried_on(task: str, face: Path, out: Path) -> dict[str, Any]:
    """Two steps from the shipped weights on; returns the record."""
    arguments = ["--task", task, "--start", str(START), "--steps", "2", "--val", str(face / "train")]
    assert main(options(face, out, *arguments)) == 0
    record: dict[str, Any] = json.loads((out / f"{task}.json").read_text())
    return record


@needs_weights
def test_the_receiver_learns_from_what_is_sent_and_is_exported_in_parts(face: Path, tmp_path: Path) -> None:
    record = carried_on("receiver", face, tmp_path)
    assert set(record["held_out"]) == {"lpips_shown", "psnr_shown", "lpips_mouth", "psnr_mouth"}
    assert record["started_from"]["restorer"] == json.loads((START / "record.json").read_text())["restorer"]
    after = torch.load(tmp_path / "receiver.last.pt", weights_only=True)["networks"]
    changed: set[str] = set()
    for task in PARTS:
        before = torch.load(START / f"{task}.pt", weights_only=True)["average"]
        changed |= {key for key in before if not torch.equal(before[key], after[key])}
    assert {key.split(".")[0] for key in changed} == {"pivot_encoder", "generator", "restorer", "upscaler"}
    assert not [key for key in changed if ".motion." in key]
    shelf = Shelf(tmp_path, tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    for task, names in PARTS.items():
        weights, about = shelf.take(task)
        assert {key.split(".")[0] for key in weights} == set(names)
        assert (about["task"], about["exported"]["step"]) == ("receiver", 2)
        shelf.keep(task)
    kept = torch.load(tmp_path / "kept" / "restorer.pt", weights_only=True)["average"]
    assert all(torch.equal(kept[key], value) for key, value in shelf.take("restorer")[0].items())


@needs_weights
def test_what_restores_large_pivots_learns_alone(face: Path, tmp_path: Path) -> None:
    record = carried_on("large_restorer", face, tmp_path)
    assert set(record["held_out"]) == {"lpips_shown", "psnr_shown"}
    before = torch.load(START / "restorer.pt", weights_only=True)["average"]
    weights, _ = Shelf(tmp_path, tmp_path).take("large_restorer")
    assert {f"large_{key}" for key in before} == set(weights)
    assert any(not torch.equal(before[key], weights[f"large_{key}"]) for key in before)


@pytest.mark.parametrize("task", ["receiver", "large_restorer"])
def test_some_need_something_to_go_on_with(clips: Path, tmp_path: Path, task: str) -> None:
    with pytest.raises(DatasetError, match="--start"):
        main(options(clips, tmp_path, "--task", task))


def test_nothing_is_sent_of_clips_without_faces(tmp_path: Path) -> None:
    landmarks = np.full((30, LANDMARKS, 2), np.nan, np.float16)
    clip = Clip(ClipEntry("noise", tmp_path, "nobody", 256, True), np.zeros((30, 256, 256, 3), np.uint8), landmarks)
    assert send(clip, Networks(bytes(4), {}), 1) is None
    with pytest.raises(DatasetError, match="none of these clips"):
        Streams(Pool([clip], [ten_points(landmarks)], torch.device("cpu"), None, tmp_path), [None], [None])


def test_baselines_begin_from_scratch_and_alone(clips: Path, tmp_path: Path) -> None:
    for more in ([], ["--task", "upscaler"], ["--task", "animator", "--start", str(tmp_path)]):
        with pytest.raises(DatasetError, match="--task animator"):
            main(options(clips, tmp_path, "--motion", "fomm", *more))


@needs_weights
def test_torchrun_keeps_its_processes_together(clips: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "facewire_export.cli"]
    arguments = ["train", str(clips / "train"), "--task", "background", "--steps", "2", "--batch", "2"]
    places = ["--out", str(tmp_path), "--cache", str(clips / "cache"), "--weights", str(WEIGHTS), "--device", "cpu"]
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'export'}:{ROOT / 'daemon'}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *arguments, *places], capture_output=True, text=True, env=environ, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / "background.json").read_text())["steps"] == 2


@needs_weights
def test_training_begins_with_exported_weights(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(options(clips, tmp_path / "a", "--task", "upscaler", "--steps", "2")) == 0
    (tmp_path / "upscaler.pt").write_bytes((tmp_path / "a" / "upscaler.best.pt").read_bytes())
    assert main(options(clips, tmp_path / "b", "--task", "upscaler", "--steps", "0", "--start", str(tmp_path))) == 0
    kept = [torch.load(tmp_path / run / "upscaler.best.pt", weights_only=True)["average"] for run in "ab"]
    assert all(torch.equal(kept[0][key], kept[1][key]) for key in kept[0])
    with pytest.raises(DatasetError, match="not there"):
        main(options(clips, tmp_path / "c", "--task", "upscaler", "--start", str(tmp_path / "none")))
