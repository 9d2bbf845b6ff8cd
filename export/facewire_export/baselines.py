"""Compare ways of describing movement that were trained alike: FOMM and 3-D keypoints beside ours.

    for m in facewire fomm-points fomm vid2vid3d; do
        facewire-export train clips/train --task animator --motion $m --out RUNS --steps N --motion-steps M
    done
    facewire-export baselines RUNS --clips clips/val

Each is judged at its last step by its averaged weights on held-out clips, the first frame being the pivot of the whole
clip: PSNR, SSIM and LPIPS (SqueezeNet) at 256x256, of the warped pivot and of the repaired picture. Runs that did not
have the same budget are refused. Writes a record for each and table.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from facewire.errors import FacewireError
from facewire_export.lpips import Lpips, load_lpips
from facewire_export.metrics import mean_db, psnr, ssim
from facewire_export.networks.tiers import CODED_SIZE, TIERS
from facewire_export.payload import PROFILE, Trace, payload
from facewire_export.perceptual import PyramidLoss
from facewire_export.training.animator import AnimatorSettings, AnimatorTask
from facewire_export.training.losses import PictureLoss
from facewire_export.training.pool import Pool, open_pool
from facewire_export.training.representations import REPRESENTATIONS

ALIKE = ("steps", "seed", "learning_rate", "ema", "tier", "clips", "frames", "settings")
"""What must not differ between runs that are compared."""
PLACES = (0.3, 0.6, 0.95)
"""Judged frames, as shares of a clip."""
WAYS = ("shown", "warped", "held")
FIGURES = ("psnr", "ssim", "lpips")


def add_baselines_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `facewire-export baselines`."""
    parser.add_argument("runs", type=Path, help="folder that `train --task animator --motion NAME` wrote to")
    parser.add_argument("--clips", type=Path, required=True, help="folder of held-out clips")
    parser.add_argument("--out", type=Path, default=Path("results/baselines"), help="where the results go")
    parser.add_argument("--weights", type=Path, default=Path("../shared/weights"), help="networks of the metrics")
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="where decoded clips are kept")


def read_runs(folder: Path) -> dict[str, dict[str, Any]]:
    """Training records by representation, ours first. Raises FacewireError where they cannot be compared."""
    records = {}
    for name in REPRESENTATIONS:
        path = folder / f"animator-{name}.json"
        if path.is_file():
            records[name] = json.loads(path.read_text())
    first = next(iter(REPRESENTATIONS))
    if first not in records or len(records) < 2:
        names = ", ".join(REPRESENTATIONS)
        raise FacewireError(
            f"{folder}: needs a run of {first} and another; train with --task animator --motion NAME ({names})"
        )
    for name, record in records.items():
        for key in ALIKE:
            if record.get(key) != records[first].get(key):
                raise FacewireError(
                    f"{folder}: {name} and {first} differ in {key} ({record.get(key)}, {records[first].get(key)}); "
                    "train both with the same options, --resume goes on"
                )
    return records


def _uint8(picture: Tensor) -> NDArray[np.uint8]:
    return np.asarray(picture[0].permute(1, 2, 0).mul(255).round().byte().cpu().numpy())


@torch.no_grad()
def judge_frame(lpips: Lpips, real: Tensor, others: Mapping[str, Tensor]) -> dict[str, dict[str, float]]:
    """PSNR in dB, SSIM and LPIPS of each other picture against the real one; all [1, 3, H, W] in [0, 1]."""
    features = lpips.describe(torch.cat([real, *others.values()]) * 2 - 1)
    wanted = _uint8(real)
    found = {}
    for index, (way, picture) in enumerate(others.items(), 1):
        seen = _uint8(picture)
        distance = lpips.distance([f[:1] for f in features], [f[index : index + 1] for f in features]).item()
        found[way] = {"psnr": psnr(wanted, seen), "ssim": ssim(wanted, seen), "lpips": distance}
    return found


@torch.no_grad()
def traces(networks: nn.ModuleDict, task: AnimatorTask, pool: Pool) -> list[Trace]:
    """The numbers that would travel for each clip's keypoint frames."""
    found = []
    for clip, entry in enumerate(pool.clips):
        chosen = [(clip, frame) for frame in range(0, len(entry.frames), PROFILE.skip + 1)]
        sent = []
        for at in range(0, len(chosen), 16):
            pictures = F.avg_pool2d(pool.frames(chosen[at : at + 16]), 2)
            sent.append(task.kind.carried(networks["keypoints"](pictures)).float())
        found.append(torch.cat(sent).cpu().numpy())
    return found


def mean(figure: str, values: list[float]) -> float:
    """Of a figure; an identical picture's PSNR counts as the metric's ceiling."""
    return mean_db(values) if figure == "psnr" else float(np.mean(values))


def judge_run(task: AnimatorTask, networks: nn.ModuleDict, pool: Pool, lpips: Lpips) -> list[dict[str, Any]]:
    """Scores of each clip: the means over its judged frames."""
    pairs = task.pairs(networks, list(PLACES))
    clips = []
    for index, entry in enumerate(pool.clips):
        frames = [
            judge_frame(lpips, real, {"shown": shown, "warped": warped, "held": pivot})
            for pivot, real, warped, shown in pairs[index * len(PLACES) : (index + 1) * len(PLACES)]
        ]
        means = {w: {f: mean(f, [frame[w][f] for frame in frames]) for f in FIGURES} for w in WAYS}
        clips.append({"clip": entry.entry.name, **means})
    return clips


