"""For the demo and for debugging: both daemons save the same frame numbers as pictures, to be looked at side by side.

$FACEWIRE_RECORD=DIR[:EVERY] makes the encoder write DIR/STREAM-NUMBER-real.png (what the crop showed) and the decoder
DIR/STREAM-NUMBER-shown.png (what went to the sinks), for each frame whose number divides by EVERY (50). At most 200.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from facewire.types import Picture

EVERY = 50
MOST = 200


class Recorder:
    """Writes thumbnails of numbered frames to `directory`; never raises, a full disk must not stop a stream."""

    def __init__(self, directory: Path, kind: str, every: int = EVERY) -> None:
        self._directory, self._kind, self._every = directory, kind, max(1, every)
        self._written = 0

    def wants(self, number: int) -> bool:
        """Whether frame `number` is one to save."""
        return number % self._every == 0 and self._written < MOST

    def save(self, stream: int, number: int, picture: Picture) -> None:
        """Write one picture, whole or not at all."""
        import cv2

        self._written += 1
        path = self._directory / f"{stream:08x}-{number:08d}-{self._kind}.png"
        part = path.with_suffix(".part.png")
        try:
            if cv2.imwrite(str(part), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1]):
                part.replace(path)
        except (OSError, cv2.error):
            return


def recorder(kind: str, environ: Mapping[str, str] | None = None) -> Recorder | None:
    """What $FACEWIRE_RECORD asks for; None if it is not set."""
    directory, _, every = (os.environ if environ is None else environ).get("FACEWIRE_RECORD", "").partition(":")
    if not directory or not Path(directory).is_dir():
        return None
    return Recorder(Path(directory), kind, int(every) if every.isdecimal() else EVERY)
