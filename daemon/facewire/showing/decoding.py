"""Decoding: messages in, finished pictures out. No clock, no socket, no thread.

    message -> Animator (reconstruction, interpolation) -> Rebuilt -> Upscaler -> ShownFrame

    decoding = Decoding(open_networks(), size=512)
    for message in messages:
        for frame in decoding.push(message):
            ...

`Decoding` is the two in a row. The daemon runs them on two threads instead; that is all the difference.
"""

from __future__ import annotations

from collections.abc import Iterator

from facewire.networks import Networks
from facewire.showing.animator import Animator, Counters, Rebuilt
from facewire.showing.planes import Planes
from facewire.showing.upscale import Upscaler
from facewire.types import Message, Picture, ShownFrame
from facewire.wire.pivot_store import PivotCache

__all__ = ["Animator", "Counters", "Decoding", "Rebuilt"]


class Decoding:
    """Messages to shown pictures of `size` x `size`, one step after the other. Raises ConfigError, ModelError.

    networks: facewire.networks.open_networks(). cache: where coded pivots are kept (None: in memory).
    """

    def __init__(self, networks: Networks, size: int = 512, cache: PivotCache | None = None) -> None:
        self.animator = Animator(networks, PivotCache(None) if cache is None else cache)
        get = networks.get
        self.upscaler = Upscaler(get("upscaler"), size, get("finisher"), get("composer"))
        self._held: tuple[Planes, Picture] | None = None

    @property
    def counters(self) -> Counters:
        return self.animator.counters

    @property
    def problem(self) -> str | None:
        """Why the stream cannot be shown, or None."""
        return self.animator.problem

    def push(self, message: Message, hurry: bool = False) -> Iterator[ShownFrame]:
        """Yields the frames that the message completes, in order; lazily, so exhaust it."""
        for rebuilt in self.animator.push(message, hurry):
            yield self.show(rebuilt)

    def flush(self) -> Iterator[ShownFrame]:
        """What is still inside at the end of a stream: nothing, since each keypoint frame is shown when it arrives."""
        return iter(())

    def show(self, rebuilt: Rebuilt) -> ShownFrame:
        """The second half alone: upscaling. A held picture is not upscaled twice."""
        if self._held is None or self._held[0] is not rebuilt.planes:
            self._held = (rebuilt.planes, self.upscaler.show(rebuilt.planes, rebuilt.large))
        return ShownFrame(rebuilt.number, rebuilt.time, self._held[1], rebuilt.interpolated)
