"""The daemons' status lines: what happened between two readings of all counters. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from facewire.coding.keyframes import EncodingCounters
from facewire.ledger import Costs
from facewire.link.cost import Traffic
from facewire.showing.decoding import Counters
from facewire.showing.playout import PlayoutCounters


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


@dataclass(frozen=True)
class EncoderStatus:
    """All counters at one moment (`time` in seconds)."""

    time: float
    traffic: Traffic
    encoding: EncodingCounters
    pivot_age: float | None
    receivers: int
    garbage: int
    dropped: int
    """Bundles that the link was too slow for."""
    missed: int
    """Frames that this machine was too slow for."""
    step: int = 0
    """Of the ladder."""
    words: str = ""
    """How the stream has given way (economy.Economy.words)."""
    today: Costs = Costs()
    hour: int = 0
    """Bytes since the hour began."""
    turned_away: int = 0
    """Connections without a good key, or beyond a limit."""

    def since(self, before: EncoderStatus) -> tuple[str, dict[str, object]]:
        """One line for people, and the same as fields, about the time between two readings."""
        seconds = max(1e-9, self.time - before.time)
        fps = (self.encoding.frames - before.encoding.frames) / seconds
        keypoints = (self.encoding.keypoint_frames - before.encoding.keypoint_frames) / seconds
        kbps = (self.traffic.wire - before.traffic.wire) * 8 / 1000 / seconds
        age = "no pivot yet" if self.pivot_age is None else f"pivot {self.pivot_age:.0f} s old"
        parts = [f"{fps:.1f} fps read", f"{keypoints:.1f} keypoint frames/s", f"{kbps:.2f} kbit/s all-in", age]
        parts.append(f"{self.receivers} receiver{'' if self.receivers == 1 else 's'}")
        troubles = {
            "without a face": self.encoding.held - before.encoding.held,
            "bundles dropped": self.dropped - before.dropped,
            "frames missed": self.missed - before.missed,
            "garbage": self.garbage - before.garbage,
            "turned away": self.turned_away - before.turned_away,
        }
        parts += [f"{count} {name}" for name, count in troubles.items() if count]
        parts.append(f"{self.today.total / 1e6:.2f} MB today")
        parts += [self.words] if self.words else []
        fields: dict[str, object] = {
            "fps": round(fps, 1),
            "keypoint_fps": round(keypoints, 1),
            "kbps": round(kbps, 2),
            "pivot_age": "" if self.pivot_age is None else round(self.pivot_age, 1),
            "receivers": self.receivers,
            "step": self.step,
            "mb_today": round(self.today.total / 1e6, 3),
            "mb_hour": round(self.hour / 1e6, 3),
            **{f"bytes_{name}": count for name, count in asdict(self.today).items()},
            **{name.replace(" ", "_"): count for name, count in troubles.items()},
        }
        return ", ".join(parts), fields
