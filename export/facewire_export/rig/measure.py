"""Figures from what a run recorded. Pure: packets, traces and times in, a dictionary for the JSON file out."""

from __future__ import annotations

import json
import math
import statistics
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from facewire_export.rig.tunnel import Passed

WINDOW = 60.0
GRID = 0.1
"""Seconds between two looks at how old the shown picture is."""
LIVE = 1.0
"""A picture is live when it is at most this much older than usual (issue: staleness <= 1 s above normal)."""

HOLDS = 2.0
"""... and stays so for this long."""
NOTICED = 15.0
BLOCKS = 12
"""Stretches of time of which a slope is taken."""


@dataclass(frozen=True)
class Note:
    """A message that was sent or received. `of`: its stream or pivot; `name`: its first frame, epoch or offset; count:
    keypoint frames, or bytes of picture; device: the receiver."""

    at: float
    kind: str
    of: int | str
    name: int
    count: int
    device: str

    @property
    def identity(self) -> tuple[str, str, int | str, int]:
        """What it is, whenever that was."""
        return (self.device, self.kind, self.of, self.name)


@dataclass
class Recorded:
    """The lines of one or more traces of one role."""

    frames: list[tuple[float, int, int]] = field(default_factory=list)
    """(when, stream, number)"""
    sent: list[Note] = field(default_factory=list)
    got: list[Note] = field(default_factory=list)
    books: list[tuple[float, dict[str, int]]] = field(default_factory=list)
    """(when, what became of keypoint frames since the daemon's start)"""
    statuses: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    @property
    def slices(self) -> list[tuple[float, str, int, int, str]]:
        """(when, pivot id, offset, bytes, receiver) of what was sent."""
        return [(n.at, str(n.of), n.name, n.count, n.device) for n in self.sent if n.kind == "slice"]


def read_trace(path: Path) -> Recorded:
    """A trace file (facewire.trace); a line that was cut by a kill is left out."""
    out = Recorded()
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            item = json.loads(line)
        except ValueError:
            continue
        if "frame" in item:
            out.frames.append((item["at"], item["stream"], item["frame"]))
        elif "sent" in item or "got" in item:
            notes, kind = (out.sent, item["sent"]) if "sent" in item else (out.got, item["got"])
            notes.append(Note(item["at"], kind, item["of"], item["name"], item["count"], item["to"]))
        elif "named" in item:
            out.sent = [replace(n, device=item["is"]) if n.device == item["named"] else n for n in out.sent]
        elif "books" in item:
            out.books.append((item["at"], item["books"]))
        else:
            out.statuses.append((item["at"], item["status"]))
    return out


def rates(packets: Sequence[Passed], begin: float, end: float, skip: float) -> dict[str, object]:
    """All-in rates in kbit/s, both directions together, over every window (one begins each second) that lies between
    `begin + skip` and `end`; where the run is shorter than a window the whole of it is one."""
    first = begin + min(skip, max(0.0, end - begin - WINDOW))
    length = min(WINDOW, end - first)
    times = [packet.time for packet in packets]
    total = [0]
    for packet in packets:
        total.append(total[-1] + packet.length)

    def between(one: float, other: float) -> int:
        return total[bisect_right(times, other)] - total[bisect_right(times, one)]

    starts = [first + n for n in range(int(end - length - first) + 1)] or [first]
    windows = [between(at, at + length) * 8 / 1000 / length for at in starts]
    sent = sum(packet.length for packet in packets if packet.from_camera)
    return {
        "window_s": round(length, 1),
        "windows": len(windows),
        "max_kbps": round(max(windows), 3),
        "mean_kbps": round(statistics.fmean(windows), 3),
        "whole_run_kbps": round(total[-1] * 8 / 1000 / max(1e-9, end - begin), 3),
        "bytes_from_camera": sent,
        "bytes_from_screen": total[-1] - sent,
        "packets": len(packets),
        "megabytes_per_hour": round(statistics.fmean(windows) * 0.45, 3),
    }


def each_second(packets: Sequence[Passed], begin: float, end: float) -> list[list[int]]:
    """Bytes sent by the camera's side and by the screen's, for each second of the run."""
    out = [[0, 0] for _ in range(int(end - begin) + 1)]
    for packet in packets:
        out[int(packet.time - begin)][0 if packet.from_camera else 1] += packet.length
    return out


