"""`facewire inspect`: what a .fw file holds and what it costs, without decoding a picture."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator
from pathlib import Path

from facewire.errors import ContainerError
from facewire.wire.container import Reader
from facewire.wire.tally import PEAK_SECONDS, Report, Tally

MOST_EPOCHS = 40
"""Lines of the table for pivots; a longer file's rest is counted."""


def run(path: str | Path, json: bool = False) -> int:
    """Print the table of a .fw file, or its report as JSON; returns the exit code. Raises ContainerError."""
    report, tally, lost = examine(Path(path))
    if json:
        print(json_module.dumps(report.as_json()))
    else:
        print("\n".join(table(report, tally, lost)))
    if lost:
        print(f"{path}: {lost} bytes are damaged or cut and were left out", file=sys.stderr)
    return 0


def examine(path: Path) -> tuple[Report, Tally, int]:
    """Read a whole file: its report, the counts behind it, how many bytes were unreadable. Raises ContainerError."""
    reader, tally = Reader(path), Tally()
    for record in reader:
        tally.add(record.message, record.packet_bytes, record.record_bytes)
    if not any(tally.packets.values()):
        raise ContainerError(f"{path} holds no packet that can be read; it may have been cut at its start")
    return tally.report(reader.file_bytes, reader.shown_size), tally, reader.lost_bytes


def table(report: Report, tally: Tally, lost: int = 0) -> Iterator[str]:
    """The lines that `inspect` prints."""
    yield f"{report.frames} frames, {report.seconds:.2f} s at {report.fps:g} fps, coded at {report.coded_size}"
    yield f"{report.kbps:.2f} kbit/s, {report.bpp:.6f} bit per pixel at {report.shown_size}x{report.shown_size}"
    wire = 8 * report.wire_bytes / 1000
    yield (
        f"{wire / max(report.seconds, 1e-9):.2f} kbit/s on a link, headers and acknowledgements included; "
        f"{8 * report.peak_bytes / 1000 / PEAK_SECONDS:.2f} in the fullest {PEAK_SECONDS} s"
    )
    yield ""
    yield f"{'packets':<14}{'count':>8}{'bytes':>10}{'each':>8}{'share':>8}"
    total = max(report.total_bytes, 1)
    for kind, count in tally.packets.items():
        size = tally.packet_bytes[kind]
        yield f"{kind:<14}{count:>8}{size:>10}{size / max(count, 1):>8.1f}{size / total:>8.1%}"
    rest = report.total_bytes - sum(tally.packet_bytes.values()) - lost
    yield f"{'file head':<14}{'':>8}{rest:>10}{'':>8}{rest / total:>8.1%}"
    yield ""
    yield f"{'bytes for':<14}{'count':>8}{'bytes':>10}{'each':>8}{'share':>8}"
    for name, count, size in (
        ("keypoints", report.keypoint_frames, report.keypoint_bytes),
        ("pivots", report.pivots, report.pivot_bytes),
        ("headers", sum(tally.packets.values()), report.header_bytes),
    ):
        yield f"{name:<14}{count:>8}{size:>10}{size / max(count, 1):>8.1f}{size / total:>8.1%}"
    yield f"{'total':<14}{'':>8}{report.total_bytes:>10}"
    yield ""
    yield f"{'from frame':<14}{'pivot':<18}{'bytes':>8}"
    for line in tally.epochs[:MOST_EPOCHS]:
        yield f"{line.first_frame:<14}{line.pivot_id.hex():<18}{'reused' if line.reused else line.pivot_bytes:>8}"
    if len(tally.epochs) > MOST_EPOCHS:
        yield f"... and {len(tally.epochs) - MOST_EPOCHS} more"
