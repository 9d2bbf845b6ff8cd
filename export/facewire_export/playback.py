"""Plays a .fw stream: for every frame the reconstruction, and the pivot that it was made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from facewire.errors import PacketError
from facewire.networks import Networks
from facewire.showing.animator import Animator, Feeds
from facewire.showing.planes import Planes
from facewire.types import Epoch, Message, Picture, PivotSlice
from facewire.wire.assembler import PivotAssembler
from facewire.wire.pivot import PivotCache, decode_pivot


@dataclass(frozen=True)
class Played:
    """One frame at the coded size: `planes` float32 [1, 3, coded, coded] in 0..1, `pivot` uint8 [coded, coded, 3], None
    until one is there, large: see animator.Rebuilt. A held frame shares its planes with the one before."""

    number: int
    planes: Planes
    pivot: Picture | None
    interpolated: bool
    held: bool
    """Nothing came for this number: the last picture again."""
    large: Feeds | None = None


def enlarged(picture: Picture, size: int) -> Picture:
    """The picture at size x size: bicubic when it grows, by area when it shrinks."""
    if picture.shape[:2] == (size, size):
        return picture
    way = cv2.INTER_CUBIC if size > picture.shape[0] else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, (size, size), interpolation=way), np.uint8)


class Pivots:
    """Follows which pivot belongs to which frame."""

    def __init__(self) -> None:
        self._kept = PivotCache(None)
        self._assembler = PivotAssembler(kept=self._kept)
        self.pictures: dict[bytes, Picture] = {}
        """By content id, in the order in which they came."""
        self._epochs: list[Epoch] = []

    def push(self, message: Message) -> None:
        """Take the next message."""
        if isinstance(message, Epoch):
            self._epochs.append(message)
        elif isinstance(message, PivotSlice):
            data = self._assembler.add(message)
            if data is not None:
                self._kept.put(data)
                try:
                    self.pictures[message.pivot_id] = decode_pivot(data)
                except PacketError:
                    return

    def at(self, number: int) -> Picture | None:
        """The pivot that frame `number` is animated from."""
        for epoch in reversed(self._epochs):
            if epoch.first_frame <= number and epoch.pivot_id in self.pictures:
                return self.pictures[epoch.pivot_id]
        return next(iter(self.pictures.values()), None)


def play(messages: Iterable[Message], networks: Networks, frames: int | None = None) -> Iterator[Played]:
    """Every frame from 0 on, without gaps; lost ones are held, as a screen would. Raises ModelError.

    frames: how many there must be (held at the end, too); None: as many as the stream gives.
    """
    animator = Animator(networks)
    pivots = Pivots()
    last: Played | None = None
    due = 0
    for message in messages:
        pivots.push(message)
        for rebuilt in animator.push(message):
            pivot = pivots.at(rebuilt.number)
            new = Played(rebuilt.number, rebuilt.planes, pivot, rebuilt.interpolated, False, rebuilt.large)
            while due < rebuilt.number:
                yield replace(last or new, number=due, held=True)
                due += 1
            yield new
            last, due = new, rebuilt.number + 1
    while last is not None and frames is not None and due < frames:
        yield replace(last, number=due, held=True)
        due += 1
