"""Where `decompress` puts its pictures: a video file or a folder of PNGs. Every picture is kept, none is dropped."""

from __future__ import annotations

import importlib
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from facewire.errors import MissingDependency, SinkError
from facewire.types import Picture

CRF = 16
"""x264's quality: the loss is far below what the networks lose."""


class Writer(Protocol):
    """Takes pictures in order."""

    def write(self, picture: Picture) -> None:
        """Append one picture. Raises SinkError when it cannot be written."""

    def close(self) -> None:
        """Finish the file, so that it plays up to here."""


def open_writer(out: Path, fps: float, size: int, lossless: bool) -> Writer:
    """The writer that OUT's name asks for. Raises SinkError, MissingDependency."""
    check_out(out, size, lossless)
    return VideoWriter(out, fps, size, lossless) if out.suffix.lower() in (".mp4", ".mkv") else FolderWriter(out)


def check_out(out: Path, size: int, lossless: bool = False) -> None:
    """Refuse a name that cannot be written to, before any work is done. Raises SinkError."""
    suffix = out.suffix.lower()
    if suffix in (".mp4", ".mkv"):
        if lossless and suffix == ".mp4":
            raise SinkError(f"{out}: --lossless needs a name that ends in .mkv, or a folder for PNGs")
        if size % 2 and not lossless:
            raise SinkError(f"{out}: H.264 needs an even size, {size} is odd; use {size + 1}, --lossless, or a folder")
        if out.is_dir():
            raise SinkError(f"{out} is a folder; choose another name")
        if not out.absolute().parent.is_dir():
            raise SinkError(f"{out}: the folder {out.parent} does not exist")
    elif suffix and not out.is_dir():
        raise SinkError(f"{out}: the name must end in .mp4 or .mkv, or be a folder for PNGs")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SinkError(f"{out} is not an empty folder; choose another one")


class VideoWriter:
    """H.264 in .mp4 or .mkv; lossless: FFV1 (RFC 9043) in .mkv, RGB, bit for bit."""

    def __init__(self, path: Path, fps: float, size: int, lossless: bool) -> None:
        try:
            av: Any = importlib.import_module("av")
        except ImportError:
            raise MissingDependency("writing video needs PyAV; pip install av") from None
        self._av = av
        self._errors = (av.error.FFmpegError, OSError, ValueError)
        self._path = path
        self._rate = Fraction(round(fps * 1000), 1000)
        self._count = 0
        try:
            self._container = av.open(str(path), "w")
            self._stream = self._container.add_stream("ffv1" if lossless else "libx264", rate=self._rate)
        except self._errors as error:
            raise SinkError(f"cannot write {path}: {_reason(error)}") from None
        self._stream.width = self._stream.height = size
        self._stream.pix_fmt = "bgr0" if lossless else "yuv420p"
        self._stream.options = {"level": "3"} if lossless else {"preset": "veryfast", "crf": str(CRF)}

    def write(self, picture: Picture) -> None:
        """Append one picture of the size that was announced."""
        frame = self._av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = self._count, 1 / self._rate
        self._count += 1
        self._mux(frame)

    def close(self) -> None:
        """Write what the encoder still holds, and the end of the file."""
        if self._count:
            self._mux(None)
        try:
            self._container.close()
        except self._errors as error:
            raise SinkError(f"cannot write {self._path}: {_reason(error)}") from None

    def _mux(self, frame: Any) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except self._errors as error:
            raise SinkError(f"cannot write {self._path}: {_reason(error)}") from None


class FolderWriter:
    """frame_000000.png, frame_000001.png, ...: the number is the frame's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"cannot make {folder}: {error.strerror}") from None

    def write(self, picture: Picture) -> None:
        """Write one PNG."""
        from PIL import Image

        path = self._folder / f"frame_{self._count:06d}.png"
        try:
            Image.fromarray(picture).save(path, compress_level=1)
        except OSError as error:
            raise SinkError(f"cannot write {path}: {error.strerror}") from None
        self._count += 1

    def close(self) -> None:
        """Nothing is left to do: each picture is a file of its own."""


def _reason(error: Exception) -> str:
    """PyAV's errors carry number, text and file name; the text is enough in a line that names the file."""
    return " ".join((getattr(error, "strerror", None) or str(error)).split())
