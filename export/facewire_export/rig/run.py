"""One scenario from beginning to end: link up, daemons up, deeds at their times, figures out."""

from __future__ import annotations

import dataclasses
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from facewire.errors import FacewireError
from facewire_export import machine
from facewire_export.rig import books, measure
from facewire_export.rig.daemons import PORT, Ends
from facewire_export.rig.scenario import Event, Scenario
from facewire_export.rig.strangers import Strangers
from facewire_export.rig.tunnel import Tunnel

LOOK = 0.25
"""Seconds between two looks at the daemons."""
SETTLE = 20.0
"""Seconds after the first picture from which the usual age of the picture is taken."""
MOST_AGES = 600
"""Points of the curve (seconds since the start, age of the shown picture) in a result."""
MOST_SIZES = 240
"""... and of each daemon's (seconds since the start, resident MB, MB of its own)."""
RANDOM = ("outage", "outage", "kill-encoder", "kill-decoder", "readdress", "strangers")
LASTING = ("outage", "outage", "readdress", "strangers")
"""Random deeds of the middle half, where both daemons live on: a leak shows only in a long life."""
MANY, FEW = 1000, 100
"""Connections of strangers: where a scenario names them, and among random deeds."""
BREAKS = ("kill-encoder", "kill-decoder", "forget", "readdress")
"""Deeds that end a connection."""
WARM_SECONDS = 600.0
"""The beginning of a process's life, in which it comes by what it keeps."""
SKIP = 60.0
"""Seconds at the beginning that the ceiling does not bind (issue: after the first minute)."""


class _Deed:
    """One thing that was done: when the link or the process was back, from when on recovery counts."""

    def __init__(self, event: Event, back: float) -> None:
        self.event, self.back = event, back


class _Play:
    """The run while it lasts."""

    def __init__(self, scenario: Scenario, tunnel: Tunnel, ends: Ends) -> None:
        self.deeds: list[_Deed] = []
        self.memory: list[tuple[float, dict[tuple[str, int], tuple[int, int]]]] = []
        self.strangers: list[Strangers] = []
        self._scenario, self._tunnel, self._ends = scenario, tunnel, ends
        self._later: list[tuple[float, str, int]] = []
        self._joined = 0
        self._random = random.Random(scenario.name)

    def until(self, end: float) -> None:
        """Play all events up to `end` (monotonic seconds)."""
        began = time.monotonic()
        waiting = sorted(self._expanded(), key=lambda event: event.at)
        looked = began
        while (now := time.monotonic()) < end:
            while waiting and now - began >= waiting[0].at:
                self._do(waiting.pop(0), now)
            for item in [item for item in self._later if item[0] <= now]:
                self._later.remove(item)
                self._restart(item[1], item[2])
            self._ends.check()
            if now - looked >= 5.0:
                looked = now
                self.memory.append((now - began, self._ends.memory()))
            time.sleep(LOOK / 10 if self._later else LOOK)

    def _expanded(self) -> Iterator[Event]:
        for event in self._scenario.events:
            if event.do != "random":
                yield event
                continue
            at = event.at
            while at < self._scenario.seconds - 60:
                calm = 0.25 < at / self._scenario.seconds < 0.75
                deed = self._random.choice(LASTING if calm else RANDOM)
                yield Event(at, deed, self._random.uniform(2, 30) if deed == "outage" else 0.0)
                at += self._random.uniform(45, 90)

    def _do(self, event: Event, now: float) -> None:
        if event.do == "outage":
            self._tunnel.outage(event.seconds)
        elif event.do == "readdress":
            self._tunnel.readdress()
        elif event.do == "join":
            self._joined += 1
            self._ends.start_decoder(self._joined)
        elif event.do == "strangers":
            count = MANY if event in self._scenario.events else FEW
            self.strangers.append(Strangers(self._tunnel, self._tunnel.address(0), PORT, count))
        else:
            name = "encoder" if event.do == "kill-encoder" else "decoder0"
            self._ends.kill(name)
            if event.do == "forget":
                self._ends.forget(name)
            self._later.append((now + event.seconds, name, len(self.deeds)))
        self.deeds.append(_Deed(event, now + (event.seconds if event.do != "strangers" else 0.0)))

    def _restart(self, name: str, index: int) -> None:
        self.deeds[index].back = time.monotonic()
        if name == "encoder":
            self._ends.start_encoder()
        else:
            self._ends.start_decoder()


def run(scenario: Scenario, source: str = "sample:") -> dict[str, Any]:
    """Run it; returns {"scenario", "source", "machine", "figures", "events", "warnings"}. Raises FacewireError."""
    with tempfile.TemporaryDirectory(prefix="facewire-rig-") as place:
        tunnel = Tunnel(scenario.shape, scenario.ip)
        try:
            ends = Ends(scenario, tunnel, Path(place), source)
            play = _Play(scenario, tunnel, ends)
            try:
                ends.start_encoder()
                _wait_for(ends, "encoder")
                ends.start_decoder()
                began = time.monotonic()
                play.until(began + scenario.seconds)
                end = time.monotonic()
                counters = tunnel.counters()
            finally:
                for strangers in play.strangers:
                    strangers.close()
                ends.close()
        finally:
            tunnel.close()
        return {
            "scenario": dataclasses.asdict(scenario),
            "source": source if source.startswith("sample") else "file",
            "machine": machine.describe(),
            "interface_counters": counters,
            **_figures(scenario, tunnel, ends, play, began, end),
        }


