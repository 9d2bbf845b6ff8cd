"""Scores of the `bgan` point by what can be seen of a person: results/val/records.jsonl -> results/val/groups.md.

    python results/groups.py

Groups were assigned by eye from the clips; with so few people a difference between groups says nothing by itself.
"""

from __future__ import annotations

import json
from pathlib import Path

GROUPS = {
    "skin lighter": ("adfba6ff", "3657b890", "e28f1a9a", "16cf9eaa", "bf68a359", "19f5c078", "eebe6627", "2b01c7ba",
                     "92de2549", "be4d511b", "5eafe8b3"),
    "skin medium": ("b213c5e7", "8c11f86e", "72d4120f"),
    "skin darker": ("9e44010d",),
    "women": ("adfba6ff", "b213c5e7", "3657b890", "16cf9eaa", "bf68a359", "19f5c078", "eebe6627", "92de2549",
              "5eafe8b3"),
    "men": ("9e44010d", "e28f1a9a", "2b01c7ba", "8c11f86e", "72d4120f", "be4d511b"),
    "glasses": ("eebe6627", "72d4120f", "be4d511b"),
    "beard": ("9e44010d", "e28f1a9a", "be4d511b"),
    "everyone": (),
}  # fmt: skip
"""Clips by the first eight characters of their id, which name the person; (): all."""
SCORES = {"psnr": 2, "ssim": 3, "lpips": 3, "identity": 3, "mouth": 2, "eyelids": 2, "pose": 2, "lips": 2, "blinks": 2}


def main() -> None:
    """Write the table."""
    folder = Path(__file__).parent / "val"
    records = [json.loads(line) for line in (folder / "records.jsonl").read_text("utf-8").splitlines()]
    shown = {r["clip"]: r["scores"] for r in records if r["point"] == "bgan"}
    held = {r["clip"]: r["scores"] for r in records if r["point"] == "bgan-pivot"}
    lines = [
        "# Scores by what can be seen of a person", "",
        "`bgan`, shown; in brackets the pivot held still. Made by `python results/groups.py`.", "",
        f"| | people | {' | '.join(SCORES)} |", f"|---|---:|{'---:|' * len(SCORES)}",
    ]  # fmt: skip
    for name, people in GROUPS.items():
        clips = sorted(clip for clip in shown if not people or clip.split("_")[0] in people)
        cells = []
        for score, digits in SCORES.items():
            means = []
            for source in (shown, held):
                known = [source[c][score] for c in clips if c in source and source[c].get(score) is not None]
                means.append(f"{sum(known) / len(known):.{digits}f}" if known else "-")
            cells.append(f"{means[0]} ({means[1]})")
        lines.append(f"| {name} | {len({c.split('_')[0] for c in clips})} | {' | '.join(cells)} |")
    (folder / "groups.md").write_text("\n".join([*lines, ""]), "utf-8")


if __name__ == "__main__":
    main()
