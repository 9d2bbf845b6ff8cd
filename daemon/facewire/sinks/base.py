"""What every sink is: something that pictures are shown on, one call for each picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from facewire.types import Picture


@dataclass(frozen=True)
class SinkStats:
    """What became of the pictures that a sink was given, since it was opened."""

    shown: int = 0
    """Pictures handed on to the display, encoder or file."""
    dropped: int = 0
    """Pictures thrown away because the sink did not keep up; the oldest go first."""
    idle: int = 0
    """Pictures that cost nothing because nobody was watching."""
    clients: int = 0
    """Connections to a server at this moment; 0 for sinks that are none."""


class Sink(Protocol):
    """A display, server or file. One thread calls `show`; `stats` may be read from any."""

    name: str
    """What it is, in words for the log and the status line, for example `rtsp://10.0.0.5:8554/live`."""

    @property
    def stats(self) -> SinkStats:
        """Counters at this moment."""

    def show(self, picture: Picture) -> None:
        """Take one picture, uint8 [height, width, 3] RGB. Returns within milliseconds, whatever the sink is doing.

        Raises SinkError when the sink is broken: close it and open it again.
        """

    def close(self) -> None:
        """Finish and free everything; may take seconds. Safe to call twice."""


def even(size: int) -> int:
    """The side that H.264 4:2:0 can carry: chroma is halved, so an odd side loses one pixel."""
    return size - size % 2
