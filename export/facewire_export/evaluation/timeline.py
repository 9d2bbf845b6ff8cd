"""Figure 5: when each pivot is used, clip by clip. With thumbnails of the pivots it shows faces of real people: that
picture stays in the folder of the run, the one without them may be passed on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from facewire_export.evaluation.aggregate import Results
from facewire_export.evaluation.points import Ours

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

MOST_CLIPS = 20


def point_with_most_pivots(results: Results) -> str | None:
    """Our shipped profile that switches pivots most often; None where there is none."""
    counted = {
        row.name: sum(len(record["epochs"]) for record in results.records[row.name].values())
        for row in results.ours()
        if isinstance(row.point, Ours) and row.name == row.point.profile
    }
    return max(counted, key=lambda name: counted[name], default=None)


def draw(results: Results, point: str, path: Path, thumbnails: Path | None = None) -> None:
    """A bar for each clip, a colour for each pivot; the number above is what it cost, in bytes ("again": nothing).

    thumbnails: folder with CLIP/ID.png.
    """
    records = list(results.records[point].values())[:MOST_CLIPS]
    tall = 0.75 if thumbnails else 0.36
    figure, axes = plt.subplots(figsize=(11, tall * len(records) + 1.4), dpi=110)
    palette = plt.get_cmap("tab10")
    for index, record in enumerate(records):
        colours: dict[str, Any] = {}
        end = record["frames"] / record["fps"]
        epochs = record["epochs"]
        for number, (first, name, cost) in enumerate(epochs):
            start = first / record["fps"]
            stop = epochs[number + 1][0] / record["fps"] if number + 1 < len(epochs) else end
            colour = colours.setdefault(name, palette(len(colours) % 10))
            axes.barh(index, stop - start, left=start, height=0.8, color=colour, edgecolor="white")
            picture = thumbnails / record["clip"] / f"{name}.png" if thumbnails else None
            if picture is not None and picture.is_file():
                image = OffsetImage(np.asarray(plt.imread(picture)), zoom=0.30)
                box = AnnotationBbox(image, (start, index), (20, 0), boxcoords="offset points", frameon=False)
                axes.add_artist(box)
            elif stop - start > 0.4:
                axes.text(start + 0.05, index, f"{cost} B" if cost else "again", fontsize=6, va="center", color="white")
    axes.set_yticks(range(len(records)), [record["clip"] for record in records], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.set_title(f"Figure 5: pivots over time, `{point}`; same colour in a row: the same pivot again", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": ""})
    plt.close(figure)
