"""A clip's frames as they are coded and compared: at SHOWN x SHOWN, kept on disk and memory-mapped, so that a long clip
needs no memory."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.types import Picture
from facewire_export.dataset import ClipEntry, DatasetError
from facewire_export.evaluation.points import SHOWN
from facewire_export.playback import enlarged

Yuv = NDArray[np.uint8]
"""YUV 4:2:0 planes below each other: uint8 [size * 3 / 2, size]."""


def content(path: Path) -> str:
    """Start of the SHA-256 over a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def planar(picture: Picture) -> Yuv:
    """An RGB picture as YUV 4:2:0."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return np.asarray(frame.reformat(format="yuv420p").to_ndarray(), np.uint8)


@dataclass
class Footage:
    """Frames uint8 [n, SHOWN, SHOWN, 3] RGB (`real`) and the same as YUV (`yuv`), `fps`, and the `source` to compress:
    the clip itself, or its beginning. A context manager: the files go when it ends."""

    entry: ClipEntry
    source: Path
    fps: float
    real: NDArray[np.uint8]
    yuv: NDArray[np.uint8]
    folder: tempfile.TemporaryDirectory[str]

    @property
    def seconds(self) -> float:
        return len(self.real) / self.fps

    def coded(self, size: int, step: int = 1) -> Iterator[Yuv]:
        """Every `step`-th frame as YUV 4:2:0 at size x size, made smaller by area."""
        for index in range(0, len(self.real), step):
            if size == SHOWN:
                yield np.asarray(self.yuv[index])
            else:
                yield planar(enlarged(self.real[index], size))

    def __enter__(self) -> Footage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Delete the files."""
        del self.real, self.yuv
        self.folder.cleanup()


def open_footage(entry: ClipEntry, seconds: float = 0.0) -> Footage:
    """Decode a clip, or (seconds > 0) its beginning. Raises DatasetError where there is no square video."""
    folder = tempfile.TemporaryDirectory(prefix="facewire-evaluate-")
    try:
        return _open(entry, seconds, folder)
    except BaseException:
        folder.cleanup()
        raise


def _open(entry: ClipEntry, seconds: float, folder: tempfile.TemporaryDirectory[str]) -> Footage:
    try:
        with av.open(str(entry.path)) as container:
            stream = container.streams.video[0]
            fps = float(stream.average_rate or 25)
            limit = round(seconds * fps) if seconds > 0 else 0
            count, whole = _spill(container, stream, limit, Path(folder.name))
    except (av.error.FFmpegError, IndexError) as error:
        raise DatasetError(f"{entry.path}: cannot be read ({error})") from error
    if not count:
        raise DatasetError(f"{entry.path}: holds no picture; take it out of the folder")
    source = entry.path
    if not whole:
        source = Path(folder.name, "short.mkv")
        shorten(entry.path, count, source)
    real = np.memmap(Path(folder.name, "real"), np.uint8, "r", shape=(count, SHOWN, SHOWN, 3))
    yuv = np.memmap(Path(folder.name, "yuv"), np.uint8, "r", shape=(count, SHOWN * 3 // 2, SHOWN))
    return Footage(entry, source, fps, real, yuv, folder)


def _spill(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, limit: int, folder: Path
) -> tuple[int, bool]:
    """Write frames to disk; how many, and whether these are all."""
    count = 0
    with (folder / "real").open("wb") as real, (folder / "yuv").open("wb") as yuv:
        for frame in container.decode(stream):
            if limit and count == limit:
                return count, False
            if frame.width != frame.height:
                size = f"{frame.width}x{frame.height}"
                raise DatasetError(f"{container.name}: {size}, not square; facewire-export crop makes such clips")
            picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            native = frame.width == SHOWN and frame.format.name == "yuv420p"
            shown = enlarged(picture, SHOWN)
            real.write(shown.tobytes())
            yuv.write((frame.to_ndarray() if native else planar(shown)).tobytes())
            count += 1
    return count, True


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


class Player:
    """Writes pictures uint8 [SHOWN, SHOWN, 3] as a video that browsers play: H.264 at a quality above what is judged.
    A context manager; the file is there when it ends without an error."""

    def __init__(self, path: Path, fps: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._unfinished = path, path.with_name(f"{path.stem}.partial.mp4")
        self._container = av.open(str(self._unfinished), "w")
        rate = Fraction(fps).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "ultrafast"})
        self._stream.width = self._stream.height = SHOWN
        self._stream.pix_fmt = "yuv420p"
        self._stream.thread_count = 1

    def add(self, picture: Picture) -> None:
        """The next picture."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> Player:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        if error is None:
            self._unfinished.replace(self._path)
        else:
            self._unfinished.unlink(missing_ok=True)


def small(picture: Picture, side: int) -> Picture:
    """A thumbnail."""
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
