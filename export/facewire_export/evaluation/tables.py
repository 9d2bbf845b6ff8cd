"""The report's tables as plain rows of text, and how they are written as Markdown and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facewire.profiles import PROFILES
from facewire_export.evaluation.aggregate import DIGITS, FLICKER, FRECHET, LOWER, METRICS, Results, Row, value
from facewire_export.evaluation.contest import Entry, contest
from facewire_export.evaluation.points import MAIN, TITLES, Ours
from facewire_export.evaluation.vmaf import VMAF

SHORT = {
    "psnr": "PSNR", "ssim": "SSIM", "lpips": "LPIPS", "lpips_alex": "LPIPS alex", "identity": "identity",
    "mouth": "mouth", "eyelids": "eyelids", "pose": "pose °", "lips": "lips", "blinks": "blinks",
    VMAF: "VMAF", FRECHET: "Fréchet", FLICKER: "flicker x",
}  # fmt: skip
_CLIP_METRICS = tuple(name for name in METRICS if name != FRECHET)
POSE_BAR, LIPS_BAR = 3.0, 0.8
"""What a viewer should get of a head: degrees of error, correlation of the lips' distance."""


@dataclass(frozen=True)
class Table:
    """head and rows of text; note: a line below it."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        rule = ("---", *("---:" for _ in self.head[1:]))
        lines = ["| " + " | ".join(cells) + " |" for cells in (self.head, rule, *self.rows)]
        return "\n".join([f"## {self.title}", "", *lines, *(["", self.note] if self.note else []), ""])


def cell(number: float | None, digits: int) -> str:
    """A number with so many digits, "-" where there is none."""
    return "-" if number is None else f"{number:.{digits}f}"


def metric_heads(metrics: Sequence[str] = METRICS) -> tuple[str, ...]:
    return tuple(f"{SHORT[name]} {'↓' if name in LOWER else '↑'}" for name in metrics)


def scores_of(row: Row, metrics: Sequence[str] = METRICS) -> tuple[str, ...]:
    return tuple(cell(row.scores.get(name), DIGITS[name]) for name in metrics)


def rates(row: Row) -> tuple[str, ...]:
    return (cell(row.stream, 2), cell(row.all_in, 2), cell(row.bpp, 5))


RATE_HEADS = ("stream kbit/s", "all-in kbit/s", "bpp")


def overview(results: Results) -> Table:
    """Our profiles, the held pivot, and each codec's lowest-rate point."""
    rows = [row for row in results.ours() if isinstance(row.point, Ours) and row.point.skip == 1]
    names = [name for profile in PROFILES for name in (profile, f"{profile}-live")]
    mine = [row for row in rows if row.name in (*names, f"{MAIN}-pivot")]
    lowest = [family[0] for family in results.families().values()]
    text = [
        (row.point.title, *rates(row), cell(row.later, 2), *scores_of(row), cell(row.faces, 2))
        for row in [*mine, *lowest]
    ]
    note = (
        "Codecs: the lowest-rate point of each. later: all-in without the first pivot or intra picture, which a clip "
        "of some seconds pays as dear as a call of an hour. faces: part of the judged frames in which a face was found "
        "at all; identity and what landmarks say are of those alone. "
        "pose: mean error of yaw, pitch and roll; lips: correlation over time of the lips' distance; flicker: times "
        "the source's."
    )
    head = ("", *RATE_HEADS, "later kbit/s", *metric_heads(), "faces")
    return Table("What is shown at what rate", head, tuple(text), note)


def clip_by_clip(results: Results) -> Table | None:
    """The main point on every clip, the least like its source by LPIPS first; None where it was not measured."""
    mine = results.records.get(MAIN)
    if not mine:
        return None
    ordered = sorted(mine.values(), key=lambda r: -(value(r, "lpips") or 0.0))
    rows = [
        (r["clip"], cell(r["kbps"]["all_in"], 2), *(cell(value(r, name), DIGITS[name]) for name in _CLIP_METRICS))
        for r in ordered
    ]
    poses = [v for r in ordered if (v := value(r, "pose")) is not None]
    lips = [v for r in ordered if (v := value(r, "lips")) is not None]
    note = (
        f"Worst LPIPS first. Head within {POSE_BAR:g}° on average on {sum(v <= POSE_BAR for v in poses)} of "
        f"{len(poses)} clips; lips' distance correlates by {LIPS_BAR:g} or more on {sum(v >= LIPS_BAR for v in lips)} "
        f"of {len(lips)}."
    )
    head = ("clip", "all-in kbit/s", *metric_heads(_CLIP_METRICS))
    return Table(f"`{MAIN}`, clip by clip", head, tuple(rows), note)


