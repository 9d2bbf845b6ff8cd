"""Means over clips, and the Markdown table made from an evaluation's records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from facewire_export.judge import LOWER_IS_BETTER, SCORES

WAYS = {
    "shown": "Facewire",
    "pivot": "newest pivot held still",
    "first_pivot": "first pivot held still",
    "first_frame": "first frame held still, uncoded",
}
"""What is compared with the source, best informed first."""
CALMER_BY = "first_frame"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None and math.isfinite(v)]
    return sum(known) / len(known) if known else None


def _scores(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    return {way: {name: _mean([r["scores"][way].get(name) for r in records]) for name in SCORES} for way in WAYS}


def summary(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over clips (each clip counts once), for all of them and for the half that moves least."""
    by_calm = sorted(records, key=lambda r: -(r["scores"][CALMER_BY]["psnr"] or 0.0))
    calmer = by_calm[: (len(by_calm) + 1) // 2]
    rates = {
        name: _mean([r["rate"].get(name) for r in records]) for name in ("kbps", "bpp", "keypoint_frames", "pivots")
    }
    classes = sorted({name for r in records for name in r["rate"].get("bytes", {})})
    return {
        "clips": len(records),
        "frames": sum(r["frames"] for r in records),
        "all_same_length": all(r["frames"] == r["source_frames"] for r in records),
        "rate": {**rates, "bytes": {c: sum(r["rate"]["bytes"].get(c, 0) for r in records) for c in classes}},
        "scores": _scores(records),
        "calmer_half": {"clips": [r["clip"] for r in calmer], "scores": _scores(calmer)},
        "flicker": {
            "real": _mean([r["flicker"]["real"] for r in records]),
            "shown": _mean([r["flicker"]["shown"] for r in records]),
        },
        "clips_better_than_pivot": {
            name: sum(_better(r, name) for r in records) for name in ("psnr", "ssim", "lpips", "mouth")
        },
    }


def _better(record: Mapping[str, Any], name: str) -> bool:
    ours = record["scores"]["shown"].get(name)
    held = [record["scores"][way].get(name) for way in ("pivot", "first_pivot")]
    if ours is None or any(h is None for h in held):
        return False
    return bool(all(ours < h if name in LOWER_IS_BETTER else ours > h for h in held))


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


DIGITS = {"psnr": 2, "ssim": 3, "lpips": 3, "identity": 3, "mouth": 2, "eyelids": 2}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)]


def markdown(records: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> str:
    """A page: means over clips for each way of showing, the calmer half, then every clip."""
    found = summary(records)
    names = [f"{name} {'↓' if name in LOWER_IS_BETTER else '↑'}" for name in SCORES]

    def means(scores: Mapping[str, Mapping[str, float | None]]) -> list[str]:
        rows = [[title, *(_cell(scores[way][n], DIGITS[n]) for n in SCORES)] for way, title in WAYS.items()]
        return _table(["shown at the receiver", *names], rows)

    rate = found["rate"]
    lines = [
        "# Rate and quality on held-out clips",
        "",
        f"{found['clips']} clips, {found['frames']} frames, shown at {settings['size']}x{settings['size']}; profile "
        f"`{settings['profile']}`, skip {settings['skip']}, pivots {settings['pivots']}. PSNR on every frame but the "
        f"first, the other scores on every {settings['every']}th. Each clip counts once.",
        "",
        f"Rate of the .fw files: {_cell(rate['kbps'], 2)} kbit/s mean over clips, {_cell(rate['bpp'], 5)} bpp; bytes "
        + ", ".join(f"{name} {count}" for name, count in rate["bytes"].items())
        + ". What a link adds to that (packets, acknowledgements) is not in it.",
        "",
        *means(found["scores"]),
        "",
        "Half of the clips that moves least:",
        "",
        *means(found["calmer_half"]["scores"]),
        "",
        f"Flicker in still parts (grey levels): source {_cell(found['flicker']['real'], 2)}, "
        f"shown {_cell(found['flicker']['shown'], 2)}.",
        "",
        "Clip by clip, shown against the better of both held pivots:",
        "",
    ]
    rows = []
    for record in sorted(records, key=lambda r: str(r["clip"])):
        cells = [record["clip"], str(record["frames"]), _cell(record["rate"].get("kbps"), 2)]
        cells.append(str(record["rate"].get("pivots", "-")))
        for name in ("psnr", "ssim", "lpips", "mouth"):
            held = [record["scores"][w].get(name) for w in ("pivot", "first_pivot")]
            known = [h for h in held if h is not None]
            best = (min(known) if name in LOWER_IS_BETTER else max(known)) if known else None
            cells.append(f"{_cell(record['scores']['shown'].get(name), DIGITS[name])} ({_cell(best, DIGITS[name])})")
        cells.append(_cell(record["scores"]["shown"].get("identity"), 3))
        rows.append(cells)
    lines += _table(["clip", "frames", "kbit/s", "pivots", "psnr", "ssim", "lpips", "mouth", "identity"], rows)
    return "\n".join([*lines, ""])
