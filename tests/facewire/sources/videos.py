"""Small video files, made on the spot; each frame's number can be read back from its pixels."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from facewire.types import Picture

STEP = 8


def numbered(number: int, width: int = 64, height: int = 48) -> Picture:
    """A grey picture whose brightness is the number, with a white mark in its upper left corner."""
    picture = np.full((height, width, 3), (number * STEP) % 200 + 16, np.uint8)
    picture[:height // 4, :width // 4] = 255
    return picture


def number_of(picture: Picture) -> int:
    """The number that `numbered` painted."""
    return round((float(np.median(picture)) - 16) / STEP)


def write(path: Path, stamps: Sequence[float], width: int = 64, height: int = 48, fps: int = 25) -> Path:
    """A video with one numbered frame at each of `stamps` (seconds)."""
    import av

    base = Fraction(1, 12800)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "qp": "4", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p" if width % 2 else "yuv420p"
        stream.codec_context.time_base = base
        for number, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(numbered(number, width, height), format="rgb24")
            frame.pts, frame.time_base = round(stamp / base), base
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def steady(path: Path, frames: int, fps: int = 25, width: int = 64, height: int = 48) -> Path:
    """A video of `frames` numbered frames at a constant rate."""
    return write(path, [number / fps for number in range(frames)], width, height, fps)


def turn(path: Path) -> Path:
    """Mark an MP4 as to be shown turned by 90 degrees clockwise, as telephones do (ISO 14496-12, tkhd's matrix)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    matrix = at + (40 if data[at] == 0 else 52)
    struct.pack_into(">9i", data, matrix, 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    path.write_bytes(data)
    return path
