"""Conventional codecs, at the settings that favour them: pictures -> coded frames -> pictures.

x264, x265, SVT-AV1 and VP9 come with PyAV, VVC (see vvc.py) with an ffmpeg that has vvenc. Every stream begins with its
only intra picture; whoever needs more of them, to recover from loss, pays more than is counted here. The encoders'
signature (SEI user data) and AV1's temporal delimiters are taken out, since no link needs to carry them. All run on
one thread, so that a stream is the same on every machine.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

from facewire.errors import FacewireError
from facewire.types import Picture
from facewire_export.evaluation import vvc
from facewire_export.evaluation.footage import Yuv
from facewire_export.evaluation.points import SHOWN, Codec
from facewire_export.machine import same_priority
from facewire_export.playback import enlarged

# SVT-AV1 describes itself at length on stderr otherwise.
os.environ.setdefault("SVT_LOG", "1")

ENCODERS = {"x264": "libx264", "x265": "libx265", "av1": "libsvtav1", "vp9": "libvpx-vp9"}
DECODERS = {"x264": "h264", "x265": "hevc", "av1": "libdav1d", "vp9": "vp9", "vvc": "vvc"}
FOREVER = "100000"
"""Frames between two intra pictures: more than any clip has."""


class CodecError(FacewireError):
    """A codec that is not here, or that failed; the message says how to mend it."""


@dataclass(frozen=True)
class Coded:
    """`frames`: each coded picture's bytes in decoding order, as a file has them; `payloads`: what RTP carries of each
    (start codes replaced)."""

    codec: str
    frames: tuple[bytes, ...]
    payloads: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """The elementary stream."""
        return sum(map(len, self.frames))


def options(point: Codec) -> dict[str, str]:
    """The encoder's options, as ffmpeg names them. Look-ahead and reordering only where nobody waits for a picture."""
    live, quality = point.mode == "live", str(point.quality)
    if point.codec == "x264":
        preset = {"preset": "medium", "tune": "zerolatency"} if live else {"preset": "slow"}
        return {"crf": quality, "g": FOREVER, **preset, "x264-params": "scenecut=0:threads=1"}
    if point.codec == "x265":
        preset = {"preset": "medium", "tune": "zerolatency"} if live else {"preset": "slow"}
        parameters = "log-level=error:info=0:keyint=-1:scenecut=0:pools=none:frame-threads=1"
        return {"crf": quality, **preset, "x265-params": parameters}
    if point.codec == "av1":
        # pred-struct 1 is low delay. CRF above 63 is known to the encoder alone, not to ffmpeg's own option.
        live_parameters = ":pred-struct=1" if live else ""
        parameters = f"crf={quality}:lp=1:scd=0{live_parameters}"
        return {"preset": "9" if live else "5", "g": FOREVER, "svtav1-params": parameters}
    speed = {"deadline": "realtime", "cpu-used": "5", "lag-in-frames": "0"}
    if not live:
        speed = {"deadline": "good", "cpu-used": "2", "lag-in-frames": "25", "auto-alt-ref": "1"}
    return {"crf": quality, "b": "0", "g": FOREVER, "threads": "1", **speed}


def encode(point: Codec, frames: Iterable[Yuv], fps: float) -> Coded:
    """Code pictures of point.size, YUV 4:2:0, at `fps`. Raises CodecError."""
    if point.codec == "vvc":
        try:
            packets = vvc.encode(point, frames, fps)
        except vvc.VvcError as error:
            raise CodecError(str(error)) from error
    else:
        with same_priority():
            packets = _encode(point, frames, fps)
    packets = [bare(point.codec, packet) for packet in packets]
    return Coded(point.codec, tuple(packets), tuple(_payload(point.codec, packet) for packet in packets))


def _encode(point: Codec, frames: Iterable[Yuv], fps: float) -> list[bytes]:
    if point.codec not in ENCODERS:
        raise CodecError(f"{point.codec}: no such codec; there are {', '.join((*ENCODERS, 'vvc'))}")
    rate = Fraction(fps).limit_denominator(1001)
    packets: list[bytes] = []
    try:
        context = av.CodecContext.create(ENCODERS[point.codec], "w")
        context.width = context.height = point.size
        context.pix_fmt = "yuv420p"
        context.framerate, context.time_base = rate, 1 / rate
        context.thread_count = 1
        context.options = options(point)
        for number, planes in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv420p")
            frame.pts, frame.time_base = number, 1 / rate
            packets += [bytes(packet) for packet in context.encode(frame)]
        packets += [bytes(packet) for packet in context.encode(None)]
    except (av.error.FFmpegError, ValueError) as error:
        raise CodecError(f"{point.name}: {error}; is {ENCODERS[point.codec]} in this build of PyAV?") from error
    return packets


def decode(coded: Coded) -> Iterator[Callable[[], Picture]]:
    """In the order of showing, what makes each picture uint8 [SHOWN, SHOWN, 3] RGB. Raises CodecError."""
    try:
        context = av.CodecContext.create(DECODERS[coded.codec], "r")
        context.thread_count = 1
        for data in (*coded.frames, None):
            for frame in context.decode(None if data is None else av.Packet(data)):
                yield functools.partial(_shown, frame)
    except (av.error.FFmpegError, ValueError) as error:
        raise CodecError(f"{coded.codec}: its own stream cannot be decoded ({error})") from error


def _shown(frame: Any) -> Picture:
    if frame.format.name == "yuv420p10le":
        frame = frame.reformat(format="yuv420p")
    return enlarged(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), SHOWN)


_START = re.compile(rb"\x00?\x00\x00\x01")


def units(packet: bytes) -> list[bytes]:
    """The NAL units of a packet in Annex B form, without start codes."""
    return [unit for unit in _START.split(packet) if unit]


def bare(codec: str, packet: bytes) -> bytes:
    """The packet without what no link needs to carry."""
    if codec == "av1":
        return packet.removeprefix(b"\x12\x00")
    if codec != "x264":
        return packet
    kept = [unit for unit in units(packet) if unit[0] & 0x1F != 6]
    return b"".join(b"\x00\x00\x00\x01" + unit for unit in kept)


def _payload(codec: str, packet: bytes) -> int:
    """Bytes of a frame that RTP carries: a single NAL unit as it is, several with a length of 2 B each and a header."""
    if codec in ("av1", "vp9"):
        return len(packet)
    parts = units(packet)
    total = sum(map(len, parts))
    return total if len(parts) == 1 else total + 2 * len(parts) + (1 if codec == "x264" else 2)


def encoder_version(codec: str) -> str:
    """What made the streams, for the records."""
    if codec == "vvc":
        return vvc.version()
    return f"PyAV {av.__version__}"
