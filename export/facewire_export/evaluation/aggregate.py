"""Records -> one row for each point: means over clips (each counts once), and the Fréchet distance over all frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from facewire_export.evaluation import frechet
from facewire_export.evaluation.faces import FACE_SCORES
from facewire_export.evaluation.points import Codec, Ours, Point
from facewire_export.evaluation.records import REAL, Record, features
from facewire_export.evaluation.vmaf import VMAF
from facewire_export.judge import SCORES

FRECHET, FLICKER = "frechet", "flicker"
CLIP_METRICS = (*SCORES, VMAF, *FACE_SCORES)
"""What a clip's record tells by itself, and codecs are compared by."""
METRICS = (*CLIP_METRICS, FRECHET, FLICKER)
LOWER = frozenset({"lpips", "lpips_alex", "mouth", "eyelids", "pose", FRECHET, FLICKER})
DIGITS = {
    "psnr": 2, "ssim": 3, "lpips": 3, "lpips_alex": 3, "identity": 3, "mouth": 2, "eyelids": 2, "pose": 2, "lips": 2,
    "blinks": 2, VMAF: 1, FRECHET: 2, FLICKER: 2,
}  # fmt: skip
LABELS = {
    "psnr": "PSNR, dB", "ssim": "SSIM", "lpips": "LPIPS (SqueezeNet)", "lpips_alex": "LPIPS (AlexNet)",
    "identity": "identity, cosine", VMAF: "VMAF",
    "mouth": "mouth error, % of face width", "eyelids": "eyelid error, % of face width",
    "pose": "head pose error, degrees", "lips": "lip distance, correlation over time",
    "blinks": "eye opening, correlation over time",
    FRECHET: "Fréchet distance (SqueezeNet features)", FLICKER: "flicker, times the source's",
}  # fmt: skip


def value(record: Record, metric: str) -> float | None:
    """One clip's value of a metric (not the Fréchet distance, which is the whole set's)."""
    if metric == FLICKER:
        return flicker(record)
    found = record["scores"].get(metric)
    return None if found is None or not math.isfinite(found) else float(found)


def flicker(record: Record) -> float | None:
    """Shown over real; None where either could not be told, or the real one is still."""
    shown, real = record["flicker"].get("shown"), record["flicker"].get("real")
    return None if shown is None or not real else float(shown) / float(real)


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of what is known; None when nothing is."""
    known = [v for v in values if v is not None and math.isfinite(v)]
    return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class Row:
    """A point's means. stream, all_in, later (all-in without the first picture): kbit/s; faces: part of the judged
    frames in which a face was found; bytes: sums over clips by class; seconds: CPU time of it over all clips."""

    point: Point
    clips: int
    stream: float | None
    all_in: float | None
    later: float | None
    bpp: float | None
    scores: Mapping[str, float | None]
    faces: float | None
    bytes: Mapping[str, int]
    seconds: float

    @property
    def name(self) -> str:
        return self.point.name


@dataclass(frozen=True)
class Results:
    """All that a report is made from. records: point -> clip -> record."""

    rows: Mapping[str, Row]
    records: Mapping[str, Mapping[str, Record]]
    clips: tuple[str, ...]

    def ours(self) -> list[Row]:
        """Our rows, in the order of the points."""
        return [row for row in self.rows.values() if isinstance(row.point, Ours)]

    def codecs(self) -> list[Row]:
        """The codecs' rows, in the order of the points."""
        return [row for row in self.rows.values() if isinstance(row.point, Codec)]

    def families(self) -> dict[str, list[Row]]:
        """The codecs' rows by codec and mode, each from its lowest all-in rate on."""
        found: dict[str, list[Row]] = {}
        for row in sorted(self.codecs(), key=lambda r: r.all_in or 0.0):
            assert isinstance(row.point, Codec)
            found.setdefault(row.point.family, []).append(row)
        return dict(sorted(found.items()))


def gather(points: Sequence[Point], records: Iterable[Record], out: Path) -> Results:
    """Rows of the points that have records. The features of Fréchet distances lie in `out`; without them it is None."""
    by_point: dict[str, dict[str, Record]] = {}
    for record in records:
        by_point.setdefault(record["point"], {})[record["clip"]] = record
    rows, kept = {}, {}
    for point in points:
        mine = dict(sorted(by_point.get(point.name, {}).items()))
        if mine:
            rows[point.name] = _row(point, mine, out)
            kept[point.name] = mine
    clips = tuple(sorted({clip for mine in kept.values() for clip in mine}))
    return Results(rows, kept, clips)


def _row(point: Point, mine: Mapping[str, Record], out: Path) -> Row:
    records = list(mine.values())
    scores = {metric: mean(value(r, metric) for r in records) for metric in METRICS if metric != FRECHET}
    scores[FRECHET] = _frechet(point.name, list(mine), out)
    judged = sum(r["counts"].get("psnr", 0) for r in records)
    seen = sum(r["counts"].get("mouth", 0) for r in records)
    classes = sorted({name for r in records for name in r["bytes"]})
    return Row(
        point,
        len(records),
        mean(r["kbps"]["stream"] for r in records),
        mean(r["kbps"]["all_in"] for r in records),
        mean(8 * (r["bytes"]["link"] - first_picture(r)) / 1000 * r["fps"] / r["frames"] for r in records),
        mean(r["bpp"] for r in records),
        scores,
        seen / judged if judged else None,
        {name: sum(r["bytes"].get(name, 0) for r in records) for name in classes},
        sum(sum(r["cpu_seconds"].values()) for r in records),
    )


def first_picture(record: Record) -> int:
    """Bytes of a clip's first pivot, or of a codec's intra picture: what a long call pays once."""
    if "epochs" in record:
        return int(record["epochs"][0][2]) if record["epochs"] else 0
    return int(record["bytes"]["first"])


def _frechet(point: str, clips: Sequence[str], out: Path) -> float | None:
    shown, real = features(out, point, clips), features(out, REAL, clips)
    return frechet.distance(real, shown) if min(len(shown), len(real)) > 1 else None
