"""Which H.264 encoder the RTSP server uses: hardware when it is there and works, else x264."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from facewire.errors import MissingDependency, SinkError
from facewire.sinks import gst

log = logging.getLogger("facewire.sinks")

BITS_PER_PIXEL = 0.2
"""About 1.3 Mbit/s for 512x512 at 25 fps: a talking head looks untouched (PSNR of x264 superfast over 40 dB)."""
TRIAL_SECONDS = 8.0


@dataclass(frozen=True)
class H264Encoder:
    """A GStreamer element and the words around it. `{kbps}`, `{bps}` and `{gop}` (frames) are filled in."""

    element: str
    needs: tuple[str, ...]
    words: str
    hardware: bool

    def description(self, kbps: int, gop: int) -> str:
        """The part of a pipeline that takes raw I420 video and gives H.264."""
        return self.words.format(kbps=kbps, bps=kbps * 1000, gop=gop)


ENCODERS: tuple[H264Encoder, ...] = (
    H264Encoder(
        "nvv4l2h264enc",
        ("nvvidconv",),
        "nvvidconv ! video/x-raw(memory:NVMM),format=NV12 ! nvv4l2h264enc name=encoder bitrate={bps} "
        "iframeinterval={gop} idrinterval={gop} insert-sps-pps=true maxperf-enable=true preset-level=1",
        True,
    ),
    H264Encoder(
        "v4l2h264enc",
        (),
        'v4l2h264enc name=encoder extra-controls="controls,video_bitrate={bps},h264_i_frame_period={gop},'
        'repeat_sequence_header=1" ! video/x-h264,level=(string)4,profile=main',
        True,
    ),
    H264Encoder(
        "vah264enc",
        (),
        "videoconvert ! video/x-raw,format=NV12 ! "
        "vah264enc name=encoder bitrate={kbps} key-int-max={gop} b-frames=0 ref-frames=1 target-usage=6",
        True,
    ),
    H264Encoder(
        "x264enc",
        (),
        # One thread: at this size slices cost more than they bring, and the decoder needs the other cores.
        "x264enc name=encoder tune=zerolatency speed-preset=superfast threads=1 bitrate={kbps} "
        "key-int-max={gop} vbv-buf-capacity=400 ! video/x-h264,profile=main",
        False,
    ),
    H264Encoder(
        "openh264enc",
        (),
        "openh264enc name=encoder bitrate={bps} gop-size={gop} complexity=low rate-control=bitrate",
        False,
    ),
)
"""In order of preference. x264 stands before openh264, which needs twice the time."""


def bitrate(size: int, fps: float) -> int:
    """kbit/s that suit a talking head of this size."""
    return max(300, min(12_000, round(BITS_PER_PIXEL * size * size * fps / 1000)))


def trial(encoder: H264Encoder, size: int, fps: float) -> str:
    """Encode five pictures. Returns "" when that works, else why not."""
    caps = f"video/x-raw,format=I420,width={size},height={size},framerate={round(fps * 1000)}/1000"
    return gst.try_out(
        f"videotestsrc num-buffers=5 ! {caps} ! {encoder.description(bitrate(size, fps), round(fps))} "
        "! h264parse ! fakesink",
        TRIAL_SECONDS,
    )


def choose(
    wanted: str,
    exists: Callable[[str], bool],
    works: Callable[[H264Encoder], str],
    encoders: Sequence[H264Encoder] = ENCODERS,
) -> tuple[H264Encoder, tuple[str, ...]]:
    """The first encoder that exists and works, and why the ones before it were passed over.

    Raises SinkError when the wanted one, or all of them, cannot be used; MissingDependency when none is installed.
    """
    names = [encoder.element for encoder in encoders]
    if wanted and wanted not in names:
        raise SinkError(f"rtsp: encoder={wanted} is not known; choose one of {', '.join(names)}, or leave it out")
    passed_over: list[str] = []
    for encoder in encoders:
        if wanted and encoder.element != wanted:
            continue
        if not all(exists(element) for element in (encoder.element, *encoder.needs)):
            continue
        trouble = works(encoder)
        if not trouble:
            return encoder, tuple(passed_over)
        passed_over.append(f"{encoder.element} does not work: {trouble}")
    if passed_over:
        raise SinkError(f"rtsp: no H.264 encoder works here: {'; '.join(passed_over)}")
    raise MissingDependency(f"rtsp: GStreamer has no H.264 encoder ({wanted or ', '.join(names)}); {gst.APT}")


@functools.lru_cache(maxsize=8)
def best_encoder(wanted: str, size: int, fps: float) -> H264Encoder:
    """`choose` on this machine; the choice is logged, and remembered, because trying drivers takes time."""
    encoder, passed_over = choose(wanted, gst.element_exists, lambda candidate: trial(candidate, size, fps))
    for line in passed_over:
        log.warning("rtsp: %s", line)
    log.info("rtsp: H.264 by %s (%s)", encoder.element, "hardware" if encoder.hardware else "software")
    return encoder
