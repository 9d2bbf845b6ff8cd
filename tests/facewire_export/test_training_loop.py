"""The loop resumes exactly, stops when told to, and keeps the best."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs torch (facewire[export])")

from torch import Tensor, nn  # noqa: E402

from facewire_export.training.loop import Schedule, rate, train  # noqa: E402

CPU = torch.device("cpu")


class Line:
    """Learns y = 2x + noise."""

    name = "line"

    def __init__(self, stop_at: int = -1) -> None:
        torch.manual_seed(4)
        self.networks = nn.ModuleDict({"line": nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))})
        self.stop_at = stop_at

    def loss(self, step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        if step == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        x = torch.from_numpy(rng.normal(size=(16, 1)).astype(np.float32))
        error = (self.networks["line"](x).float() - 2 * x).square().mean()
        return error, {"error": error.item()}

    def sheet(self, networks: nn.ModuleDict) -> NDArray[np.uint8]:
        return np.zeros((4, 4, 3), np.uint8)

    def score(self, networks: nn.ModuleDict) -> dict[str, float]:
        return {"weight": float(sum(p.abs().sum() for p in networks["line"].parameters()))}


def schedule(out: Path, steps: int, resume: bool = False, minutes: float = 5.0) -> Schedule:
    return Schedule(out, minutes, steps, seed=9, resume=resume, learning_rate=1e-2, final_rate=1e-2)


def weights(out: Path, which: str) -> dict[str, Tensor]:
    found: dict[str, Tensor] = torch.load(out / "line.last.pt", weights_only=True)[which]
    return found


def test_a_resumed_run_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    train(Line(), schedule(tmp_path / "a", 8), CPU, {})
    train(Line(), schedule(tmp_path / "b", 3), CPU, {})
    train(Line(), schedule(tmp_path / "b", 8, resume=True), CPU, {})
    for which in ("networks", "average"):
        whole, parts = weights(tmp_path / "a", which), weights(tmp_path / "b", which)
        assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_a_signal_saves_and_ends(tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    record = train(Line(stop_at=2), schedule(tmp_path, 50), CPU, {"people": 1})
    assert record["steps"] == 3
    assert record["people"] == 1
    assert (tmp_path / "line.last.pt").is_file()
    assert {number: signal.getsignal(number) for number in before} == before


def test_no_minutes_means_no_steps_but_a_record(tmp_path: Path) -> None:
    assert train(Line(), schedule(tmp_path, 50, minutes=0), CPU, {})["steps"] == 0
    assert json.loads((tmp_path / "line.json").read_text())["held_out"]
    assert (tmp_path / "line.best.pt").is_file()
    assert (tmp_path / "line-0000000.png").is_file()


def test_the_rate_warms_up_and_falls(tmp_path: Path) -> None:
    plan = Schedule(tmp_path, 1, 1000, 1, False, 1e-3, 1e-5)
    rates = [rate(plan, step) for step in (0, 199, 500, 999)]
    assert rates[0] < rates[1]
    assert rates[1] > rates[2] > rates[3] == pytest.approx(1e-5, rel=0.1)
