"""What the doctor says, and of what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from facewire.config import DecoderConfig, EncoderConfig

OK, NOTE, BAD = "ok", "note", "bad"
_MARKS = {OK: "ok  ", NOTE: "note", BAD: "BAD "}


@dataclass(frozen=True)
class Finding:
    """One line: about what, how it stands (ok; note: works, with less; bad: unusable), and what to do about it."""

    about: str
    state: str
    text: str

    def __str__(self) -> str:
        return f"{_MARKS[self.state]}  {self.about:<10}  {' '.join(self.text.split())}"


@dataclass(frozen=True)
class Machine:
    """What is to be checked, and the places where a test puts a machine of its own."""

    encoder: EncoderConfig | None
    decoder: DecoderConfig | None
    root: Path = Path("/")
