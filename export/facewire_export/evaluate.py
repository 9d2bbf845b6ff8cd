"""Rate and quality of the shipped networks on a folder of clips.

Each clip goes through `compress` and back and is compared with its source at the shown size, beside what would be
seen if nothing moved: the first frame itself, the first coded pivot, and always the newest coded pivot.

OUT/clips.jsonl gets a line for each clip as it is finished; run again, the same command goes on where it stopped.
OUT/summary.json and OUT/table.md are made from it at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import facewire
from facewire.encoding import Encoding, open_encoding
from facewire.errors import FacewireError
from facewire.networks import Networks, open_networks
from facewire.networks.manifest import MANIFEST, default_directory
from facewire.profiles import PROFILES, Profile
from facewire.types import Message
from facewire_export.comparison import Comparison, Settings
from facewire_export.dataset import ClipEntry, read_table
from facewire_export.judge import Judge
from facewire_export.machine import describe
from facewire_export.metrics import plain
from facewire_export.playback import play, shorten, source_pictures
from facewire_export.sheets import contact_sheet, save_png
from facewire_export.tables import markdown, summary

QUICK_FRAMES = 40


def coprime(every: int, skip: int) -> int:
    """The next interval that meets keypoint frames and interpolated frames alike."""
    while math.gcd(every, skip + 1) != 1:
        every += 1
    return every


def compress_clip(source: Path, out: Path, settings: Settings, report: Path, models: str = "") -> None:
    """`facewire compress`, in this process; `models`: the networks' folder."""
    from facewire.files import compress

    def encoder(profile: Profile, fps: float) -> Encoding:
        return open_encoding(profile, models, fps, pivots=settings.pivots)

    compress(source, out, settings.profile, settings.skip, settings.pivots, report, encoder=encoder)


def messages_of(path: Path) -> Iterator[Message]:
    """All messages of a .fw file."""
    from facewire.wire.container import read_packets

    return iter(read_packets(path))


def evaluate_clip(
    entry: ClipEntry,
    networks: Networks,
    judge: Judge,
    settings: Settings,
    sheets: Path | None,
    compress: Callable[[Path, Path, Settings, Path], None] = compress_clip,
) -> dict[str, Any]:
    """One clip's record: rate, scores, flicker, seconds spent. Writes its contact sheet into `sheets`."""
    with tempfile.TemporaryDirectory(prefix="facewire-evaluate-") as folder:
        source, coded, report = entry.path, Path(folder, "clip.fw"), Path(folder, "report.json")
        if settings.frames:
            source = Path(folder, "short.mkv")
            shorten(entry.path, settings.frames, source)
        started = time.monotonic()
        compress(source, coded, settings, report)
        compressed = time.monotonic()
        rate = json.loads(report.read_text("utf-8"))
        count = sum(1 for _ in source_pictures(source, 64))
        comparison = Comparison(judge, settings, count)
        given = 0
        frames = play(messages_of(coded), networks, settings.size, count)
        for real, played in zip(source_pictures(source, settings.size), frames, strict=False):
            comparison.add(real, played)
            given += not played.held
        # A stream that is longer than its source is as wrong as one that is shorter.
        given += sum(not played.held for played in frames)
        if not comparison.frames:
            raise FacewireError(f"{entry.path}: nothing can be decoded from its .fw file")
    record = {
        "clip": entry.name,
        "source_size": entry.size,
        "source_frames": count,
        "frames": given,
        "rate": rate,
        "scores": comparison.scores(),
        "flicker": comparison.flicker(),
        "seconds": {"compress": compressed - started, "rest": time.monotonic() - compressed},
    }
    if sheets is not None:
        ours, held = record["scores"]["shown"], record["scores"]["pivot"]
        title = f"{entry.name}  {rate.get('kbps', 0):.2f} kbit/s  " + "  ".join(
            f"{name} {ours.get(name, float('nan')):.3f} (held {held.get(name, float('nan')):.3f})"
            for name in ("psnr", "lpips", "mouth")
        )
        save_png(sheets / f"{entry.name}.png", contact_sheet(comparison.sheet, title))
    return dict(plain(record))


def _known(path: Path, key: str) -> dict[str, dict[str, Any]]:
    """Records of these settings that are in the file already; a line cut by a crash is ignored."""
    found: dict[str, dict[str, Any]] = {}
    if path.is_file():
        for line in path.read_text("utf-8").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and record.get("settings") == key and "clip" in record:
                found[str(record["clip"])] = record
    return found


def _write_results(out: Path, records: list[dict[str, Any]], settings: Settings, about: Mapping[str, Any]) -> None:
    """summary.json, table.md, and clips.jsonl without the lines of other settings."""
    ordered = sorted(records, key=lambda r: str(r["clip"]))
    whole = {"settings": asdict(settings), **about, **summary(ordered)}
    texts = {
        "clips.jsonl": "".join(json.dumps(r) + "\n" for r in ordered),
        "summary.json": json.dumps(plain(whole), indent=2) + "\n",
        "table.md": markdown(ordered, asdict(settings)),
    }
    for name, text in texts.items():
        unfinished = out / f"{name}.partial"
        unfinished.write_text(text, "utf-8")
        unfinished.replace(out / name)