def _wait_for(ends: Ends, name: str) -> None:
    """Until the encoder has taken frames: what is measured begins with the decoder."""
    limit = time.monotonic() + 90
    while not ends.trace(name).frames:
        ends.check()
        if time.monotonic() > limit:
            said = "; ".join(ends.warnings) or "it said nothing"
            raise FacewireError(f"the {name} took no frame within 90 s: {said}")
        time.sleep(LOOK)


def _figures(
    scenario: Scenario, tunnel: Tunnel, ends: Ends, play: _Play, began: float, end: float
) -> dict[str, Any]:
    taken, screen = ends.trace("encoder"), ends.trace("decoder0")
    frames = measure.shown(taken, screen)
    first = frames[0].time - began if frames else None
    calm_until = min([deed.back - deed.event.seconds for deed in play.deeds], default=end)
    calm_from = began + (first or 0.0) + min(SETTLE, scenario.seconds / 4)
    delays = measure.delays(frames, calm_from, max(calm_until, calm_from + 1.0), scenario.delay)
    usual = float(str(delays.get("median_s", 0.0)))
    figures: dict[str, Any] = {
        "first_picture_s": None if first is None else round(first, 2),
        "rate": measure.rates([p for p in tunnel.packets if began <= p.time <= end], began, end, SKIP),
        "glass_to_glass": delays,
        "picture_bytes_sent": sum(item[3] for item in taken.slices),
        "picture_bytes_sent_again": measure.sent_again(taken.slices),
        "packets_lost": tunnel.lost,
        "longest_freeze_s": measure.delays(frames, calm_from, end, scenario.delay).get("longest_freeze_s"),
    }
    lives = _longest_lives(play)
    if lives:
        figures["memory"] = {name: _memory(points) for name, points in lives.items()}
    broken = [deed.back - deed.event.seconds for deed in play.deeds if deed.event.do in BREAKS]
    figures["books"] = books.balance(taken, screen, [*broken, end])
    if taken.statuses:
        figures["encoder_status_last"] = taken.statuses[-1][1]
    if screen.statuses:
        figures["decoder_status_last"] = screen.statuses[-1][1]
    begins = [*(deed.back - deed.event.seconds for deed in play.deeds), end]
    events = [
        _event(deed, frames, usual, until, ends, taken) for deed, until in zip(play.deeds, begins[1:], strict=True)
    ]
    warnings = [f"{float(line.split()[0]) - began:.1f} s {line.split(' ', 1)[1]}" for line in ends.warnings]
    if play.strangers:
        met: Counter[str] = Counter()
        for strangers in play.strangers:
            met.update(strangers.figures())
        figures["strangers"] = dict(met)
    ages = [[round(at - began, 1), round(age, 2)] for at, age in measure.ages(frames, began, end)]
    every = max(1, len(ages) // MOST_AGES)
    seconds = measure.each_second([p for p in tunnel.packets if began <= p.time <= end], began, end)
    sizes = {
        name: [[round(x, 1) for x in point] for point in points[:: max(1, len(points) // MOST_SIZES)]]
        for name, points in lives.items()
    }
    curves = {"ages": ages[::every], "bytes_each_second": seconds, "megabytes": sizes}
    return {"figures": figures, "events": events, "warnings": warnings[:200], "curves": curves}


def _event(
    deed: _Deed, frames: list[measure.Shown], usual: float, end: float, ends: Ends, taken: measure.Recorded
) -> dict[str, Any]:
    event = deed.event
    out: dict[str, Any] = {"at": event.at, "do": event.do, "seconds": round(event.seconds, 1)}
    if event.do == "join":
        theirs = measure.shown(taken, ends.trace("decoder1"))
        out["first_picture_s"] = round(theirs[0].time - deed.back, 2) if theirs else None
    else:
        out["live_again_s"] = measure.recovery(frames, deed.back, usual, end)
    before = [item for item in taken.slices if item[0] < deed.back]
    after = [item for item in taken.slices if deed.back - event.seconds <= item[0] < deed.back + 60]
    known = {(item[1], item[2], item[4]) for item in before}
    out["picture_bytes_sent_again"] = sum(i[3] for i in after if (i[1], i[2], i[4]) in known and i not in before)
    return out


class _Size(NamedTuple):
    """MB of a daemon after so many seconds: resident, and of these its own."""

    at: float
    resident: float
    own: float


def _longest_lives(play: _Play) -> dict[str, list[_Size]]:
    """Of each daemon the longest life."""
    lives: dict[tuple[str, int], list[_Size]] = defaultdict(list)
    for at, sizes in play.memory:
        for life, (resident, own) in sizes.items():
            lives[life].append(_Size(at, resident / 1e6, own / 1e6))
    names = sorted({name for name, _ in lives})
    return {name: max((points for (whose, _), points in lives.items() if whose == name), key=len) for name in names}


def _memory(points: Sequence[_Size]) -> dict[str, Any]:
    """Resident MB of a life, and by how many MB an hour it grows after its first WARM_SECONDS (of a short life: in the
    second half), with the standard error; likewise what is its own."""
    begin, length = points[0].at, points[-1].at - points[0].at
    late = [p for p in points if p.at - begin >= min(WARM_SECONDS, length / 2)]
    out: dict[str, Any] = {
        "megabytes_last": round(points[-1].resident, 1),
        "megabytes_most": round(max(p.resident for p in points), 1),
        "life_s": round(length),
    }
    for name, curve in (("", [(p.at, p.resident) for p in late]), ("own_", [(p.at, p.own) for p in late])):
        found = measure.slope(curve)
        out[f"{name}slope_mb_per_hour"] = None if found is None else round(found.rise * 3600, 2)
        out[f"{name}slope_error_mb_per_hour"] = None if found is None else round(found.error * 3600, 2)
    return out
