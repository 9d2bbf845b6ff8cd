"""What lost packets make of the shown picture: a model, for at 5 % loss ten minutes on the rig see three losses of one
packet once in six runs. Writes playout_loss.json beside itself.

    python results/playout_loss.py [--runs 40]

A bundle leaves every so often and is there a little later. One that is lost is late by as long as it takes to notice
and to repeat it, again if the repetition is lost, and those behind it wait for it (TCP). What comes goes through the
decoder's own playout, by the decoder's rules of who waits where (facewire.decoder); pictures cost nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections import deque
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))

from facewire.decoder import AHEAD, HURRY, LEAST_AHEAD
from facewire.showing.playout import Playout
from facewire.types import ShownFrame

FPS, SECONDS, SETTLED = 25.0, 620.0, 30.0
FROZEN = 0.2
"""Seconds without a new picture that are counted."""
PICTURE = np.zeros((1, 1, 3), np.uint8)


@dataclass(frozen=True)
class Way:
    """frames: shown ones in a bundle; seconds: arrival after capture; noticed: a loss makes it so much later, again:
    each further one of the same bundle."""

    frames: int
    seconds: float
    noticed: float
    again: float


WAYS = {"bgan": Way(12, 0.46, 1.26, 1.05), "vsat": Way(4, 0.35, 0.85, 1.0)}
"""As the rig's packets show them, 600 ms there and back."""


def arrivals(way: Way, loss: float, chance: random.Random) -> list[tuple[float, int]]:
    """When each bundle is there, and its first frame."""
    out, last = [], 0.0
    for first in range(0, round(SECONDS * FPS), way.frames):
        late = chance.uniform(0, 0.05)
        times = 0
        while chance.random() < loss:
            late += (way.again if times else way.noticed) + chance.uniform(-0.05, 0.1)
            times += 1
        last = max(last, (first + way.frames) / FPS + way.seconds + late)
        out.append((last, first))
    return out


def shown(way: Way, loss: float, seed: int) -> list[tuple[float, float]]:
    """When a new picture was shown, and how old it was."""
    coming = deque(arrivals(way, loss, random.Random(seed)))
    playout, inbox, out = Playout(FPS, capacity=2 * AHEAD), deque[int](), []
    for tick in range(round(SECONDS * FPS)):
        now = tick / FPS
        while coming and coming[0][0] <= now:
            inbox.append(coming.popleft()[1])
        while inbox and len(playout) < AHEAD:
            first = inbox.popleft()
            hurry = playout.stalled and way.frames * len(inbox) >= HURRY
            for at in range(0, way.frames, 2 if hurry else 1):
                left = way.frames * (len(inbox) + 1) - at - 1
                frame = ShownFrame(first + at, (first + at) / FPS, PICTURE, False)
                playout.push(frame, behind=left if len(playout) >= LEAST_AHEAD else 0)
        due = playout.due(now)
        if due is not None and now >= SETTLED:
            out.append((now, now - due.time))
    return out


def figures(way: Way, loss: float, runs: int) -> dict[str, float]:
    longest, frozen, ages = [], [], []
    for seed in range(runs):
        seen = shown(way, loss, seed)
        gaps = [after[0] - before[0] for before, after in pairwise(seen)]
        longest.append(max(gaps))
        frozen.append(sum(gap for gap in gaps if gap > FROZEN))
        ages.append(statistics.median(age for _, age in seen))
    return {
        "longest_freeze_median_s": round(statistics.median(longest), 2),
        "longest_freeze_p90_s": round(statistics.quantiles(longest, n=10)[-1], 2),
        "runs_with_a_freeze_above_2_s": sum(gap > 2.0 for gap in longest),
        "frozen_s": round(statistics.mean(frozen), 1),
        "age_median_s": round(statistics.mean(ages), 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    options = parser.parse_args()
    rows = [
        {"profile": name, "loss": loss, **asdict(way), **figures(way, loss, options.runs)}
        for name, way in WAYS.items()
        for loss in (0.01, 0.05)
    ]
    text = ",\n  ".join(json.dumps(row) for row in rows)
    head = f'"runs": {options.runs}, "seconds": {SECONDS - SETTLED}'
    Path(__file__).with_suffix(".json").write_text(f'{{{head}, "rows": [\n  {text}]}}\n', "utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