def evaluate(
    entries: list[ClipEntry],
    out: Path,
    networks: Networks,
    judge: Judge,
    settings: Settings,
    sheets: Path | None,
    command: str = "",
    compress: Callable[[Path, Path, Settings, Path], None] = compress_clip,
) -> dict[str, Any]:
    """All clips; returns the summary. A clip that fails is named on stderr and under `failed`, and in no mean."""
    out.mkdir(parents=True, exist_ok=True)
    lines = out / "clips.jsonl"
    key = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode()).hexdigest()[:12]
    records = {name: r for name, r in _known(lines, key).items() if name in {e.name for e in entries}}
    failed: dict[str, str] = {}
    for number, entry in enumerate(entries, 1):
        if entry.name in records:
            continue
        try:
            record = evaluate_clip(entry, networks, judge, settings, sheets, compress)
        except FacewireError as error:
            if str(error).startswith("interrupted"):
                # `compress` ends its file cleanly on Ctrl-C; here that means to stop, not to go on to the next clip.
                raise KeyboardInterrupt from error
            print(f"{entry.name}: {error}", file=sys.stderr)
            failed[entry.name] = str(error)
            continue
        records[entry.name] = {"settings": key, **record}
        with lines.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(records[entry.name]) + "\n")
        ours, held = record["scores"]["shown"], record["scores"]["pivot"]
        shown = "  ".join(f"{n} {ours.get(n)} (held {held.get(n)})" for n in ("psnr", "ssim", "lpips"))
        print(f"{number}/{len(entries)} {entry.name}  {record['rate'].get('kbps')} kbit/s  {shown}", flush=True)
    if not records:
        raise FacewireError("no clip could be evaluated")
    about = {"command": command, "machine": describe(), "missing_scores": judge.missing, "failed": failed}
    _write_results(out, list(records.values()), settings, about)
    return {"failed": failed, **summary(list(records.values()))}


def code_id() -> str:
    """Start of the SHA-256 over the runtime's source: what was coded by other code is measured again."""
    digest = hashlib.sha256()
    for path in sorted(Path(facewire.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def default_weights() -> Path | None:
    """The folder with metric weights beside the checkout, if there is one."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "weights"
    return beside if beside.is_dir() else None


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `facewire-export evaluate`."""
    parser.add_argument("clips", type=Path, help="folder of square clips (with a table CLIPS.csv, or without)")
    parser.add_argument("--out", type=Path, default=Path("runs/evaluate"), help="folder for the results")
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets (default: runs/sheets)")
    parser.add_argument("--no-sheets", action="store_true", help="write no contact sheets")
    parser.add_argument("--models", default="", help="folder of the networks' manifest (default: the shipped ones)")
    parser.add_argument("--weights", type=Path, default=default_weights(), help="folder with LPIPS and face-id weights")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="bgan")
    parser.add_argument("--skip", type=int, choices=range(4), default=1, help="interpolated frames between sent ones")
    parser.add_argument("--pivots", choices=("adaptive", "first"), default="adaptive")
    parser.add_argument("--size", type=int, default=512, help="shown size in pixels")
    parser.add_argument("--every", type=int, default=7, help="take scores other than PSNR on every n-th frame")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help=f"only {QUICK_FRAMES} frames of each clip")


def main(options: argparse.Namespace) -> int:
    """Run `facewire-export evaluate`."""
    entries = read_table(options.clips)
    networks = open_networks(options.models, options.threads)
    judge = Judge(options.weights)
    try:
        import torch

        torch.set_num_threads(options.threads)
    except ImportError:
        pass
    for score, reason in judge.missing.items():
        print(f"{score} is left out: {reason}", file=sys.stderr)
    manifest = (default_directory(options.models) / MANIFEST).read_bytes()
    settings = Settings(
        profile=options.profile,
        skip=options.skip,
        pivots=options.pivots,
        size=options.size,
        every=coprime(max(1, options.every), options.skip),
        frames=QUICK_FRAMES if options.quick else 0,
        models=hashlib.sha256(manifest).hexdigest()[:12],
        code=code_id(),
        judged_by="without " + ", ".join(sorted(judge.missing)) if judge.missing else "all",
    )
    sheets = None if options.no_sheets else options.sheets or Path("runs/sheets")
    quick = " --quick" if options.quick else ""
    command = (
        f"facewire-export evaluate {options.clips} --out {options.out} --profile {settings.profile} "
        f"--skip {settings.skip} --pivots {settings.pivots} --size {settings.size} --every {settings.every}{quick}"
    )
    compress = partial(compress_clip, models=options.models)
    result = evaluate(entries, options.out, networks, judge, settings, sheets, command, compress)
    print(f"{result['clips']} clips: {options.out / 'table.md'}" + (f", sheets in {sheets}" if sheets else ""))
    return 1 if result["failed"] else 0
