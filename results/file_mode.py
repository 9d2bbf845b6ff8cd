"""Measures `facewire compress` on a folder of clips and writes file_mode.json beside this file.

    python results/file_mode.py CLIPS --weights DIR [--samples 5]

For each clip and profile: bytes by class, bits per pixel, the rate with IP, TCP and ZMTP computed, pivots; and LPIPS
(SqueezeNet, 512x512) of some keypoint frames, evenly spread, through the real decode path. For bgan three ways to
choose pivots, at the same bytes: `first` (the first frame), `one` (best frame of a stretch), `adaptive` (one or two).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "export"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))

import av
import cv2
import torch

from facewire import files
from facewire.coding.plan import Plan
from facewire.networks import load_manifest, open_networks
from facewire.showing.decoding import Decoding
from facewire.types import Bundle, Picture
from facewire.wire.container import read_packets
from facewire_export.lpips import load_lpips, to_tensor
from facewire_export.playback import enlarged

WAYS = (("bgan", "first"), ("bgan", "adaptive"), ("bgan", "one"), ("iridium", "adaptive"), ("vsat", "adaptive"))
SIZE = 512


def source_pictures(path: Path, side: int) -> Iterator[Picture]:
    """Frames of a video at side x side."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield enlarged(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), side)


def one_at_most(plan: Plan) -> Any:
    """Plan._candidates without its pairs."""
    return (picked for picked in CANDIDATES(plan) if len(picked) == 1)


CANDIDATES = Plan._candidates


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--ways", type=int, default=len(WAYS), help="only the first so many")
    options = parser.parse_args()
    torch.set_num_threads(1)
    judge = load_lpips(options.weights, "squeeze")
    networks = open_networks("", 1)

    def features(picture: Picture) -> Any:
        with torch.inference_mode():
            return judge.describe(to_tensor(picture))

    def score(coded: Path, real: dict[int, Picture]) -> float:
        decoding, found = Decoding(networks, SIZE), []
        for message in read_packets(coded):
            if isinstance(message, Bundle):
                wanted = tuple(frame for frame in message.frames if frame.number in real)
                if not wanted:
                    continue
                message = Bundle(message.epoch, wanted)
            for rebuilt in decoding.animator.push(message, hurry=True):
                if rebuilt.number in real and not rebuilt.interpolated:
                    with torch.inference_mode():
                        shown = decoding.show(rebuilt).picture
                        found.append(float(judge.distance(features(real[rebuilt.number]), features(shown))))
        return float(np.mean(found))

    rows: list[dict[str, Any]] = []
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as folder:  # Ctrl-C: what is there is written
        for clip in sorted(options.clips.glob("*.mp4")):
            pictures = list(source_pictures(clip, 256))
            wanted = {int(len(pictures) * (at + 0.6) / options.samples) // 2 * 2 for at in range(options.samples)}
            real = {n: cv2.resize(pictures[n], (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for n in wanted}
            for profile, way in WAYS[: options.ways]:
                Plan._candidates = one_at_most if way == "one" else CANDIDATES  # type: ignore[method-assign]
                out = Path(folder, "clip.fw")
                report = files.compress(clip, out, profile, pivots="first" if way == "first" else "adaptive")
                row = {"clip": clip.stem, "profile": profile, "way": way, **report.as_json()}
                row["lpips"] = round(score(out, real), 4)
                rows.append(row)
                print(json.dumps(row), flush=True)
    means = []
    for profile, way in WAYS[: options.ways]:
        of = [row for row in rows if (row["profile"], row["way"]) == (profile, way)]
        total, frames = sum(row["bytes"]["total"] for row in of), sum(row["frames"] for row in of)
        keypoints = sum(row["bytes"]["keypoints"] for row in of)
        means.append({
            "profile": profile, "way": way, "clips": len(of),
            "lpips": round(float(np.mean([row["lpips"] for row in of])), 4),
            "bpp": round(8 * total / frames / SIZE**2, 6),
            "bpp_mean_of_clips": round(float(np.mean([row["bpp"] for row in of])), 6),
            "wire_kbps_max": max(row["wire"]["kbps"] for row in of),
            "peak_kbps_max": max(row["wire"]["peak_kbps"] for row in of),
            "keypoint_bytes": round(keypoints / sum(row["keypoint_frames"] for row in of), 3),
            "pivots": sum(row["pivots"] for row in of), "reuses": sum(row["pivot_reuses"] for row in of),
        })  # fmt: skip
    lines = [",\n  ".join(json.dumps(row) for row in group) for group in (means, rows)]
    head = f'"networks": "{load_manifest("").id.hex()}", "command": "python results/file_mode.py CLIPS --weights DIR"'
    text = f'{{{head},\n "means": [\n  {lines[0]}],\n "clips": [\n  {lines[1]}]}}\n'
    Path(__file__).with_suffix(".json").write_text(text, "utf-8")
    for mean in means:
        print(mean)
    return 0


if __name__ == "__main__":
    sys.exit(main())
