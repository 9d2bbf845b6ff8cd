"""Compares still-picture coders for pivots and writes pivot_codecs.json beside this file.

    python results/pivot_codecs.py CLIPS --weights DIR [--clips-used 9] [--jxl]

A pivot is the first frame of a clip, coded to at most so many bytes with each coder; two later frames are shown from it
through the real decode path. `cost` is how much higher their LPIPS (SqueezeNet, 512x512) is than from an uncompressed
pivot, `se` its standard error over clips; `ms` is one encode at the quality that fits, one thread. `shipped` is
facewire.wire.pivot as it is, search for the quality included, as a camera has time for and as `compress` has. --jxl:
JPEG XL too (needs pillow-jxl-plugin).
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "export"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))

import av
import torch
from PIL import Image

from facewire.coding.keyframes import find_points
from facewire.networks import Networks, load_manifest, open_networks
from facewire.showing.decoding import Decoding
from facewire.types import Bundle, Epoch, KeypointFrame, Picture, PivotSlice
from facewire.wire import avif
from facewire.wire.pivot import FINAL_SPEED, PATIENT_SPEED, content_id, decode_pivot, encode_pivot
from facewire_export.lpips import load_lpips, to_tensor
from facewire_export.playback import enlarged

SIZES = ((256, 2500), (256, 4000), (512, 4000))
SHOWN = 512
SHIPPED = {"shipped, camera": FINAL_SPEED, "shipped, compress": PATIENT_SPEED}


def source_pictures(path: Path, side: int) -> Iterator[Picture]:
    """Frames of a video at side x side."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield enlarged(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), side)


@dataclass(frozen=True)
class Coder:
    """encode(picture, quality) gives bytes, more for a higher quality; decode is its inverse."""

    encode: Callable[[Picture, int], bytes]
    decode: Callable[[bytes], Picture]
    best: int


def pillow(kind: str, best: int = 100, **options: Any) -> Coder:
    def encode(picture: Picture, quality: int) -> bytes:
        out = io.BytesIO()
        Image.fromarray(picture).save(out, kind, quality=quality, **options)
        return avif.unwrap(out.getvalue()) if kind == "AVIF" else out.getvalue()

    def decode(data: bytes) -> Picture:
        file = avif.wrap(data) if kind == "AVIF" else data
        return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"), np.uint8)

    return Coder(encode, decode, best)


def video(encoder: str, decoder: str, worst: int, options: dict[str, str], key: str, form: str) -> Coder:
    """A video coder's intra frame; its qp counts the other way."""

    def encode(picture: Picture, quality: int) -> bytes:
        context: Any = av.CodecContext.create(encoder, "w")
        context.height, context.width = picture.shape[:2]
        context.pix_fmt, context.time_base, context.thread_count = "yuv420p", Fraction(1, 25), 1
        context.options = {**options, key: form.format(worst - quality)}
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="JPEG")
        return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])

    def decode(data: bytes) -> Picture:
        context: Any = av.CodecContext.create(decoder, "r")
        frame = [*context.decode(av.Packet(data)), *context.decode(None)][0]
        back = frame.reformat(format="rgb24", src_colorspace="ITU709", src_color_range="JPEG", dst_color_range="JPEG")
        return np.asarray(back.to_ndarray(format="rgb24"), np.uint8)

    return Coder(encode, decode, worst - 1)


X265 = "{{}}:qp={}:log-level=none:info=0:repeat-headers=1:keyint=1:pools=none:frame-threads=1"
CODERS: dict[str, Coder] = {
    "AVIF, libaom speed 6": pillow("AVIF", speed=6, subsampling="4:2:0", max_threads=1),
    "AVIF, libaom speed 8": pillow("AVIF", speed=8, subsampling="4:2:0", max_threads=1),
    "WebP method 6": pillow("WEBP", method=6),
    "x265 intra slow, psy-rd 4": video(
        "libx265", "hevc", 51, {"preset": "slow"}, "x265-params", X265.replace("{{}}", "psy-rd=4:psy-rdoq=4:aq-mode=0")
    ),
    "SVT-AV1 intra preset 4, tune iq": video(
        "libsvtav1", "libdav1d", 63, {"preset": "4", "svtav1-params": "tune=4:lp=1"}, "qp", "{}"
    ),
}


