"""Rate and quality of the shipped networks on clips of talking heads, beside the codecs that would be used instead.

Every clip goes through each operating point: our profiles and ablations, and H.264, H.265, AV1, VP9 and VVC at several
sizes and qualities. OUT/records.jsonl gets a line for each as it is known; stopped at any moment, the same
command goes on where it was, and measures again only what other networks, code or settings have made stale.
At the end come OUT/report.md, points.csv, clips.csv, plots/ and page.html with players side by side.

--publish copies records, tables and plots, but no picture of a person, into a folder that may be passed on.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facewire.errors import FacewireError
from facewire_export.dataset import VIDEO_SUFFIXES, ClipEntry, DatasetError, read_table
from facewire_export.evaluation import vmaf, vvc
from facewire_export.evaluation.aggregate import gather
from facewire_export.evaluation.page import PAGE
from facewire_export.evaluation.points import Codec, Point, points
from facewire_export.evaluation.records import Records
from facewire_export.evaluation.report import REPORT, publish, write_report
from facewire_export.evaluation.run import Keys, measure, units
from facewire_export.evaluation.scoring import VERSION
from facewire_export.evaluation.work import Setup, Worker
from facewire_export.judge import Judge
from facewire_export.machine import describe

SECONDS, QUICK_SECONDS, QUICK_CLIPS = 10.0, 2.0, 4


def default_weights() -> Path | None:
    """The folder with metric weights beside the checkout, if there is one."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "weights"
    return beside if beside.is_dir() else None


def entries_of(clips: Sequence[Path]) -> list[ClipEntry]:
    """All clips of folders and video files. Raises DatasetError; two clips of one name are one too many."""
    found: list[ClipEntry] = []
    for path in clips:
        if path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES:
            found.append(ClipEntry(path.stem, path, path.stem, 512, True))
        else:
            found += read_table(path)
    names = [entry.name for entry in found]
    for name in names:
        if names.count(name) > 1:
            raise DatasetError(f"two clips are named {name}; rename one, results are kept by name")
    return found


def spread(entries: list[ClipEntry], count: int) -> list[ClipEntry]:
    """At most `count` of them, evenly over the list."""
    if len(entries) <= count:
        return entries
    return [entries[round(index * (len(entries) - 1) / (count - 1))] for index in range(count)]


@dataclass(frozen=True)
class Plan:
    """What one command asks for."""

    entries: Sequence[ClipEntry]
    points: Sequence[Point]
    setup: Setup
    workers: int
    command: str
    publish: Path | None = None
    measure: bool = True


def evaluate(plan: Plan, missing: dict[str, str], worker: Worker | None = None) -> dict[str, str]:
    """Measure what is missing and write the report; returns what failed. worker: works in this process (for tests).

    Raises FacewireError when there is nothing to report.
    """
    out = plan.setup.out
    records = Records(out)
    keys = Keys(plan.setup, missing)
    failed: dict[str, str] = {}
    measured = list(plan.points)
    if not vvc.encoder() and any(isinstance(p, Codec) and p.codec == "vvc" for p in measured):
        failed["VVC"] = vvc.HINT
        measured = [p for p in measured if not (isinstance(p, Codec) and p.codec == "vvc")]
    began, count = time.monotonic(), 0
    if plan.measure:
        todo = units(plan.entries, measured, records, keys, plan.setup)
        count = sum(len(unit.points) for unit in todo)
        failed |= measure(todo, records, keys, plan.setup, plan.workers, worker)
    valid = [
        record
        for entry in plan.entries
        for point in measured
        if (record := records.get(entry.name, point.name, keys.of(entry, point))) is not None
    ]
    if not valid:
        why = "no clip could be evaluated" if plan.measure else f"{out}: holds no records of this command"
        raise FacewireError(why)
    results = gather(measured, valid, out)
    about: dict[str, Any] = {
        "command": plan.command,
        "settings": {
            "seconds": plan.setup.seconds,
            "scoring": VERSION,
            "encoders": _encoders(measured),
            "keys": keys.describe(),
        },
        "machine": describe(),
        "measured": {"records": count, "seconds": time.monotonic() - began, "processes": plan.workers},
        "missing_scores": missing,
        "failed": failed,
    }
    into = plan.publish or out
    print(write_report(results, out, about, into.parent / "baselines"))
    if plan.publish is not None:
        publish(results, out, plan.publish)
    return failed


def _encoders(measured: Sequence[Point]) -> dict[str, str]:
    from facewire_export.evaluation.codecs import encoder_version

    return {codec: encoder_version(codec) for codec in sorted({p.codec for p in measured if isinstance(p, Codec)})}


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `facewire-export evaluate`."""
    parser.add_argument("clips", type=Path, nargs="+", help="folders of square clips, or videos")
    parser.add_argument("--out", type=Path, help="folder for the results (runs/evaluate, or runs/evaluate-quick)")
    parser.add_argument("--publish", type=Path, help="folder for a copy of records, tables and plots, without faces")
    parser.add_argument("--only", default="", help="ours, codecs, or codecs and points by name, separated by commas")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="only so much of each clip (0: all of it)")
    parser.add_argument("--quick", action="store_true", help="a few points, 2 s of four clips: a look in minutes")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: the cores that may be used)")
    parser.add_argument("--models", default="", help="folder of the networks' manifest (default: the shipped ones)")
    parser.add_argument("--weights", type=Path, default=default_weights(), help="folder with LPIPS and face-id weights")
    parser.add_argument("--no-pictures", action="store_true", help="no players, contact sheets, pivots")
    parser.add_argument("--report-only", action="store_true", help="measure nothing; make the report of what is there")


def main(options: argparse.Namespace) -> int:
    """Run `facewire-export evaluate`."""
    entries = entries_of(options.clips)
    seconds = options.seconds
    out = options.out or Path("runs/evaluate-quick" if options.quick else "runs/evaluate")
    if options.quick:
        entries, seconds = spread(entries, QUICK_CLIPS), QUICK_SECONDS
    try:
        chosen = points(options.only, options.quick)
    except ValueError as error:
        raise FacewireError(str(error)) from error
    missing = dict(Judge(options.weights).missing)
    if not vmaf.program():
        missing[vmaf.VMAF] = vmaf.HINT
    for score, reason in missing.items():
        print(f"{score} is left out: {reason}", file=sys.stderr)
    words = ["facewire-export evaluate", *map(str, options.clips), "--out", str(out)]
    words += ["--quick"] if options.quick else [f"--seconds {seconds:g}"]
    words += [f"--only {options.only}"] if options.only else []
    words += [f"--publish {options.publish}"] if options.publish else []
    plan = Plan(
        entries,
        chosen,
        Setup(out, options.weights, options.models, seconds, not options.no_pictures),
        options.workers or len(os.sched_getaffinity(0)),
        " ".join(words),
        options.publish,
        not options.report_only,
    )
    failed = evaluate(plan, missing)
    print(f"{out / REPORT} and {out / PAGE}")
    return 1 if failed else 0
