"""`facewire-export train`: trains the networks of one tier on a folder of clips."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

# Threads that spin while they wait make a step many times slower on a machine that does anything else besides.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
import torch.distributed as dist

from facewire_export.dataset import DatasetError
from facewire_export.lpips import load_lpips
from facewire_export.networks.receiver import PARTS, receiver
from facewire_export.networks.tiers import CODED_SIZE, TIERS
from facewire_export.perceptual import PyramidLoss
from facewire_export.training.animator import AnimatorSettings, AnimatorTask
from facewire_export.training.loop import RECORD, Schedule, Task, load_weights, train
from facewire_export.training.losses import PictureLoss
from facewire_export.training.pool import Pool, open_pool
from facewire_export.training.representations import REPRESENTATIONS

TASKS = ("animator", "restorer", "upscaler", "background")
RECEIVER, LARGE = "receiver", "large_restorer"
"""Go on with what these have trained, the receiver with restorer, repair and upscaler together: give --start."""
SHARES = {"animator": 0.7, "restorer": 0.12, "upscaler": 0.12, "background": 0.06}
"""How `--minutes` is divided when all tasks are trained in one go."""
STRIDE = 2
"""As frames are coded: of the clips that are sent each second frame is taken."""


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `facewire-export train`."""
    parser.add_argument(
        "clips", type=Path, help="folder of square clips (its table is the .csv of the same name, if any)"
    )
    parser.add_argument("--val", type=Path, help="folder of held-out clips; default: `val` beside the folder")
    parser.add_argument("--out", type=Path, default=Path("runs/compact"), help="checkpoints, curves, sheets, records")
    parser.add_argument(
        "--task",
        choices=(*TASKS, RECEIVER, LARGE),
        action="append",
        help="train only these (default: all but the last two, in this order; the receiver: restorer, repair and "
        "upscaler together, with what the shipped networks really send; large_restorer: what restores large pivots, "
        "likewise; give --start for both)",
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so much time, over all tasks")
    parser.add_argument("--steps", type=int, help="stop after so many steps of each task; the learning rate ends there")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--start", type=Path, help="folder with <task>.pt to begin with, e.g. models_onnx/compact")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--tier", default="compact", choices=sorted(TIERS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, help="pictures a step; default 8 on a CPU, 48 on a GPU")
    parser.add_argument("--motion-steps", type=int, help="animator: steps of the first phase (motion alone)")
    parser.add_argument(
        "--motion",
        choices=sorted(REPRESENTATIONS),
        help="animator: train a baseline's way of describing movement, or (facewire) ours beside it; for comparisons",
    )
    parser.add_argument("--rate", type=float, default=4e-4, help="learning rate at the start")
    parser.add_argument(
        "--weights", type=Path, default=Path("../shared/weights"), help="networks for perceptual losses"
    )
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="where decoded clips are kept")


