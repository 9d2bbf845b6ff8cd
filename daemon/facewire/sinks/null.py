"""The sink that shows nothing: for measuring everything before it."""

from __future__ import annotations

from facewire.errors import SinkError
from facewire.sinks.base import SinkStats
from facewire.types import Picture


class NullSink:
    """Counts what it is given."""

    name = "null:"

    def __init__(self) -> None:
        self._shown = 0
        self._closed = False

    @property
    def stats(self) -> SinkStats:
        """Counters at this moment."""
        return SinkStats(shown=self._shown)

    def show(self, picture: Picture) -> None:  # noqa: ARG002
        """Count one picture. Raises SinkError after `close`."""
        if self._closed:
            raise SinkError("null: is closed; open it again")
        self._shown += 1

    def close(self) -> None:
        """Stop counting."""
        self._closed = True