def baselines(folder: Path) -> Table | None:
    """What `facewire-export baselines` wrote into a folder (training records are none of it); None where nothing."""
    told = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    told = [one for one in told if "scores" in one]
    rows = []
    for one in told:
        shown, sent = one["scores"]["shown"], one["payload"]
        scores = (f"{shown['psnr']:.2f}", f"{shown['ssim']:.3f}", f"{shown['lpips']:.3f}")
        costs = (str(sent["numbers"]), str(sent["raw_bits"]), f"{sent['entropy_bits']:.0f}")
        rows.append((one["motion"], *costs, *scores))
    if not rows:
        return None
    head = ("motion", "numbers", "raw bits a frame", "entropy, bits", "PSNR ↑", "SSIM ↑", "LPIPS ↓")
    note = (
        "Trained from scratch with one small budget for all, judged at 256x256 from the first frame as pivot, by "
        "`facewire-export baselines`: these numbers compare with each other, not with the tables above."
    )
    return Table("Baselines: other descriptions of movement", head, tuple(rows), note)


def contests(results: Results, rate: str) -> list[Table]:
    """At each factor: every codec by every metric, ours against theirs."""
    tables = []
    what = "all-in" if rate == "all_in" else "coded bytes alone"
    for factor, by_metric in contest(results, rate).items():
        families = [entry.family for entry in next(iter(by_metric.values()))]
        if not families or MAIN not in results.rows:
            continue
        base = results.rows[MAIN].all_in if rate == "all_in" else results.rows[MAIN].stream
        rows = []
        wins = losses = 0
        for index, family in enumerate(families):
            entries = [by_metric[metric][index] for metric in by_metric]
            wins += sum(e.we_win is True for e in entries)
            losses += sum(e.we_win is False for e in entries)
            codec, mode = family.split("-")
            rows.append((f"{TITLES[codec]} {mode}", *(_short(e) for e in entries)))
        title = f"At {factor} x `{MAIN}` ({cell(None if base is None else factor * base, 1)} kbit/s, {what})"
        note = f"{wins} won, {losses} lost. Cells: ours / theirs, means over the clips on which the codec gets so low. "
        note += "open: we are better than all that was measured of it, which was at lower rates."
        tables.append(Table(title, ("", *metric_heads(list(by_metric))), tuple(rows), note))
    return tables


def _short(entry: Entry) -> str:
    digits = DIGITS[entry.metric]
    if entry.faceless:
        return "won (no face is found in theirs)"
    if not entry.reached:
        return f"cannot ({cell(entry.lowest, 1)} at least: {cell(entry.at_lowest, digits)})"
    mark = "open" if entry.is_open else {True: "won", False: "LOST", None: "even"}[entry.we_win]
    some = "" if entry.clips == entry.of else f", {entry.clips} clips"
    return f"{mark} {cell(entry.ours, digits)} / {cell(entry.theirs, digits)}{some}"


def every_point(results: Results) -> Table:
    """All that was measured."""
    rows = [
        (row.name, str(row.clips), *rates(row), *scores_of(row), cell(row.faces, 2), cell(row.seconds, 0))
        for row in results.rows.values()
    ]
    head = ("point", "clips", *RATE_HEADS, *metric_heads(), "faces", "CPU s")
    return Table("Every point", head, tuple(rows))


def csv_points(results: Results) -> str:
    """One line for each point, at full precision."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    rates_head = ["stream_kbps", "all_in_kbps", "later_kbps", "bpp"]
    writer.writerow(["point", "title", "clips", *rates_head, *METRICS, "faces", "cpu_seconds"])
    for row in results.rows.values():
        scores = [_number(row.scores.get(name)) for name in METRICS]
        rates = [_number(row.stream), _number(row.all_in), _number(row.later), _number(row.bpp)]
        title = row.point.title
        writer.writerow([row.name, title, row.clips, *rates, *scores, _number(row.faces), f"{row.seconds:.1f}"])
    return out.getvalue()


def _number(told: float | None) -> str:
    return "" if told is None else f"{told:.6g}"
