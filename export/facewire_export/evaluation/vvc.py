"""VVC (H.266) by an ffmpeg that was built with vvenc (ffmpeg.py). PyAV decodes VVC but brings no encoder of it."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np

from facewire_export.evaluation.ffmpeg import program_with
from facewire_export.evaluation.footage import Yuv
from facewire_export.evaluation.points import Codec

HINT = "no ffmpeg with libvvenc was found; pip install imageio-ffmpeg, or name one by FACEWIRE_FFMPEG"


class VvcError(Exception):
    """No encoder, or it failed; the message says how to mend it."""


def encoder() -> str:
    """An ffmpeg that has vvenc, or ""."""
    return program_with("encoders", "libvvenc")


@functools.cache
def version() -> str:
    """That ffmpeg's first line, or why there is none."""
    program = encoder()
    if not program:
        return HINT
    said = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=False).stdout
    return " ".join(said.split()[:3])


def options(point: Codec) -> list[str]:
    """ffmpeg's arguments for a point. Offline by preset fast: medium takes 2.3 times as long for 1 to 3 % of bytes."""
    common = ["-c:v", "libvvenc", "-qp", str(point.quality), "-threads", "1"]
    if point.mode == "live":
        low_delay = "picreordering=0:decodingrefreshtype=none:gopsize=8:intraperiod=9984"
        return [*common, "-preset", "faster", "-vvenc-params", low_delay]
    return [*common, "-preset", "fast", "-period", "10000"]


def encode(point: Codec, frames: Iterable[Yuv], fps: float) -> list[bytes]:
    """Coded pictures in decoding order. Raises VvcError."""
    program = encoder()
    if not program:
        raise VvcError(HINT)
    with tempfile.TemporaryDirectory(prefix="facewire-vvc-") as folder:
        raw, out = Path(folder, "in.yuv"), Path(folder, "out.266")
        with raw.open("wb") as handle:
            for planes in frames:
                handle.write(np.ascontiguousarray(planes).tobytes())
        size = f"{point.size}x{point.size}"
        command = [program, "-hide_banner", "-loglevel", "error", "-nostdin", "-f", "rawvideo", "-pix_fmt", "yuv420p"]
        command += ["-s", size, "-r", f"{fps:g}", "-i", str(raw), *options(point), "-f", "vvc", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not out.is_file() or not out.stat().st_size:
            said = done.stderr.strip().splitlines() or ["it wrote nothing"]
            raise VvcError(f"{point.name}: {Path(program).name} failed: {said[-1]}")
        with av.open(str(out), format="vvc") as container:
            packets = [bytes(packet) for packet in container.demux(video=0)]
    return [packet for packet in packets if packet]