def pick_device(name: str) -> torch.device:
    """`auto` takes a GPU when there is one; under torchrun, this process's own."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def make_task(name: str, options: argparse.Namespace, pools: dict[str, Pool], device: torch.device) -> Task:
    """Build one task with its losses on the device."""
    lpips, pyramid = load_lpips(options.weights).to(device), PyramidLoss(options.weights).to(device)
    tier, gpu = TIERS[options.tier], device.type == "cuda"
    batch = options.batch or (48 if gpu else 8)
    if name in (RECEIVER, LARGE):
        from facewire_export.training.receiver import ReceiverTask
        from facewire_export.training.streams import open_streams

        streams = {key: open_streams(pool, STRIDE) for key, pool in pools.items()}
        if name == LARGE:
            from facewire_export.training.large import LargePivots, LargeTask

            whole = receiver(tier)
            whole.load_state_dict(load_weights(starting_point(options.start, RECEIVER), device))
            train, val = ((streams[key], LargePivots(pools[key], streams[key], STRIDE)) for key in ("train", "val"))
            return LargeTask(tier, whole.to(device), train, val, PictureLoss(lpips, pyramid, 8), batch)
        return ReceiverTask(tier, streams["train"], streams["val"], PictureLoss(lpips, pyramid, 8), batch)
    if name == "animator":
        settings = AnimatorSettings(batch=batch, motion_batch=2 * batch, window=CODED_SIZE if gpu else 128)
        if options.motion_steps is not None:
            settings = replace(settings, motion_steps=options.motion_steps)
        kind = REPRESENTATIONS[options.motion] if options.motion else None
        return AnimatorTask(tier, pools["train"], pools["val"], PictureLoss(lpips, pyramid, 4), settings, kind)
    if name == "restorer":
        from facewire_export.training.restorer import RestorerTask

        return RestorerTask(tier, pools["train"], pools["val"], PictureLoss(lpips, pyramid, 8), 2 * batch)
    if name == "upscaler":
        from facewire_export.training.upscaler import UpscalerTask

        return UpscalerTask(tier, pools["train"], pools["val"], PictureLoss(lpips, pyramid, 8), 2 * batch)
    from facewire_export.training.background import BackgroundTask

    return BackgroundTask(pools["train"], pools["val"], options.weights, 4 * batch)


def open_pools(name: str, options: argparse.Namespace, device: torch.device) -> dict[str, Pool]:
    """Training and held-out clips as the task needs them."""
    val = options.val or options.clips.parent / "val"
    size = 512 if name in ("upscaler", "restorer") else CODED_SIZE
    kind: dict[str, Any] = {"landmarks": name in ("animator", RECEIVER, LARGE), "coded": name == "restorer"}
    if name in ("restorer", "upscaler", "background"):
        kind["stride"] = 8  # neighbouring frames teach these nothing new
    elif name in (RECEIVER, LARGE):
        kind["stride"] = STRIDE
    # Of torchrun's processes the first one decodes into the cache, the others find it there.
    follows = dist.is_initialized() and dist.get_rank() > 0
    if follows:
        dist.barrier()
    pools = {
        key: open_pool(folder, options.cache, size, device, **kind)
        for key, folder in (("train", options.clips), ("val", val))
    }
    if dist.is_initialized() and not follows:
        dist.barrier()
    return pools


def starting_point(folder: Path | None, task: str) -> tuple[Path, ...]:
    """Files with the task's weights in `--start`. Raises DatasetError when they are not there."""
    if folder is None:
        if task in (RECEIVER, LARGE):
            raise DatasetError(f"the {task} goes on with trained networks: give --start, e.g. models_onnx/compact")
        return ()
    if task == LARGE and not (folder / f"{LARGE}.pt").is_file():
        return ()  # it begins as the restorer
    paths = tuple(folder / f"{part}.pt" for part in (PARTS if task == RECEIVER else (task,)))
    for path in paths:
        if not path.is_file():
            raise DatasetError(f"{path}: not there; --start takes a folder that `facewire-export onnx` wrote")
    return paths


def main(options: argparse.Namespace) -> int:
    """Train each task in turn; returns the exit code."""
    if "RANK" in os.environ:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    device = pick_device(options.device)
    names = options.task or list(TASKS)
    if options.motion and (names != ["animator"] or options.start is not None):
        raise DatasetError("--motion trains a comparison from scratch: give --task animator with it, and no --start")
    whole = sum(SHARES.get(n, 1.0) for n in names)
    for name in names:
        start = starting_point(options.start, name)
        torch.manual_seed(options.seed)
        pools = open_pools(name, options, device)
        task = make_task(name, options, pools, device)
        schedule = Schedule(
            out=options.out,
            minutes=options.minutes * SHARES.get(name, 1.0) / whole,
            steps=200_000 if options.steps is None else options.steps,
            seed=options.seed,
            resume=options.resume,
            learning_rate=options.rate,
            final_rate=options.rate / 20,
            start=start,
        )
        about: dict[str, Any] = {
            "tier": options.tier,
            "clips": len(pools["train"].clips),
            "frames": sum(len(c.frames) for c in pools["train"].clips),
            "people": len({c.entry.person for c in pools["train"].clips}),
        }
        if options.start is not None and (options.start / RECORD).is_file():
            before = json.loads((options.start / RECORD).read_text("utf-8"))
            about["started_from"] = {part: before.get(part) for part in PARTS} if name == RECEIVER else before.get(name)
        if isinstance(task, AnimatorTask):
            about |= {"motion": task.kind.name, "settings": asdict(task.settings)}
        train(task, schedule, device, about)
    return 0


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    add_train_arguments(arguments)
    raise SystemExit(main(arguments.parse_args()))
