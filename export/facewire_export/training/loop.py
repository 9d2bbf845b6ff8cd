"""The loop that every network is trained by: resumable, deterministic by seed, stoppable at any moment.

A task says what a step's loss is; the loop owns optimiser, EMA, checkpoints, curve, time limit and the processes of
torchrun. Randomness of step n comes from a generator seeded by (seed, rank, n), so a resumed run draws what an unbroken
one would have drawn.
"""

from __future__ import annotations

import copy
import json
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn


class Task(Protocol):
    """One training task."""

    name: str
    networks: nn.ModuleDict

    def loss(self, step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Loss of one batch and figures for the curve."""

    def sheet(self, networks: nn.ModuleDict) -> NDArray[np.uint8]:
        """A contact sheet, RGB, made with the given (EMA) networks."""

    def score(self, networks: nn.ModuleDict) -> dict[str, float]:
        """Figures on held-out clips; the first one decides which weights are best (lower wins)."""


@dataclass(frozen=True)
class Schedule:
    """When to stop, and how fast to learn."""

    out: Path
    minutes: float
    steps: int
    seed: int
    resume: bool
    learning_rate: float
    final_rate: float
    """Reached at `steps` along a cosine."""
    ema: float = 0.999
    sheet_minutes: float = 5.0


@dataclass
class State:
    """Everything that a checkpoint holds besides tensors."""

    step: int = 0
    seconds: float = 0.0
    best: float = float("inf")


class Stopper:
    """True once SIGTERM or SIGINT came: the loop then saves and ends."""

    def __init__(self) -> None:
        self.stopped = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, *_: Any) -> None:
        self.stopped = True


def save(path: Path, payload: dict[str, Any]) -> None:
    """torch.save that never leaves half a file."""
    partial = path.with_suffix(".partial")
    torch.save(payload, partial)
    partial.replace(path)


def rate(schedule: Schedule, step: int) -> float:
    """Learning rate: 200 steps of warm-up, then a cosine to the final rate."""
    warm = min(1.0, (step + 1) / 200)
    share = min(1.0, step / max(1, schedule.steps))
    cosine = 0.5 * (1 + np.cos(np.pi * share))
    return float(warm * (schedule.final_rate + (schedule.learning_rate - schedule.final_rate) * cosine))


def update_ema(average: nn.Module, current: nn.Module, decay: float) -> None:
    """Exponential moving average of parameters; buffers (batch norm statistics) are averaged likewise."""
    with torch.no_grad():
        for a, c in zip(average.state_dict().values(), current.state_dict().values(), strict=True):
            if a.dtype.is_floating_point:
                a.lerp_(c, 1 - decay)
            else:
                a.copy_(c)


def average_gradients(networks: nn.Module) -> None:
    """Mean over torchrun's processes."""
    for parameter in networks.parameters():
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= dist.get_world_size()


def train(task: Task, schedule: Schedule, device: torch.device, about: dict[str, Any]) -> dict[str, Any]:
    """Run until the steps or the minutes are used up, or a signal comes; returns the record.

    Writes to `schedule.out`: <task>.last.pt (everything), <task>.best.pt (EMA weights), <task>.curve.jsonl,
    <task>.json (the record), contact sheets.
    """
    torch.manual_seed(schedule.seed)
    schedule.out.mkdir(parents=True, exist_ok=True)
    last = schedule.out / f"{task.name}.last.pt"
    networks = task.networks.to(device)
    average = copy.deepcopy(networks).eval().requires_grad_(False)
    optimiser = torch.optim.Adam(networks.parameters(), lr=schedule.learning_rate, betas=(0.9, 0.99))
    state = State()
    if schedule.resume and last.is_file():
        saved = torch.load(last, map_location=device, weights_only=True)
        networks.load_state_dict(saved["networks"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        state = State(**saved["state"])
        print(f"{task.name}: resumed at step {state.step}", flush=True)
    half = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    rank = dist.get_rank() if dist.is_initialized() else 0
    stopper = Stopper()
    began = time.monotonic()
    spent, sheet_due, log_due = state.seconds, began + 60, began
    figures: dict[str, list[float]] = {}
    scores: dict[str, float] = {}

    def checkpoint() -> None:
        nonlocal scores
        state.seconds = spent + time.monotonic() - began
        if rank:
            return
        save(
            last,
            {
                "networks": networks.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "state": vars(state),
            },
        )
        scores = task.score(average)
        first = next(iter(scores.values()))
        if first < state.best:
            state.best = first
            save(schedule.out / f"{task.name}.best.pt", {"average": average.state_dict(), "step": state.step})
        sheet = task.sheet(average)
        cv2.imwrite(str(schedule.out / f"{task.name}-{state.step:07d}.png"), sheet[:, :, ::-1])
        print(f"{task.name}: step {state.step} held out {scores}", flush=True)
        with (schedule.out / f"{task.name}.curve.jsonl").open("a") as handle:
            handle.write(json.dumps({"step": state.step, "seconds": state.seconds, "held_out": scores}) + "\n")

    while state.step < schedule.steps and time.monotonic() - began < schedule.minutes * 60 and not stopper.stopped:
        rng = np.random.default_rng([schedule.seed, rank, state.step])
        for group in optimiser.param_groups:
            group["lr"] = rate(schedule, state.step)
        networks.train()
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss, parts = task.loss(state.step, rng)
        loss.backward()  # type: ignore[no-untyped-call]
        if dist.is_initialized():
            average_gradients(networks)
        norm = nn.utils.clip_grad_norm_(networks.parameters(), 1.0)
        if torch.isfinite(norm):
            optimiser.step()
        update_ema(average, networks, min(schedule.ema, (state.step + 1) / (state.step + 10)))
        state.step += 1
        for key, value in parts.items():
            figures.setdefault(key, []).append(value)
        now = time.monotonic()
        if now >= log_due + 20 and not rank:
            means = {key: round(float(np.mean(values)), 5) for key, values in figures.items()}
            entry = {"step": state.step, "seconds": round(spent + now - began, 1), "train": means}
            print(f"{task.name}: {entry}", flush=True)
            with (schedule.out / f"{task.name}.curve.jsonl").open("a") as handle:
                handle.write(json.dumps(entry) + "\n")
            figures.clear()
            log_due = now
        if now >= sheet_due:
            checkpoint()
            sheet_due = time.monotonic() + schedule.sheet_minutes * 60
    checkpoint()
    record = {
        "task": task.name,
        "steps": state.step,
        "seconds": round(state.seconds, 1),
        "seed": schedule.seed,
        "learning_rate": [schedule.learning_rate, schedule.final_rate],
        "ema": schedule.ema,
        "device": str(device),
        "held_out": scores,
        "best": state.best,
        **about,
    }
    if not rank:
        (schedule.out / f"{task.name}.json").write_text(json.dumps(record, indent=1) + "\n")
    return record
