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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

RECORD = "record.json"
"""Beside exported weights: how each was trained."""


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
    start: tuple[Path, ...] = ()
    """Weights to begin with where there is nothing to resume: files that together have all of the task's."""
    ema: float = 0.999
    sheet_minutes: float = 5.0


@dataclass
class State:
    """Everything that a checkpoint holds besides tensors."""

    step: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of all threads: on a shared machine a steadier measure of work than the clock."""
    best: float = float("inf")


class Stopper:
    """While in use, SIGTERM and SIGINT only set `stopped`: the loop then saves and ends."""

    def __enter__(self) -> Stopper:
        self.stopped = False
        self._before = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, *_: object) -> None:
        self.stopped = True


def save(path: Path, payload: dict[str, Any]) -> None:
    """torch.save that never leaves half a file."""
    partial = path.with_suffix(".partial")
    torch.save(payload, partial)
    partial.replace(path)


def load_weights(paths: Sequence[Path], device: torch.device) -> dict[str, Tensor]:
    """The averaged weights of several files as one state."""
    weights: dict[str, Tensor] = {}
    for path in paths:
        weights |= torch.load(path, map_location=device, weights_only=True)["average"]
    return weights


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


class Trainer:
    """One task on its way; see `train`."""

    def __init__(self, task: Task, schedule: Schedule, device: torch.device) -> None:
        self.task, self.schedule, self.device = task, schedule, device
        self.networks = task.networks.to(device)
        self.average = copy.deepcopy(self.networks).eval().requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.networks.parameters(), lr=schedule.learning_rate, betas=(0.9, 0.99))
        self.state = State()
        self.scores: dict[str, float] = {}
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.half = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
        self._figures: dict[str, list[float]] = {}

    def _path(self, ending: str) -> Path:
        return self.schedule.out / f"{self.task.name}{ending}"

    def resume(self) -> bool:
        """Take everything up from the last checkpoint, if there is one."""
        last = self._path(".last.pt")
        if last.is_file():
            saved = torch.load(last, map_location=self.device, weights_only=True)
            self.networks.load_state_dict(saved["networks"])
            self.average.load_state_dict(saved["average"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.state = State(**saved["state"])
            print(f"{self.task.name}: resumed at step {self.state.step}", flush=True)
        return last.is_file()

    def start(self, paths: Sequence[Path]) -> None:
        """Begin with another run's weights (a .best.pt, or those that lie beside the ONNX files)."""
        weights = load_weights(paths, self.device)
        self.networks.load_state_dict(weights)
        self.average.load_state_dict(weights)
        print(f"{self.task.name}: starts from {', '.join(map(str, paths))}", flush=True)

    def step(self) -> None:
        """One batch."""
        rng = np.random.default_rng([self.schedule.seed, self.rank, self.state.step])
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.schedule, self.state.step)
        self.networks.train()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            loss, parts = self.task.loss(self.state.step, rng)
        loss.backward()  # type: ignore[no-untyped-call]
        if dist.is_initialized():
            average_gradients(self.networks)
        norm = nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
        if torch.isfinite(norm):
            self.optimiser.step()
        done = self.state.step + 1
        update_ema(self.average, self.networks, min(self.schedule.ema, done / (done + 9)))
        self.state.step = done
        for key, value in parts.items():
            self._figures.setdefault(key, []).append(value)

    def log(self) -> None:
        """One line of the curve: means since the last one."""
        means = {key: round(float(np.mean(values)), 5) for key, values in self._figures.items()}
        self._write({"train": means})
        self._figures.clear()

    def checkpoint(self) -> None:
        """Judge the averaged weights, keep them if they are the best so far, and save all that resuming needs."""
        if self.rank:
            return
        self.scores = self.task.score(self.average)
        first = next(iter(self.scores.values()))
        if first <= self.state.best:  # of two alike the later one
            self.state.best = first
            kept = {"average": self.average.state_dict(), "step": self.state.step, "scores": self.scores}
            save(self._path(".best.pt"), kept)
        everything = {
            "networks": self.networks.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "state": vars(self.state),
        }
        save(self._path(".last.pt"), everything)
        sheet = self.task.sheet(self.average)
        cv2.imwrite(str(self._path(f"-{self.state.step:07d}.png")), sheet[:, :, ::-1])
        self._write({"held_out": self.scores})

    def _write(self, figures: dict[str, Any]) -> None:
        if self.rank:
            return
        entry = {"step": self.state.step, "seconds": round(self.state.seconds, 1), **figures}
        print(f"{self.task.name}: {entry}", flush=True)
        with self._path(".curve.jsonl").open("a") as handle:
            handle.write(json.dumps(entry) + "\n")

    def agreed(self, stop: bool) -> bool:
        """Whether to stop, as the first of torchrun's processes says: they must leave the loop together."""
        if not dist.is_initialized():
            return stop
        flag = torch.tensor([int(stop)], device=self.device)
        dist.broadcast(flag, 0)
        return bool(flag.item())

    def run(self) -> None:
        """The loop."""
        schedule, state = self.schedule, self.state
        began, before = time.monotonic(), state.seconds
        worked = state.cpu_seconds - time.process_time()
        sheet_due, log_due = began + 60, began + 20
        with Stopper() as stopper:
            while state.step < schedule.steps:
                now = time.monotonic()
                state.seconds = before + now - began
                state.cpu_seconds = worked + time.process_time()
                if self.agreed(stopper.stopped or now - began >= schedule.minutes * 60):
                    break
                self.step()
                if now >= log_due:
                    self.log()
                    log_due = now + 20
                if now >= sheet_due:
                    self.checkpoint()
                    sheet_due = time.monotonic() + schedule.sheet_minutes * 60
            self.checkpoint()


def train(task: Task, schedule: Schedule, device: torch.device, about: dict[str, Any]) -> dict[str, Any]:
    """Run until the steps or the minutes are used up, or a signal comes; returns the record.

    Writes to `schedule.out`: <task>.last.pt (everything), <task>.best.pt (EMA weights), <task>.curve.jsonl,
    <task>.json (the record), contact sheets.
    """
    schedule.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(task, schedule, device)
    if not (schedule.resume and trainer.resume()) and schedule.start:
        trainer.start(schedule.start)
    trainer.run()
    record = {
        "task": task.name,
        "steps": trainer.state.step,
        "seconds": round(trainer.state.seconds, 1),
        "cpu_seconds": round(trainer.state.cpu_seconds, 1),
        "seed": schedule.seed,
        "learning_rate": [schedule.learning_rate, schedule.final_rate],
        "ema": schedule.ema,
        "device": str(device),
        "held_out": trainer.scores,
        "best": trainer.state.best,
        **about,
    }
    if not trainer.rank:
        (schedule.out / f"{task.name}.json").write_text(json.dumps(record, indent=1) + "\n")
    return record
