"""Keeps a training run's curve: results/training/NAME.json (record and curve) and NAME.png.

    python results/training_curves.py RUN TASK NAME      e.g. runs/repair animator 2026-11-28-repair

RUN is what `facewire-export train --out` wrote. The plot shows the held-out score that weights are chosen by, over
steps on a logarithmic axis, and what the last doubling of the steps brought: a run whose curve is straight there gains
as much again by being carried on as long again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

from matplotlib import pyplot as plt

FOLDER = Path(__file__).resolve().parent / "training"


def read(run: Path, task: str) -> dict[str, Any]:
    """Record and curve; steps that were trained twice, because a run went on from an older checkpoint, count once."""
    lines = [json.loads(line) for line in (run / f"{task}.curve.jsonl").read_text("utf-8").splitlines()]
    held_out = {line["step"]: line["held_out"] for line in lines if "held_out" in line}
    train = {line["step"]: line["train"] for line in lines if "train" in line}
    record = run / f"{task}.json"
    return {
        "record": json.loads(record.read_text("utf-8")) if record.is_file() else None,
        "held_out": [{"step": step, **scores} for step, scores in sorted(held_out.items())],
        "train": [{"step": step, **figures} for step, figures in sorted(train.items())],
    }


def last_doubling(steps: list[int], scores: list[float]) -> float:
    """By how much of itself the score fell from half of the steps to all of them."""
    half = float(np.interp(steps[-1] / 2, steps, scores))
    return (half - scores[-1]) / scores[-1]


def draw(curve: dict[str, Any], path: Path, title: str) -> None:
    """The held-out score over steps."""
    rows = [row for row in curve["held_out"] if row["step"] > 0]
    name = next(key for key in rows[0] if key != "step")
    steps, scores = [row["step"] for row in rows], [row[name] for row in rows]
    figure, axes = plt.subplots(figsize=(7, 4), dpi=110)
    axes.plot(steps, scores, "o-", color="black", markersize=3)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("steps")
    axes.set_ylabel(f"{name}, held out")
    axes.set_title(f"{title}: the last doubling brought {100 * last_doubling(steps, scores):.1f} %")
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": ""})
    plt.close(figure)


def main() -> None:
    """Read, keep, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("task")
    parser.add_argument("name")
    options = parser.parse_args()
    curve = read(options.run, options.task)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{options.name}.json").write_text(json.dumps(curve, indent=1) + "\n", "utf-8")
    draw(curve, FOLDER / f"{options.name}.png", options.name)


if __name__ == "__main__":
    main()
