"""What the link has cost: all-in bytes by class, by hour and by day (UTC), kept over restarts, and a daily cap.

    full      below STILLS_AT of the cap, or no cap
    stills    above: no motion any more, a picture now and then, as many as the rest of the day can pay
    closed    the cap is reached: nothing is sent until midnight but what connections cost by themselves

Pure but for the file; the caller brings the wall clock. A clock that runs back opens no account anew.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

STILLS_AT = 0.9
"""Part of the cap from which on there are only stills."""
CLOSE_EARLY = 20_000
"""Bytes short of the cap at which nothing more is sent: connections, and reports that are on their way, cost too."""
LEAST_STILL, MOST_STILL = 30.0, 3600.0
"""Seconds between two stills."""
WRITE_EVERY = 60.0
DAYS_KEPT = 62
FULL, STILLS, CLOSED = "full", "stills", "closed"


@dataclass(frozen=True)
class Costs:
    """Bytes on the wire. keypoints, pivots, epochs: messages to receivers; reports: messages from them; overhead: all
    the rest (headers, acknowledgements, encryption, handshakes, repetitions); strangers: those without a key; others:
    what else passed the interface, where one is watched."""

    keypoints: int = 0
    pivots: int = 0
    epochs: int = 0
    reports: int = 0
    overhead: int = 0
    strangers: int = 0
    others: int = 0

    @property
    def total(self) -> int:
        return sum(asdict(self).values())

    def plus(self, other: Costs, sign: int = 1) -> Costs:
        """The sum, or with sign -1 the difference."""
        mine, theirs = asdict(self), asdict(other)
        return Costs(**{name: mine[name] + sign * theirs[name] for name in mine})


class Ledger:
    """cap: bytes a day, 0 for none. path: where accounts are kept, None for nowhere. still_bytes: what one costs."""

    def __init__(self, path: Path | None, cap: int = 0, still_bytes: int = 5000) -> None:
        self.cap = cap
        self._path, self._still_bytes = path, still_bytes
        self._days: dict[str, dict[str, Any]] = self._read()
        self._seen = Costs()
        self._day = max(self._days, default="")
        self._hour = -1
        self._hour_bytes = 0
        self._last_hour = 0
        self._written = float("-inf")
        self._left = 86400.0

    def update(self, wall: float, costs: Costs) -> None:
        """Enter what was spent since the last call. costs: counters since the start; wall: seconds since 1970."""
        at = datetime.fromtimestamp(wall, timezone.utc)
        day = at.strftime("%Y-%m-%d")
        if day > self._day:
            self._day = day
            for old in sorted(self._days)[: -DAYS_KEPT + 1]:
                del self._days[old]
        spent = costs.plus(self._seen, -1)
        self._seen = costs
        today = Costs(**self._days.get(self._day, {}))
        self._days[self._day] = asdict(today.plus(spent))
        if at.hour != self._hour:
            self._last_hour, self._hour_bytes, self._hour = self._hour_bytes, 0, at.hour
        self._hour_bytes += spent.total
        self._left = 86400.0 - (at.hour * 3600 + at.minute * 60 + at.second)
        if wall - self._written >= WRITE_EVERY or wall < self._written:
            self.write(wall)

    @property
    def today(self) -> Costs:
        return Costs(**self._days.get(self._day, {}))

    @property
    def this_hour(self) -> int:
        """Bytes since the hour began (or we did)."""
        return self._hour_bytes

    @property
    def mode(self) -> str:
        """FULL, STILLS or CLOSED."""
        if not self.cap:
            return FULL
        used = self.today.total
        if used >= self.cap - min(CLOSE_EARLY, self.cap // 20):
            return CLOSED
        return STILLS if used >= STILLS_AT * self.cap else FULL

    @property
    def still_interval(self) -> float:
        """Seconds between two stills, so that they last until midnight."""
        rest = max(1, self.cap - self.today.total - min(CLOSE_EARLY, self.cap // 20))
        return min(MOST_STILL, max(LEAST_STILL, self._left * self._still_bytes / rest))

    def write(self, wall: float = 0.0) -> None:
        """Keep the accounts; a disk that does not take them is no error."""
        self._written = wall
        if self._path is None:
            return
        part = self._path.with_suffix(".part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(self._days, indent=1) + "\n", "utf-8")
            part.replace(self._path)
        except OSError:
            return

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            found = json.loads(self._path.read_text("utf-8")) if self._path is not None else {}
            days = {str(day): asdict(Costs(**{k: int(v) for k, v in costs.items()})) for day, costs in found.items()}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return {}
        return {day: costs for day, costs in days.items() if len(day) == 10 and day[:2] == "20"}