@dataclass(frozen=True)
class Shown:
    """A new frame on the screen: when, and how old it was (seconds since the camera took it)."""

    time: float
    age: float


def shown(taken: Recorded, screen: Recorded) -> list[Shown]:
    """The frames that reached the screen, in order; those that nobody took (another stream's) are left out."""
    when = {(stream, number): at for at, stream, number in taken.frames}
    return [
        Shown(at, at - when[stream, number]) for at, stream, number in screen.frames if (stream, number) in when
    ]


def ages(frames: Sequence[Shown], begin: float, end: float) -> Iterator[tuple[float, float]]:
    """(when, age of the picture then) on a steady grid, from the first frame on."""
    times = [frame.time for frame in frames]
    for step in range(int((end - begin) / GRID)):
        at = begin + step * GRID
        place = bisect_right(times, at) - 1
        if place >= 0:
            yield at, frames[place].age + at - frames[place].time


def delays(frames: Sequence[Shown], begin: float, end: float, link: float) -> dict[str, object]:
    """Glass to glass, in seconds, with and without the link's own one-way delay; whether it grew over the run."""
    inside = [frame for frame in frames if begin <= frame.time <= end]
    if len(inside) < 10:
        return {"frames": len(inside)}
    values = sorted(frame.age for frame in inside)
    third = len(inside) // 3
    gaps = [b.time - a.time for a, b in pairwise(inside)]
    early = statistics.median(frame.age for frame in inside[:third])
    late = statistics.median(frame.age for frame in inside[-third:])
    return {
        "frames": len(inside),
        "fps": round(len(inside) / (end - begin), 2),
        "median_s": round(statistics.median(values), 3),
        "p95_s": round(values[int(0.95 * len(values))], 3),
        "median_without_link_s": round(statistics.median(values) - link, 3),
        "p95_without_link_s": round(values[int(0.95 * len(values))] - link, 3),
        "last_third_minus_first_s": round(late - early, 3),
        "longest_freeze_s": round(max(gaps), 3),
    }


def recovery(frames: Sequence[Shown], back: float, usual: float, end: float) -> float | None:
    """Seconds from `back` until the picture is live again and stays so for HOLDS; 0 if it never was stale in the first
    NOTICED seconds (what was on its way bridged it), None: not before `end`, when the next thing happens."""
    was_stale = False
    since: float | None = None
    for at, age in ages(frames, back, end):
        if age > usual + LIVE:
            was_stale, since = True, None
        elif since is None:
            since = at
        if was_stale and since is not None and at - since >= HOLDS:
            return round(since - back, 2)
        if not was_stale and at - back > NOTICED:
            return 0.0
    return None


def sent_again(slices: Iterable[tuple[float, str, int, int, str]]) -> int:
    """Picture bytes that one receiver was sent more than once."""
    seen: set[tuple[str, int, str]] = set()
    again = 0
    for _, pivot, offset, length, receiver in slices:
        again += length if (pivot, offset, receiver) in seen else 0
        seen.add((pivot, offset, receiver))
    return again


@dataclass(frozen=True)
class Slope:
    """A straight line through a curve: what it rises by in a second, and the standard error of that."""

    rise: float
    error: float


def slope(points: Sequence[tuple[float, float]]) -> Slope | None:
    """Least-squares slope through the means of BLOCKS equal stretches of time, which know little of each other, unlike
    neighbouring points; so the error is an honest one. None where a stretch is empty."""
    if not points:
        return None
    begin, length = points[0][0], (points[-1][0] - points[0][0]) / BLOCKS
    blocks: list[list[tuple[float, float]]] = [[] for _ in range(BLOCKS)]
    for at, value in points:
        blocks[min(BLOCKS - 1, int((at - begin) / length)) if length else 0].append((at, value))
    if not all(blocks):
        return None
    times = [statistics.fmean(at for at, _ in block) for block in blocks]
    values = [statistics.fmean(value for _, value in block) for block in blocks]
    line = statistics.linear_regression(times, values)
    left = sum((value - line.intercept - line.slope * at) ** 2 for at, value in zip(times, values, strict=True))
    spread = sum((at - statistics.fmean(times)) ** 2 for at in times)
    return Slope(line.slope, math.sqrt(left / (BLOCKS - 2) / spread))
