"""Makes daemon/facewire/wire/tables.py: what the keypoint coder knows about faces before it has seen one.

    python results/keypoint_tables.py --frames CACHE [--models DIR]

CACHE holds `*.frames.npy` (uint8 [n, 256, 256, 3]), as `facewire-export train` leaves them. Run it again when the
keypoint network has changed, raise wire.packets.VERSION, and write the golden files anew: both ends must have the same
tables. Weights are fitted by least absolute differences (reweighted least squares) with a small ridge, on traces at
steps of 0.5, 1 and 2 pixels in bundles of 8 frames, both phases of skip 1; they are the same for every step.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from keypoint_codec import traces

from facewire.networks import load_manifest
from facewire.types import Points

OUT = Path(__file__).resolve().parent.parent / "daemon" / "facewire" / "wire" / "tables.py"
STEPS = (0.5, 1.0, 2.0)
BUNDLE = 8
ONE = 256
RIDGE = 3e-4
Matrix = NDArray[np.float64]


def samples(found: Sequence[Sequence[Points]]) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """Pixels: first frames; changes in the others, the changes before those, and the values before those."""
    first, change, previous, value = [], [], [], []
    for step in STEPS:
        for trace in found:
            for phase in (0, 1):
                grid = np.rint(np.stack(trace)[phase::2].reshape(-1, 20).astype(np.float64) * 128 / step) * step
                grid -= grid[0]
                for at in range(0, len(grid), BUNDLE):
                    part = grid[at : at + BUNDLE]
                    moved = np.diff(part, axis=0)
                    first.append(part[0])
                    change.append(moved)
                    previous.append(np.concatenate([np.zeros((1, 20)), moved])[: len(moved)])
                    value.append(part[:-1])
    return np.stack(first), np.concatenate(change), np.concatenate(previous), np.concatenate(value)


def fit(known: Matrix, wanted: Matrix) -> tuple[list[int], float]:
    """Weights in 1/256, and the mean absolute miss in pixels."""
    weights = np.zeros(known.shape[1])
    trust = np.ones(len(wanted))
    for _ in range(6):
        trusted = known * trust[:, None]
        ridge = RIDGE * len(wanted) * np.eye(known.shape[1])
        weights = np.linalg.solve(trusted.T @ known + ridge, trusted.T @ wanted)
        trust = 1 / (np.abs(wanted - known @ weights) + 0.5)
    whole = np.rint(weights * ONE)
    return whole.astype(int).tolist(), float(np.abs(wanted - known @ whole / ONE).mean())


def relative(sizes: Sequence[float]) -> list[int]:
    """Sizes in sixteenths of their mean, 4 at least."""
    mean = sum(sizes) / len(sizes)
    return [max(4, round(16 * size / mean)) for size in sizes]


def rows(name: str, table: Sequence[Sequence[int]]) -> str:
    lines = "".join(f"    ({', '.join(map(str, row))}{',' if len(row) == 1 else ''}),\n" for row in table)
    return f"{name}: tuple[tuple[int, ...], ...] = (\n{lines})\n"


def row(name: str, table: Sequence[int]) -> str:
    return f"{name} = ({', '.join(map(str, table))})\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--models", default="")
    options = parser.parse_args()
    found = traces(options.frames, options.models, clips=100_000, skip=0)
    first, change, previous, value = samples(found)
    firsts = [fit(first[:, :at], first[:, at]) for at in range(20)]
    nexts = [
        fit(np.concatenate([change[:, :at], previous[:, at : at + 1], value[:, at : at + 1]], 1), change[:, at])
        for at in range(20)
    ]
    identity = load_manifest(options.models).id.hex()
    frames = sum(map(len, found))
    text = (
        f'"""Made by results/keypoint_tables.py from {len(found)} clips, {frames} frames, as networks {identity}\n'
        'see them. Meaning: wire.prediction. A change needs a new wire.packets.VERSION."""\n\n'
        "# fmt: off\n"
        + rows("FIRST", [weights for weights, _ in firsts])
        + rows("NEXT", [weights[:-2] for weights, _ in nexts])
        + row("PREVIOUS", [weights[-2] for weights, _ in nexts])
        + row("BACK", [weights[-1] for weights, _ in nexts])
        + row("SIZE_FIRST", relative([miss for _, miss in firsts]))
        + row("SIZE_NEXT", relative([miss for _, miss in nexts]))
    )
    OUT.write_text(text, "utf-8")
    print(f"{OUT}: {len(found)} clips, {frames} frames, networks {identity}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
