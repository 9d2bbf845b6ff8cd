"""Everything that is made from records: report.md, points.csv, clips.csv, plots, Figure 5, the page. Measures nothing,
so it can be made again at any time (`--report-only`). `publish` copies what shows nobody's face."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facewire_export.evaluation import page, paper, plots, tables, timeline
from facewire_export.evaluation.aggregate import FRECHET, METRICS, Results, value
from facewire_export.evaluation.points import MAIN
from facewire_export.evaluation.records import RECORDS, write_records
from facewire_export.evaluation.scoring import OFTEN, SELDOM
from facewire_export.metrics import plain

REPORT, SUMMARY, POINTS, CLIPS, PLOTS = "report.md", "summary.json", "points.csv", "clips.csv", "plots"
PUBLISHED = (REPORT, SUMMARY, POINTS, CLIPS)


def write_report(results: Results, out: Path, about: Mapping[str, Any], baselines: Path) -> str:
    """Write all files; returns what is to be said on the terminal. about: command, machine, settings, what is missing.

    baselines: folder that `facewire-export baselines` may have written to.
    """
    drawn = plots.draw_all(results, out / PLOTS)
    if (point := timeline.point_with_most_pivots(results)) is not None:
        timeline.draw(results, point, out / PLOTS / "figure5.png")
        drawn.append(out / PLOTS / "figure5.png")
        timeline.draw(results, point, out / "figure5-faces.png", out / "pivots" / point)
    found = [
        tables.overview(results),
        *tables.contests(results, "all_in"),
        *tables.contests(results, "stream"),
        *paper.paper_tables(results),
        *([each] if (each := tables.clip_by_clip(results)) is not None else []),
        *([told] if (told := tables.baselines(baselines)) is not None else []),
        tables.every_point(results),
    ]
    head = _head(results, about)
    images = [f"![{path.stem}]({PLOTS}/{path.name})" for path in drawn]
    body = [*head, "", *(table.markdown() for table in found), *images, ""]
    text = "\n".join(["# Rate and quality on held-out clips", "", *body])
    _write(out / REPORT, text)
    _write(out / POINTS, tables.csv_points(results))
    _write(out / CLIPS, _csv_clips(results))
    rows = {
        row.name: {
            "clips": row.clips, "kbps": {"stream": row.stream, "all_in": row.all_in, "later": row.later},
            "bpp": row.bpp, "scores": row.scores, "faces": row.faces, "bytes": row.bytes,
            "cpu_seconds": row.seconds,
        }
        for row in results.rows.values()
    }  # fmt: skip
    _write(out / SUMMARY, json.dumps(plain({**about, "clips": list(results.clips), "points": rows}), indent=1) + "\n")
    page.write_page(results, found, drawn, out, " ".join(head).replace("`", ""))
    return "\n".join([found[0].markdown(), *(t.markdown() for t in tables.contests(results, "all_in"))])


def publish(results: Results, out: Path, into: Path) -> None:
    """Copy records, tables and plots into a folder that may be passed on: no picture of a person is among them."""
    into.mkdir(parents=True, exist_ok=True)
    write_records(into / RECORDS, (record for mine in results.records.values() for record in mine.values()))
    for name in PUBLISHED:
        shutil.copyfile(out / name, into / name)
    shutil.rmtree(into / PLOTS, ignore_errors=True)
    shutil.copytree(out / PLOTS, into / PLOTS)


def _head(results: Results, about: Mapping[str, Any]) -> list[str]:
    lengths = {r["clip"]: r["frames"] for mine in results.records.values() for r in mine.values()}
    seconds = about["settings"]["seconds"]
    part = f"the first {seconds:g} s of each" if seconds else "all of each"
    lines = [
        f"{len(results.clips)} clips, {sum(lengths.values())} frames ({part}), at 512x512; each clip counts once.",
        f"PSNR and landmarks (mouth, eyelids, pose, lips) are of every {OFTEN}th frame, the Fréchet distance's",
        f"features of half of these, SSIM, LPIPS and identity of every {SELDOM}rd (AlexNet's LPIPS of one in five of",
        "these), flicker (times the source's) of 6 in 50, VMAF of 6 in 100. Codecs: half as many but for the last two.",
        "The Fréchet distance is one of SqueezeNet's features, not Inception's FID: that network's weights are not at",
        "hand, nor VGG-16's for DISTS. Tables 1 to 4 have the rows of Agarwal et al., BMVC 2022.",
        "",
        "stream: the .fw file, or the codec's elementary stream. all-in: with what a link adds in both directions,",
        "ZeroMQ over TCP with acknowledgements and reports for us, RTP, UDP, IPv4 and RTCP for codecs (RFC 3550 and",
        "payload formats; see `evaluation/transport.py`). Nothing is lost or encrypted. Codecs: one intra picture.",
        "",
        f"Made by `{about['command']}`.",
    ]
    spent = sum(row.seconds for row in results.rows.values())
    ours = sum(row.seconds for row in results.ours())
    lines.append(f"CPU time of all records: {spent / 60:.0f} minutes, {ours / 60:.0f} of them ours.")
    took, kept = about["measured"], sum(row.clips for row in results.rows.values())
    lines.append(
        f"The command measured {took['records']} of these {kept} records, in {took['seconds'] / 60:.1f} minutes with "
        f"{took['processes']} processes; the others it had kept."
        if took["records"] < kept
        else f"The command took {took['seconds'] / 60:.1f} minutes with {took['processes']} processes."
    )
    for what, why in {**about["missing_scores"], **about["failed"]}.items():
        lines += ["", f"Left out: {what}: {why}"]
    partial = sorted({row.clips for row in results.rows.values()})
    if len(partial) > 1:
        few = ", ".join(row.name for row in results.rows.values() if row.clips < partial[-1])
        lines += ["", f"**Not measured on every clip**: {few}"]
    if MAIN not in results.rows:
        lines += ["", f"`{MAIN}` was not measured, so nothing is compared with it."]
    return lines


def _csv_clips(results: Results) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    metrics = [metric for metric in METRICS if metric != FRECHET]
    writer.writerow(["clip", "point", "frames", "stream_kbps", "all_in_kbps", "bpp", "packets", *metrics])
    for mine in results.records.values():
        for record in mine.values():
            scores = ["" if (v := value(record, metric)) is None else v for metric in metrics]
            rates = [record["kbps"]["stream"], record["kbps"]["all_in"], record["bpp"], record["packets"]]
            writer.writerow([record["clip"], record["point"], record["frames"], *rates, *scores])
    return out.getvalue()


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, "utf-8")
    partial.replace(path)