def fitted(coder: Coder, picture: Picture, most: int) -> tuple[bytes, float]:
    """The largest encode of at most `most` bytes, and how long it took in ms."""
    low, high, best, spent = 0, coder.best, b"", 0.0
    while low <= high:
        middle = (low + high) // 2
        begun = time.perf_counter()
        data = coder.encode(picture, middle)
        if len(data) <= most:
            best, low, spent = data, middle + 1, 1000 * (time.perf_counter() - begun)
        else:
            high = middle - 1
    return best, spent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--clips-used", type=int, default=9)
    parser.add_argument("--jxl", action="store_true")
    options = parser.parse_args()
    if options.jxl:
        import pillow_jxl  # type: ignore[import-not-found]  # noqa: F401

        CODERS["JPEG XL effort 7"] = pillow("JXL", 99, effort=7, lossless=False)
    torch.set_num_threads(1)
    judge, networks = load_lpips(options.weights, "squeeze"), open_networks("", 1)

    bare = Networks(networks.id, {name: one for name, one in networks.sessions.items() if name != "restorer"})

    def features(picture: Picture) -> Any:
        with torch.inference_mode():
            return judge.describe(to_tensor(picture))

    def scores(pivot: Picture, restored: bool, points: list[Any], real: list[Any]) -> float:
        """Mean LPIPS of frames shown from a pivot; restored: it was coded, so the restorer may have its way."""
        decoding = Decoding(networks if restored else bare, SHOWN)
        name = content_id(b"pivot")
        frames = tuple(KeypointFrame(10 * index, p) for index, p in enumerate(points))
        messages = (
            PivotSlice(name, 0, 5, b"pivot"),
            Epoch(0, 0, 0, name, 5, pivot.shape[0], 25.0, 0, networks.id, 0.0),
            Bundle(0, frames),
        )
        with patch("facewire.showing.animator.decode_whole", return_value=(pivot, None, None, None)):
            shown = [rebuilt for message in messages for rebuilt in decoding.animator.push(message)]
        with torch.inference_mode():
            return float(np.mean([
                float(judge.distance(r, features(decoding.show(s).picture))) for r, s in zip(real, shown, strict=True)
            ]))  # fmt: skip

    found: dict[tuple[str, int, int], list[tuple[float, int, float]]] = {}
    clips = sorted(options.clips.glob("*.mp4"))
    for clip in clips[:: max(1, len(clips) // options.clips_used)][: options.clips_used]:
        pictures = {side: list(source_pictures(clip, side)) for side in (256, 512)}
        later = [len(pictures[256]) // 4, len(pictures[256]) // 2]
        real = [features(enlarged(pictures[512][n], SHOWN)) for n in later]
        points = [find_points(networks["keypoints"], pictures[256][n]) for n in later]
        base = scores(pictures[256][0], False, points, real)
        for side, most in SIZES:
            pivot = pictures[side][0]
            for name, speed in SHIPPED.items():
                begun = time.perf_counter()
                data = encode_pivot(pivot, most, speed)
                spent = 1000 * (time.perf_counter() - begun)
                row = (scores(decode_pivot(data), True, points, real) - base, len(data), spent)
                found.setdefault((name, side, most), []).append(row)
            for name, coder in CODERS.items() if side == 256 else ():
                data, spent = fitted(coder, pivot, most)
                if data:
                    row = (scores(coder.decode(data), True, points, real) - base, len(data), spent)
                    found.setdefault((name, side, most), []).append(row)
        print(clip.stem, {key[0]: round(rows[-1][0], 4) for key, rows in found.items() if key[2] == 4000}, flush=True)
    table = [
        {
            "coder": name, "side": side, "most_bytes": most, "clips": len(rows),
            "cost": round(float(np.mean([r[0] for r in rows])), 4),
            "se": round(float(np.std([r[0] for r in rows]) / len(rows) ** 0.5), 4),
            "bytes": round(float(np.mean([r[1] for r in rows]))),
            "ms": round(float(np.median([r[2] for r in rows])), 1),
        }
        for (name, side, most), rows in found.items()
    ]  # fmt: skip
    head = {"command": "python results/pivot_codecs.py CLIPS --weights DIR", "networks": load_manifest("").id.hex()}
    lines = ",\n  ".join(json.dumps(row) for row in table)
    text = json.dumps(head)[:-1] + f',\n "coders": [\n  {lines}]}}\n'
    Path(__file__).with_suffix(".json").write_text(text, "utf-8")
    for entry in table:
        print(entry)
    return 0


if __name__ == "__main__":
    sys.exit(main())
