"""`sample:` a public-domain portrait that talks, for trying and testing without a camera."""

from __future__ import annotations

from facewire.errors import SourceError
from facewire.sources import Spec
from facewire.sources.clock import Pacer
from facewire.sources.sample_motion import expression
from facewire.sources.sample_portrait import Portrait
from facewire.types import Frame


class SampleSource:
    """`sample:[?size=512&seconds=20]`; without `seconds` it never ends. Frame n is always the same picture."""

    def __init__(self, spec: Spec, fps: float, pace: bool = True) -> None:
        """Load the portrait. Raises MissingDependency when scikit-image's wheel is not installed."""
        size = round(spec.number("size", 512))
        if not 128 <= size <= 2048 or spec.rest:
            raise SourceError("sample: takes ?size=128 to 2048 and seconds=N, nothing else")
        self.name = "sample:"
        self.live = pace
        self.ended = False
        self._fps = fps
        self._pacer = Pacer(fps) if pace else None
        self._frames = round(spec.number("seconds", 0.0) * fps) if "seconds" in spec.options else None
        self._portrait = Portrait(size)
        self._number = 0

    def read(self, timeout: float) -> Frame | None:
        """See Source.read."""
        time = self._number / self._fps
        if self._pacer is not None:
            while self._pacer.late(self._number):
                self._number += 1
            if not self._pacer.wait(self._number, timeout):
                return None
            time = self._pacer.due(self._number)
        if self._frames is not None and self._number >= self._frames:
            self.ended = True
            return None
        picture = self._portrait.render(expression(self._number / self._fps))
        self._number += 1
        return Frame(picture, time)

    def close(self) -> None:
        """Nothing to give back."""
        self.ended = True
