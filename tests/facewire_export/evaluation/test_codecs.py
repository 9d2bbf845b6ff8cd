"""Codecs on a made-up clip, and against the ffmpeg command line."""

from __future__ import annotations

import itertools
import math
import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from facewire.types import Picture
from facewire_export.evaluation import vvc
from facewire_export.evaluation.codecs import ENCODERS, CodecError, Coded, decode, encode, options, units
from facewire_export.evaluation.ffmpeg import candidates
from facewire_export.evaluation.footage import Yuv, planar
from facewire_export.evaluation.points import Codec
from facewire_export.machine import same_priority
from facewire_export.metrics import psnr
from facewire_export.playback import enlarged

SIZE = 128
FRAMES = 25
QUALITIES = {"x264": 45, "x265": 45, "av1": 55, "vp9": 55}
POINTS = [Codec(codec, mode, SIZE, quality) for codec, quality in QUALITIES.items() for mode in ("offline", "live")]
needs_vvc = pytest.mark.skipif(not vvc.encoder(), reason=vvc.HINT)


def scene(number: int) -> Picture:
    """A blurred blob picture that sways."""
    noise = np.random.default_rng(5).integers(30, 226, (16, 16, 3)).astype(np.uint8)
    large = cv2.resize(noise, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    matrix = np.array([[1, 0, 6 * math.sin(number / 6)], [0, 1, 3 * math.cos(number / 9)]], np.float32)
    return np.asarray(cv2.warpAffine(large, matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT), np.uint8)


SCENES = [scene(number) for number in range(FRAMES)]


def frames() -> list[Yuv]:
    return [planar(picture) for picture in SCENES]


def quality(coded: Coded) -> float:
    """Mean PSNR at the shown size."""
    shown = [show() for show in decode(coded)]
    assert len(shown) == FRAMES
    return float(np.mean([psnr(enlarged(real, 512), picture) for real, picture in zip(SCENES, shown, strict=True)]))


@pytest.mark.parametrize("point", POINTS, ids=lambda p: p.family)
def test_as_many_pictures_come_out_as_went_in_and_they_look_alike(point: Codec) -> None:
    coded = encode(point, frames(), 25.0)
    assert len(coded.frames) == FRAMES
    assert quality(coded) > 24
    assert encode(point, frames(), 25.0) == coded


@pytest.mark.parametrize("codec", sorted(ENCODERS))
def test_a_worse_quality_costs_less(codec: str) -> None:
    good, bad = (encode(Codec(codec, "live", SIZE, q), frames(), 25.0) for q in (30, 50))
    assert bad.bytes < good.bytes
    assert quality(bad) < quality(good)


def test_live_streams_do_not_reorder() -> None:
    """Each picture can be shown as soon as it is there."""
    for codec in ENCODERS:
        with same_priority():  # SVT-AV1 asks for more
            order = stamps(Codec(codec, "live", SIZE, 50))
        assert order == sorted(order), codec


def stamps(point: Codec) -> list[int]:
    """Presentation times of the packets in coding order."""
    context = av.CodecContext.create(ENCODERS[point.codec], "w")
    context.width = context.height = SIZE
    context.pix_fmt = "yuv420p"
    context.framerate, context.time_base = Fraction(25), Fraction(1, 25)
    context.options = options(point)
    found = []
    for number, planes in enumerate(frames()):
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        found += [packet.pts for packet in context.encode(frame)]
    found += [packet.pts for packet in context.encode(None)]
    return [int(pts) for pts in found if pts is not None]


def test_signatures_are_taken_out_and_start_codes_are_not_sent() -> None:
    coded = encode(Codec("x264", "live", SIZE, 40), frames(), 25.0)
    assert b"x264" not in b"".join(coded.frames)
    kinds = [unit[0] & 0x1F for unit in units(coded.frames[0])]
    assert kinds == [7, 8, 5]
    # Three units go in one packet with 2 B of length each and a header; a lone one goes as it is.
    assert coded.payloads[0] == len(coded.frames[0]) - 3 * 4 + 3 * 2 + 1
    assert coded.payloads[1] == len(coded.frames[1]) - 4
    assert not encode(Codec("av1", "live", SIZE, 50), frames(), 25.0).frames[0].startswith(b"\x12\x00")


def test_an_unknown_codec_is_one_line() -> None:
    with pytest.raises(CodecError, match="no such codec"):
        encode(Codec("mpeg1", "live", SIZE, 3), frames(), 25.0)


@needs_vvc
@pytest.mark.parametrize("mode", ["offline", "live"])
def test_vvc(mode: str) -> None:
    coded = encode(Codec("vvc", mode, SIZE, 45), frames(), 25.0)
    assert quality(coded) > 24
    assert coded.bytes < encode(Codec("vvc", mode, SIZE, 30), frames(), 25.0).bytes


def test_without_a_vvc_encoder_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vvc, "encoder", lambda: "")
    with pytest.raises(CodecError, match="imageio-ffmpeg"):
        encode(Codec("vvc", "live", SIZE, 63), frames(), 25.0)


def x264_core(data: bytes) -> str:
    found = re.search(rb"x264 - core (\d+)", data)
    return found.group(1).decode() if found else ""


def through_command_line(program: str, point: Codec, folder: Path) -> Coded | None:
    """The same pictures through an ffmpeg program with the same options; None where it lacks the encoder."""
    raw, out = folder / "in.yuv", folder / f"out.{point.codec}"
    raw.write_bytes(b"".join(planes.tobytes() for planes in frames()))
    form = {"x264": "h264", "x265": "hevc", "av1": "obu", "vp9": "ivf"}[point.codec]
    words = list(itertools.chain.from_iterable((f"-{k}", v) for k, v in options(point).items()))
    command = [program, "-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p"]
    command += ["-s", f"{SIZE}x{SIZE}", "-r", "25", "-i", str(raw), "-c:v", ENCODERS[point.codec], *words]
    done = subprocess.run([*command, "-f", form, str(out)], capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    with av.open(str(out), format=form) as container:
        packets = [bytes(packet) for packet in container.demux(video=0)]
    return Coded(point.codec, tuple(packet for packet in packets if packet), ())


@pytest.mark.parametrize("point", [p for p in POINTS if p.codec == "x264"], ids=lambda p: p.family)
def test_x264_agrees_with_the_ffmpeg_command_line(point: Codec, tmp_path: Path) -> None:
    """The same library gives the same stream: 1 % in bytes, 0.05 dB. Needs an ffmpeg with the x264 that PyAV has;
    results/codec_check.json has all codecs on real clips."""
    context = av.CodecContext.create("libx264", "w")
    context.width = context.height = SIZE
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, 25), Fraction(25)
    packets = [*context.encode(av.VideoFrame(SIZE, SIZE, "yuv420p")), *context.encode(None)]
    mine = x264_core(b"".join(map(bytes, packets)))
    tried = []
    for program in dict.fromkeys(candidates()):
        theirs = through_command_line(program, point, tmp_path)
        if theirs is None or (core := x264_core(b"".join(theirs.frames))) != mine:
            tried.append(f"{Path(program).name}: {'no x264' if theirs is None else 'core ' + core}")
            continue
        signature = next(u for u in units(theirs.frames[0]) if u[0] & 0x1F == 6)
        ours = encode(point, frames(), 25.0)
        assert ours.bytes == pytest.approx(theirs.bytes - len(signature) - 4, rel=0.01)
        assert quality(ours) == pytest.approx(quality(theirs), abs=0.05)
        return
    pytest.skip(f"no ffmpeg with x264 core {mine} ({'; '.join(tried) or shutil.which('ffmpeg') or 'none found'})")
