"""The report's plots (PNG). Only curves and bars: faces are in timeline.py and on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl

from facewire_export.evaluation.aggregate import FRECHET, LABELS, LOWER, METRICS, Results, Row
from facewire_export.evaluation.contest import front, our_points
from facewire_export.evaluation.points import TITLES, Ours

mpl.use("Agg")

from matplotlib import pyplot as plt

COLOURS = {"x264": "#d62728", "x265": "#ff7f0e", "av1": "#2ca02c", "vp9": "#9467bd", "vvc": "#1f77b4"}
OURS = "#111111"
CLASSES = {"keypoints": "#1f77b4", "pivots": "#ff7f0e", "headers": "#7f7f7f", "link adds": "#d9d9d9"}


@contextmanager
def _figure(path: Path, width: float = 8.0, height: float = 5.0) -> Iterator[Any]:
    figure, axes = plt.subplots(figsize=(width, height), dpi=110)
    try:
        yield axes
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Software": ""})
    finally:
        plt.close(figure)


def draw_all(results: Results, folder: Path) -> list[Path]:
    """Every plot that there is data for; returns their paths."""
    made = []
    for metric in METRICS:
        path = folder / f"rate-{metric}.png"
        if rate_distortion(results, metric, path):
            made.append(path)
    for path, draw in ((folder / "bytes.png", bytes_by_class), (folder / "figure3.png", figure_3)):
        if draw(results, path):
            made.append(path)
    return made


def _curves(results: Results, metric: str, rate: Callable[[Row], float | None], axes: Any) -> bool:
    drawn = False
    for family, rows in results.families().items():
        codec, mode = family.split("-")
        points = [(r, s) for row in rows if (r := rate(row)) and (s := row.scores.get(metric)) is not None]
        if not points:
            continue
        drawn = True
        line = "-" if mode == "offline" else "--"
        curve = front(points, metric in LOWER)
        label = f"{TITLES[codec]} {mode}"
        axes.plot(*zip(*curve, strict=True), color=COLOURS[codec], linestyle=line, linewidth=1.4, label=label)
        marker = "o" if mode == "offline" else "x"
        axes.plot(*zip(*points, strict=True), linestyle="", marker=marker, markersize=4, color=COLOURS[codec])
    mine = [results.rows[name] for name in our_points(results)]
    ours = sorted((x, y, row.name) for row in mine if (x := rate(row)) and (y := row.scores.get(metric)) is not None)
    if ours:
        drawn = True
        across, up = [o[0] for o in ours], [o[1] for o in ours]
        axes.plot(across, up, "-", color=OURS, marker="*", markersize=11, label="Facewire")
        for x, y, name in ours:
            axes.annotate(name, (x, y), textcoords="offset points", xytext=(6, 6), fontsize=8)
    held = results.rows.get("bgan-pivot")
    if held is not None and (x := rate(held)) and (y := held.scores.get(metric)) is not None:
        axes.plot([x], [y], "v", color="#888888", label="pivot held still")
    return drawn


def rate_distortion(results: Results, metric: str, path: Path) -> bool:
    """One metric over the all-in rate; False where nothing is known of it."""
    if not any(row.scores.get(metric) is not None and row.all_in for row in results.rows.values()):
        return False
    with _figure(path) as axes:
        _curves(results, metric, lambda row: row.all_in, axes)
        axes.set_xscale("log")
        _kbit_ticks(axes)
        better = "lower" if metric in LOWER else "higher"
        axes.set_xlabel("all-in rate, kbit/s (both directions, headers and feedback included)")
        axes.set_ylabel(f"{LABELS[metric]} ({better} is better)")
        axes.set_title(f"{len(results.clips)} clips at 512x512; line: the codec's best at each rate", fontsize=10)
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=7, ncols=2)
    return True


def _kbit_ticks(axes: Any) -> None:
    low, high = axes.get_xlim()
    ticks = [t for t in (2, 3, 5, 8, 10, 15, 20, 30, 50, 80, 100, 150, 200, 300, 500) if low <= t <= high]
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.minorticks_off()


def figure_3(results: Results, path: Path) -> bool:
    """The paper's Figure 3: a Fréchet distance over bits per pixel of the coded stream."""
    if not any(row.scores.get(FRECHET) is not None for row in results.rows.values()):
        return False
    with _figure(path) as axes:
        _curves(results, FRECHET, lambda row: row.bpp, axes)
        axes.set_xscale("log")
        axes.set_xlabel("bits per shown pixel (coded stream, pivots and headers in)")
        axes.set_ylabel(LABELS[FRECHET])
        axes.set_title("Figure 3: Fréchet distance against bpp (not comparable with Inception's FID)", fontsize=10)
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=7, ncols=2)
    return True


def bytes_by_class(results: Results, path: Path) -> bool:
    """Where our bytes go: keypoints, pivots, headers, and what the link adds."""
    rows = [row for row in results.ours() if isinstance(row.point, Ours) and row.point.show == "network"]
    if not rows:
        return False
    with _figure(path, 9.0, 0.45 * len(rows) + 1.6) as axes:
        for index, row in enumerate(rows):
            parts = {**row.bytes, "link adds": row.bytes.get("link", 0) - row.bytes.get("total", 0)}
            scale = (row.all_in or 0.0) / (row.bytes.get("link", 0) or 1)
            left = 0.0
            for name, colour in CLASSES.items():
                width = parts.get(name, 0) * scale
                axes.barh(index, width, left=left, color=colour, label=name if index == 0 else None)
                left += width
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.invert_yaxis()
        axes.set_xlabel("kbit/s all-in, mean over clips (short clips pay their first pivot in a few seconds)")
        axes.legend(fontsize=8, ncols=4)
        axes.grid(alpha=0.3, axis="x")
    return True
