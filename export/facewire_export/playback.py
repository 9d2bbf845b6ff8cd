"""Plays a .fw file beside its source: for every frame the real picture, what is shown, and what it was made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from facewire.decoding import Decoding, Rebuilt
from facewire.errors import PacketError
from facewire.networks import Networks
from facewire.planes import to_picture
from facewire.types import Epoch, Message, Picture, PivotSlice
from facewire.wire.pivot import PivotAssembler, decode_pivot
from facewire_export.dataset import DatasetError


@dataclass(frozen=True)
class Played:
    """One frame. `shown` is [size, size, 3]; `reconstructed` and `pivot` have the coded size."""

    number: int
    shown: Picture
    reconstructed: Picture
    pivot: Picture
    interpolated: bool
    held: bool
    """Nothing came for this number: the last picture again."""


def enlarged(picture: Picture, size: int) -> Picture:
    """The picture at size x size: bicubic when it grows, by area when it shrinks."""
    if picture.shape[:2] == (size, size):
        return picture
    way = cv2.INTER_CUBIC if size > picture.shape[0] else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, (size, size), interpolation=way), np.uint8)


def source_pictures(path: Path, size: int) -> Iterator[Picture]:
    """Frames of a video at size x size; sources that are smaller are enlarged bicubically. Raises DatasetError."""
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield enlarged(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), size)
    except (av.error.FFmpegError, IndexError) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error


def shorten(path: Path, frames: int, out: Path) -> None:
    """Write the first `frames` frames of a video losslessly (H.264 at QP 0 in the source's own pixel format)."""
    with av.open(str(path)) as source, av.open(str(out), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream("libx264", rate=stream.average_rate or 25, options={"qp": "0", "preset": "ultrafast"})
        copy.width, copy.height, copy.pix_fmt = stream.width, stream.height, stream.pix_fmt or "yuv420p"
        for count, frame in enumerate(source.decode(stream)):
            if count == frames:
                break
            frame.pict_type = av.video.frame.PictureType.NONE
            target.mux(copy.encode(frame))
        target.mux(copy.encode(None))


class _Pivots:
    """Follows which pivot belongs to which frame."""

    def __init__(self) -> None:
        self._assembler = PivotAssembler()
        self._pictures: dict[bytes, Picture] = {}
        self._epochs: list[Epoch] = []

    def push(self, message: Message) -> None:
        if isinstance(message, Epoch):
            self._epochs.append(message)
        elif isinstance(message, PivotSlice):
            data = self._assembler.add(message)
            if data is not None:
                try:
                    self._pictures[message.pivot_id] = decode_pivot(data)
                except PacketError:
                    return

    def at(self, number: int) -> Picture | None:
        """The pivot that frame `number` is animated from."""
        for epoch in reversed(self._epochs):
            if epoch.first_frame <= number and epoch.pivot_id in self._pictures:
                return self._pictures[epoch.pivot_id]
        return next(iter(self._pictures.values()), None)


def play(messages: Iterable[Message], networks: Networks, size: int, frames: int | None = None) -> Iterator[Played]:
    """Every frame from 0 on, without gaps; lost ones are held, as a screen would. Raises ModelError.

    frames: how many there must be (held at the end, too); None: as many as the stream gives.
    """
    decoding = Decoding(networks, size)
    pivots = _Pivots()
    last: Played | None = None
    due = 0
    for message in messages:
        pivots.push(message)
        for rebuilt in decoding.animator.push(message):
            shown = decoding.show(rebuilt).picture
            new = _played(rebuilt, shown, pivots.at(rebuilt.number))
            while due < rebuilt.number:
                yield _held(last or new, due)
                due += 1
            yield new
            last, due = new, rebuilt.number + 1
    while last is not None and frames is not None and due < frames:
        yield _held(last, due)
        due += 1


def _played(rebuilt: Rebuilt, shown: Picture, pivot: Picture | None) -> Played:
    picture = to_picture(rebuilt.planes)
    return Played(rebuilt.number, shown, picture, picture if pivot is None else pivot, rebuilt.interpolated, False)


def _held(frame: Played, number: int) -> Played:
    return Played(number, frame.shown, frame.reconstructed, frame.pivot, frame.interpolated, True)
