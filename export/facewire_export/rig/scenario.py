"""What happens on the rig, as data: one TOML table for each scenario (scenarios.toml), checked when it is read."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facewire.errors import ConfigError
from facewire.profiles import PROFILES
from facewire_export.rig.shaper import Shape

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).with_name("scenarios.toml")
DEEDS = ("outage", "kill-encoder", "kill-decoder", "readdress", "join", "forget", "strangers", "random")
"""outage (`seconds` long); kill-*: SIGKILL, a new process `seconds` later; readdress: the screen's side gets another
address; join: a decoder more, with an empty cache; forget: as kill-decoder, and its pivots are gone; strangers: 1,000
connections without a key, slow readers, half-open peers; random: outages, kills and new addresses until the end."""


@dataclass(frozen=True)
class Event:
    """`do` at second `at` of the scenario; `seconds` as DEEDS says."""

    at: float
    do: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Scenario:
    """One run. rate: kbit/s of the link, each direction; delay: seconds one way; loss: 0 to 1, each direction."""

    name: str
    profile: str
    seconds: float
    rate: float
    delay: float
    loss: float = 0.0
    ip: int = 4
    curve: bool = True
    networks: str = "light"
    """"real", or "light": the decoder's generator is replaced by one that returns the pivot, for its time is not what
    is measured. All else is the shipped daemon."""
    size: int = 256
    events: tuple[Event, ...] = ()

    @property
    def shape(self) -> Shape:
        """Each direction of the link."""
        return Shape(self.rate, self.delay, self.loss)

    def lasting(self, seconds: float) -> Scenario:
        """The same for another time; events after its end fall away."""
        kept = tuple(event for event in self.events if event.at < seconds)
        return dataclasses.replace(self, seconds=seconds, events=kept)


def load(path: Path = SHIPPED) -> dict[str, Scenario]:
    """All scenarios of a file by name. Raises ConfigError."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    return {name: _scenario(path, name, table) for name, table in tables.items()}


def _scenario(path: Path, name: str, table: dict[str, Any]) -> Scenario:
    try:
        events = tuple(Event(**event) for event in table.pop("events", []))
        scenario = Scenario(name=name, events=events, **table)
    except TypeError as error:
        raise ConfigError(f"{path}: {name}: {error}") from None
    wrong = [event.do for event in events if event.do not in DEEDS]
    if wrong:
        raise ConfigError(f"{path}: {name}: do = {wrong[0]!r}: allowed are {', '.join(DEEDS)}")
    if scenario.profile not in PROFILES or scenario.ip not in (4, 6) or scenario.networks not in ("real", "light"):
        raise ConfigError(f"{path}: {name}: profile, ip or networks is none that exists")
    if not 0 < scenario.seconds <= 86400 or scenario.rate < 0 or scenario.delay < 0 or not 0 <= scenario.loss < 1:
        raise ConfigError(f"{path}: {name}: seconds, rate, delay or loss is out of range")
    return scenario
