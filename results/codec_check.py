"""Our codecs (PyAV) beside the ffmpeg command line, with the same options on the same pictures: bytes and PSNR.

    python results/codec_check.py CLIP.mp4 [--seconds 5] [--out results/codec_check.json]

Every ffmpeg that can be found is tried: the one on the path, and the one that imageio-ffmpeg carries. Versions of the
encoders inside differ; where a program has the very version that PyAV has, bytes must be the same.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import tempfile
from pathlib import Path

import av
import numpy as np

from facewire_export.dataset import ClipEntry
from facewire_export.evaluation import codecs, vvc
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


def version(program: str, codec: str) -> str:
    """What a program says of its encoder, on two grey frames."""
    source = ["-f", "lavfi", "-i", "color=gray:s=128x128:r=25:d=0.08"]
    command = [program, "-hide_banner", "-nostdin", *source, "-c:v", codecs.ENCODERS[codec], "-f", FORMS[codec], "-"]
    done = subprocess.run(command, capture_output=True, check=False, env={"SVT_LOG": "3"})
    text = (done.stdout + done.stderr).decode("latin-1")
    found = re.search(r"(x264 - core \d+|HEVC encoder version \S+|Encoder Lib v?\S+)", text)
    return found.group(1) if found else "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--out", type=Path, default=Path("results/codec_check.json"))
    options = parser.parse_args()
    rows = []
    entry = ClipEntry(options.clip.stem, options.clip, options.clip.stem, 512, True)
    with open_footage(entry, options.seconds) as clip, tempfile.TemporaryDirectory() as folder:
        for point in POINTS:
            ours = codecs.encode(point, clip.coded(point.size), clip.fps)
            told = quality(ours, clip)
            for program in dict.fromkeys(vvc.candidates()):
                theirs = command_line(program, point, clip, Path(folder))
                row = {
                    "point": point.name, "program": Path(program).name, "encoder": version(program, point.codec),
                    "bytes": {"ours": ours.bytes, "command_line": None if theirs is None else theirs.bytes},
                    "psnr": {"ours": round(told, 4), "command_line": None},
                }  # fmt: skip
                if theirs is not None:
                    row["psnr"] = {"ours": round(told, 4), "command_line": round(quality(theirs, clip), 4)}
                    row["bytes_differ"] = round(ours.bytes / theirs.bytes - 1, 5)
                rows.append(row)
                print(row, flush=True)
    about = {"clip": options.clip.stem, "seconds": options.seconds, "pyav": av.__version__, "rows": rows}
    options.out.write_text(json.dumps(about, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
