"""Our codecs (PyAV) beside the ffmpeg command line, with the same options on the same pictures: bytes and PSNR.

    python results/codec_check.py CLIP.mp4... [--seconds 3] [--out results/codec_check.json]

Every ffmpeg that can be found is tried: $FACEWIRE_FFMPEG, the one on the path, and the one that imageio-ffmpeg carries;
each only for the codecs of which it has the very version that PyAV has, since versions of an encoder differ by more
than ways of driving it. SVT-AV1 is the difficult one, with a release every few months: an ffmpeg that is linked to
libSvtAv1Enc.so.4 runs on the library of PyAV's wheel (av.libs/libSvtAv1Enc-*, copied under that name into a folder of
LD_LIBRARY_PATH), whoever built it; name a script that does so by FACEWIRE_FFMPEG.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from facewire_export.dataset import ClipEntry
from facewire_export.evaluation import codecs
from facewire_export.evaluation.ffmpeg import candidates
from facewire_export.evaluation.footage import Footage, open_footage
from facewire_export.evaluation.points import Codec
from facewire_export.metrics import psnr

FORMS = {"x264": "h264", "x265": "hevc", "av1": "obu", "vp9": "ivf"}
POINTS = [
    Codec(codec, mode, 512, quality)
    for codec, quality in {"x264": 51, "x265": 51, "av1": 63, "vp9": 63}.items()
    for mode in ("offline", "live")
]


def command_line(program: str, point: Codec, clip: Footage, folder: Path) -> codecs.Coded | None:
    """The clip through an ffmpeg program; None where it refuses."""
    raw, out = folder / "in.yuv", folder / "out"
    raw.write_bytes(b"".join(planes.tobytes() for planes in clip.coded(point.size)))
    words = list(itertools.chain.from_iterable((f"-{k}", v) for k, v in codecs.options(point).items()))
    command = [program, "-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p"]
    command += ["-s", f"{point.size}x{point.size}", "-r", f"{clip.fps:g}", "-i", str(raw)]
    command += ["-c:v", codecs.ENCODERS[point.codec], *words, "-threads", "1", "-f", FORMS[point.codec], str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    with av.open(str(out), format=FORMS[point.codec]) as container:
        packets = [bytes(packet) for packet in container.demux(video=0)]
    return codecs.Coded(point.codec, tuple(codecs.bare(point.codec, packet) for packet in packets if packet), ())


def quality(coded: codecs.Coded, clip: Footage) -> float:
    """Mean PSNR over all frames."""
    shown = [show() for show in codecs.decode(coded)]
    return float(np.mean([psnr(np.asarray(real), picture) for real, picture in zip(clip.real, shown, strict=True)]))


VERSION = re.compile(r"x264 - core \d+|HEVC encoder version \S+|Encoder Lib v?\S+")
GREY = """
import sys
import numpy as np
from fractions import Fraction
import av
context = av.CodecContext.create(sys.argv[1], "w")
context.width = context.height = 128
context.pix_fmt, context.framerate, context.time_base = "yuv420p", 25, Fraction(1, 25)
frame = av.VideoFrame.from_ndarray(np.full((192, 128), 128, np.uint8), format="yuv420p")
frame.pts = 0
for packet in (*context.encode(frame), *context.encode(None)):
    sys.stdout.buffer.write(bytes(packet))
"""


@functools.cache
def version(codec: str, program: str = "") -> str:
    """What a program's (PyAV's) encoder says of itself on grey frames; "unknown" where it says nothing, as VP9's."""
    encoder = codecs.ENCODERS[codec]
    source = ["-f", "lavfi", "-i", "color=gray:s=128x128:r=25:d=0.08"]
    command = [program, "-hide_banner", "-nostdin", *source, "-c:v", encoder, "-f", FORMS[codec], "-"]
    if not program:
        command = [sys.executable, "-c", GREY, encoder]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "SVT_LOG": "3"})
    found = VERSION.search((done.stdout + done.stderr).decode("latin-1"))
    return found.group(0) if found else "unknown"


def check(entry: ClipEntry, seconds: float, programs: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Each point of a clip by each program that has PyAV's version of the encoder."""
    with open_footage(entry, seconds) as clip, tempfile.TemporaryDirectory() as folder:
        for point in POINTS:
            same = [program for program in programs if version(point.codec, program) == version(point.codec)]
            if not same:
                continue
            ours = codecs.encode(point, clip.coded(point.size), clip.fps)
            told = quality(ours, clip)
            for program in same:
                theirs = command_line(program, point, clip, Path(folder))
                if theirs is None:
                    continue
                seen = quality(theirs, clip)
                yield {
                    "clip": entry.name, "point": point.name, "program": Path(program).name,
                    "encoder": version(point.codec, program),
                    "bytes": {"ours": ours.bytes, "command_line": theirs.bytes},
                    "psnr": {"ours": round(told, 4), "command_line": round(seen, 4)},
                    "bytes_differ": round(ours.bytes / theirs.bytes - 1, 5), "psnr_differ": round(told - seen, 4),
                }  # fmt: skip


def worst(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """The largest differences of each codec and mode, by program."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        family = found.setdefault("-".join(row["point"].split("-")[:2]), {})
        most = family.setdefault(row["program"], {"bytes_differ": 0.0, "psnr_differ": 0.0})
        for name in most:
            most[name] = max(most[name], abs(row[name]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--out", type=Path, default=Path("results/codec_check.json"))
    options = parser.parse_args()
    programs = list(dict.fromkeys(candidates()))
    rows = []
    for path in options.clips:
        for row in check(ClipEntry(path.stem, path, path.stem, 512, True), options.seconds, programs):
            rows.append(row)
            print(row, flush=True)
    encoders = {
        codec: {"pyav": version(codec), **{Path(program).name: version(codec, program) for program in programs}}
        for codec in codecs.ENCODERS
    }
    about = {"seconds": options.seconds, "pyav": av.__version__, "encoders": encoders, "worst": worst(rows)}
    options.out.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
