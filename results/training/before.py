"""The networks before the campaign beside those of today, on held-out clips; writes before.json and before.md here.

    python results/training/before.py CLIPS --weights DIR --then CHECKOUT [--seconds 10]
    python results/training/before.py                       # today's again, beside what before.json keeps of then

CHECKOUT: a working tree of commit 3e88d10, the last one before docs/training.md's campaign, code and networks. Its own
`compress --profile bgan` and `decompress` make its pictures; what is scored, and on which frames, is what
`facewire-export evaluate` does today. Today's figures are those of results/val, of the same clips.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "export"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "daemon"))

from facewire_export.dataset import read_table
from facewire_export.evaluation.aggregate import FLICKER, value
from facewire_export.evaluation.footage import open_footage
from facewire_export.evaluation.points import MAIN
from facewire_export.evaluation.scoring import Reference, Scoring, as_json
from facewire_export.judge import Judge
from facewire_export.machine import describe

HERE = Path(__file__).resolve().parent
VAL = HERE.parent / "val" / "records.jsonl"
SCORES = {"psnr": 1, "ssim": 1, "lpips": -1, "lpips_alex": -1, "identity": 1, "vmaf": 1, "mouth": -1, "eyelids": -1,
          "pose": -1, "lips": 1, "blinks": 1, FLICKER: -1}  # fmt: skip
"""What is compared; 1: more is better."""


def facewire(checkout: Path, *words: str) -> None:
    """Run that checkout's own command line."""
    path = os.pathsep.join(str(checkout / part) for part in ("daemon", "export"))
    command = [sys.executable, "-m", "facewire", *words]
    subprocess.run(command, check=True, cwd=checkout, env={**os.environ, "PYTHONPATH": path})


def then(checkout: Path, entry: Any, judge: Judge, seconds: float) -> dict[str, Any]:
    """One clip through the old code: the record of its scores."""
    with open_footage(entry, seconds) as footage, tempfile.TemporaryDirectory() as folder:
        coded, shown, report = (Path(folder) / name for name in ("clip.fw", "clip.mkv", "report.json"))
        facewire(checkout, "compress", str(footage.source), str(coded), "--profile", MAIN, "--report", str(report))
        facewire(checkout, "decompress", str(coded), str(shown), "--lossless", "--size", "512")
        scoring = Scoring(Reference(footage, judge))
        with av.open(str(shown)) as container:
            for frame in container.decode(video=0):
                scoring.add(lambda frame=frame: np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
        said = json.loads(report.read_text("utf-8"))
        return {"clip": entry.name, "kbps": said["kbps"], "frames": scoring.frames, **as_json(scoring.result())}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="?")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--then", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    if None not in (given := (options.clips, options.weights, options.then)):
        judge = Judge(options.weights)
        found = [then(options.then.resolve(), one, judge, options.seconds) for one in read_table(options.clips)]
        measured = {"machine": describe(), "before": found}
    elif given == (None, None, None):
        measured = json.loads((HERE / "before.json").read_text("utf-8"))
    else:
        parser.error("clips, --weights and --then go together")
    lines = VAL.read_text("utf-8").splitlines()
    now = {record["clip"]: record for record in map(json.loads, lines) if record["point"] == MAIN}
    old = measured["before"]
    rows = []
    for name, way in SCORES.items():
        both = [(value(record, name), value(now[record["clip"]], name)) for record in old]
        pairs = np.array([pair for pair in both if None not in pair])
        gain = way * (pairs[:, 1] - pairs[:, 0])
        rows.append({
            "score": name, "clips": len(pairs), "before": round(float(pairs[:, 0].mean()), 4),
            "now": round(float(pairs[:, 1].mean()), 4), "better": round(float(gain.mean()), 4),
            "se": round(float(gain.std(ddof=1) / np.sqrt(len(gain))), 4), "clips_better": int((gain > 0).sum()),
        })  # fmt: skip
    result = {"machine": measured["machine"], "before_kbps": round(float(np.mean([r["kbps"] for r in old])), 3),
              "now_kbps": round(float(np.mean([now[r["clip"]]["kbps"]["stream"] for r in old])), 3),
              "scores": rows, "before": old}  # fmt: skip
    (HERE / "before.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    table = ["| score | clips | before | now | better by | better on |", "|---|---|---|---|---|---|"]
    table += [
        f"| {r['score']} | {r['clips']} | {r['before']} | {r['now']} | {r['better']} +- {r['se']} "
        f"| {r['clips_better']} |"
        for r in rows
    ]
    rate = f"Profile `{MAIN}`: the .fw files take {result['before_kbps']} kbit/s before, {result['now_kbps']} now."
    (HERE / "before.md").write_text("\n".join([__doc__.split("\n")[0], "", rate, "", *table, ""]), "utf-8")
    print("\n".join(table))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
