"""The decoder's status line: what happened between two readings of all counters. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from facewire.decoding import Counters
from facewire.playout import PlayoutCounters
from facewire.transport import Traffic


@dataclass(frozen=True)
class DecoderStatus:
    """All counters at one moment (`time` in seconds). Counters count from the start."""

    time: float
    traffic: Traffic
    decoding: Counters
    playout: PlayoutCounters
    pivot_age: float | None
    """Seconds that the present pivot has been animated, by the stream's own time; None before the first frame."""
    delay: float
    garbage: int
    """Messages that were no packets."""
    dropped: int
    """Messages dropped because decoding was behind."""
    hurried: int
    """Bundles whose interpolated frames were left out because decoding was behind."""

    def since(self, before: DecoderStatus) -> tuple[str, dict[str, object]]:
        """One line for people, and the same as fields, about the time between two readings.

        What went wrong is only named when it did."""
        seconds = max(1e-9, self.time - before.time)
        fps = (self.playout.shown - before.playout.shown) / seconds
        kbps = (self.traffic.wire - before.traffic.wire) * 8 / 1000 / seconds
        fields: dict[str, object] = {
            "fps": round(fps, 1),
            "kbps": round(kbps, 2),
            "pivot_age": "" if self.pivot_age is None else round(self.pivot_age, 1),
            "delay": round(self.delay, 2),
        }
        age = "no pivot yet" if self.pivot_age is None else f"pivot {self.pivot_age:.0f} s old"
        parts = [f"{fps:.1f} fps shown", f"{kbps:.2f} kbit/s all-in", age, f"delay {self.delay:.2f} s"]
        new, old = self.decoding, before.decoding
        troubles = {
            "repeated": self.playout.repeated - before.playout.repeated,
            "late": self.playout.late - before.playout.late + new.late - old.late,
            "missing": new.missing - old.missing,
            "held": new.held - old.held,
            "waiting for pivot": new.waiting - old.waiting,
            "unannounced": new.orphans - old.orphans,
            "other networks": new.foreign - old.foreign,
            "bad pivots": new.bad_pivots - old.bad_pivots,
            "garbage": self.garbage - before.garbage,
            "dropped": self.dropped - before.dropped,
            "too slow": self.hurried - before.hurried,
        }
        for name, count in troubles.items():
            fields[name.replace(" ", "_")] = count
            if count:
                parts.append(f"{count} {name}")
        return ", ".join(parts), fields