def budget(record: Mapping[str, Any]) -> dict[str, Any]:
    """Pairs of pictures that a run has learned from, and how long it took."""
    settings = record["settings"]
    motion = min(record["steps"], settings["motion_steps"])
    pairs = motion * settings["motion_batch"] + (record["steps"] - motion) * settings["batch"]
    return {"pairs": pairs, "minutes": record["seconds"] / 60, "cpu_minutes": record["cpu_seconds"] / 60}


def _curve(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def rounded(value: Any) -> Any:
    """Floats with four digits after the point, all the way down."""
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value


def assess(folder: Path, name: str, record: dict[str, Any], pool: Pool, loss: PictureLoss) -> dict[str, Any]:
    """Everything that is kept of one run."""
    settings = AnimatorSettings(**record["settings"])
    task = AnimatorTask(TIERS[record["tier"]], pool, pool, loss, settings, REPRESENTATIONS[name])
    path = folder / f"animator-{name}.last.pt"
    if not path.is_file():
        raise FacewireError(f"{path}: not there; its record is, so keep a run's files together")
    networks = task.networks.eval()
    networks.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["average"])
    clips = judge_run(task, networks, pool, loss.lpips)
    return {
        "motion": name,
        "budget": budget(record),
        "parameters": {"detector": _count(networks["keypoints"]), "motion": _count(task.generator.motion)},
        "payload": payload(traces(networks, task, pool), task.kind.kinds),
        "scores": {w: {f: mean(f, [c[w][f] for c in clips]) for f in FIGURES} for w in WAYS},
        "clips": clips,
        "record": record,
        "curve": _curve(folder / f"animator-{name}.curve.jsonl"),
    }


def against_ours(ours: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[float, float, int]:
    """LPIPS of the shown picture less ours, clip by clip: mean, standard error, clips that are better than ours."""
    pairs = zip(ours["clips"], other["clips"], strict=True)
    gaps = np.array([theirs["shown"]["lpips"] - mine["shown"]["lpips"] for mine, theirs in pairs])
    error = float(gaps.std(ddof=1) / np.sqrt(len(gaps))) if len(gaps) > 1 else float("nan")
    return float(gaps.mean()), error, int((gaps < 0).sum())


def _figures(scores: Mapping[str, float]) -> str:
    return f"{scores['psnr']:.2f} | {scores['ssim']:.4f} | {scores['lpips']:.4f}"


def caution(results: Sequence[Mapping[str, Any]]) -> str:
    """How much the comparison may be leant on."""
    held = results[0]["scores"]["held"]["lpips"]
    behind = [r["motion"] for r in results if r["scores"]["shown"]["lpips"] >= held]
    text = "**One seed and a small budget**: this says what learns fast, not what ends up best."
    if behind:
        text += f" By LPIPS {', '.join(behind)} did not reach the pivot held still yet: **too early to rank them**."
    return text


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Markdown."""
    first = results[0]
    record = first["record"]
    lines = [
        "# Ways of describing movement, trained alike",
        "",
        f"Each from scratch, seed {record['seed']}, {record['steps']} steps ({first['budget']['pairs']} pairs of "
        f"pictures), tier {record['tier']}, {record['clips']} clips of {record['people']} people, {record['device']}; "
        f"judged on {len(first['clips'])} held-out clips, {len(PLACES)} frames each, 256x256, first frame as pivot. "
        "Detector width, pivot encoder, mixing and repair networks, losses, augmentation and schedule are the same.",
        "",
        caution(results),
        "",
        "| | shown PSNR | SSIM | LPIPS | warped PSNR | SSIM | LPIPS | minutes | CPU minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        cells = f"{_figures(r['scores']['shown'])} | {_figures(r['scores']['warped'])}"
        spent = f"{r['budget']['minutes']:.1f} | {r['budget']['cpu_minutes']:.1f}"
        lines.append(f"| {r['motion']} | {cells} | {spent} |")
    lines += [f"| pivot held still | {_figures(first['scores']['held'])} | | | | | |", ""]
    lines += [
        "Sent for each keypoint frame (pivots apart). Raw: 32 bits a number, as the paper counts. Entropy: differences "
        f"on grids worth {first['payload']['step_pixels']} pixels of movement (`payload.py`); coder: ours, bundles of "
        f"{first['payload']['bundle_frames']}.",
        "",
        "| | numbers | raw bits | entropy, bits | coder, bits | raw kbit/s at 12.5 frames/s | LPIPS less ours "
        "| clips better than ours |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        sent = r["payload"]
        coder = "" if sent["coder_bits"] is None else sent["coder_bits"]
        line = f"| {r['motion']} | {sent['numbers']} | {sent['raw_bits']} | {sent['entropy_bits']} | {coder} "
        line += f"| {sent['raw_bits'] * 0.0125:.2f} "
        if r is first:
            lines.append(line + "| | |")
            continue
        gap, error, better = against_ours(first, r)
        lines.append(line + f"| {gap:+.4f} ± {error:.4f} | {better} of {len(r['clips'])} |")
    return "\n".join([*lines, "", "± is the standard error over clips of the paired difference.", ""])


def main(options: argparse.Namespace) -> int:
    """Judge every run in the folder; returns the exit code."""
    records = read_runs(options.runs)
    loss = PictureLoss(load_lpips(options.weights), PyramidLoss(options.weights), 4)
    pool = open_pool(options.clips, options.cache, CODED_SIZE, torch.device("cpu"), landmarks=False)
    options.out.mkdir(parents=True, exist_ok=True)
    results = []
    for name, record in records.items():
        result = rounded(assess(options.runs, name, record, pool, loss))
        (options.out / f"{name}.json").write_text(json.dumps(result) + "\n")
        results.append(result)
        print(f"{name}: {result['scores']['shown']} {result['payload']['entropy_bits']} bits", flush=True)
    text = table(results)
    (options.out / "table.md").write_text(text)
    print(text)
    return 0
