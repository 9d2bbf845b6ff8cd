"""Measures the keypoint coder on real traces and writes keypoint_codec.json beside this file.

    python results/keypoint_codec.py --frames CACHE [--models DIR] [--clips 40] [--skip 1]

CACHE holds `*.frames.npy` (uint8 [n, 256, 256, 3]), as `facewire-export train` leaves them. Traces are what the
keypoint network finds in every (skip + 1)-th frame; every clip is one epoch. Compared, bytes for each keypoint frame:

    raw     as `raw` travels: floats, with the bundle's header
    rice    differences to the frame before, adaptive Golomb-Rice (JPEG-LS), started anew in each bundle
    code    facewire.wire.keypoints: predicted from one another, arithmetic coding
    packet  the same with the bundle's header, as it travels in a stream
    rms     how far sent points are off, pixels of 256

for several dead zones (facewire.coding.still). The tables come from the train clips; those of other people are honest.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))

from facewire.coding.still import DEAD_ZONE, settle
from facewire.networks import load_manifest, load_network
from facewire.profiles import PROFILES
from facewire.showing.planes import resized, to_planes
from facewire.types import Bundle, Epoch, GridPoints, KeypointFrame, Points
from facewire.wire.bits import BitWriter
from facewire.wire.keypoints import encode_frames, from_grid, to_grid
from facewire.wire.packets import Packer

STEPS = (2.0, 1.5, 1.0, 0.5)
BUNDLES = (64, 16, 6, 2, 1)
ZONES = (0.0, 0.2, 0.4)


def traces(cache: Path, models: str, clips: int, skip: int) -> list[list[Points]]:
    """Keypoints of evenly chosen clips, float32 [10, 2] each."""
    paths = sorted(cache.glob("*.frames.npy"))
    network = load_network("keypoints", models)
    side = network.inputs["picture"][-1] or 256
    found = []
    for path in paths[:: max(1, len(paths) // clips)][:clips]:
        frames: NDArray[np.uint8] = np.load(path, mmap_mode="r")
        planes = (resized(to_planes(np.array(frame)), side) for frame in frames[:: skip + 1])
        found.append([np.asarray(network.run({"picture": p})["keypoints"][0], np.float32) for p in planes])
    return found


def bundles(trace: Sequence[Points], step: float, count: int, zone: float) -> Iterator[list[GridPoints]]:
    """A trace on the grid, relative to its first frame, bundle by bundle."""
    reference = to_grid(trace[0], step)
    for at in range(0, len(trace), count):
        yield settle(trace[at : at + count], step, reference, zone)


def off(trace: Sequence[Points], groups: Sequence[Sequence[GridPoints]], step: float) -> float:
    """Sum of squared errors, pixels."""
    reference = to_grid(trace[0], step)
    back = [from_grid(grid, step, reference) for group in groups for grid in group]
    return float(((np.stack(back) - np.stack(trace)) ** 2).sum()) * 128**2


def packed(groups: Sequence[Sequence[GridPoints]], epoch: Epoch, gap: int) -> int:
    """Bytes of the bundles as one stream."""
    packer = Packer()
    packer.went(epoch)
    number = total = 0
    for group in groups:
        frames = tuple(KeypointFrame(number + gap * index, grid) for index, grid in enumerate(group))
        total += len(packer.pack(Bundle(0, frames)))
        number += gap * len(group)
    return total


def rice_bytes(frames: Sequence[GridPoints]) -> int:
    out = BitWriter()
    before = np.zeros(20, np.int64)
    total, seen = 96, 8
    for index, frame in enumerate(frames):
        now = frame.reshape(-1).astype(np.int64)
        for difference in (now - before).tolist():
            value = 2 * difference if difference >= 0 else -2 * difference - 1
            k = 0
            while (seen << k) < total:
                k += 1
            high = value >> k
            out.put(0, min(high, 20) + 1 + (k if high < 20 else 15))
            total, seen = total + value, seen + 1
            if seen >= 64:
                total, seen = total >> 1, seen >> 1
        if index == 0:
            total, seen = 16, 8
        before = now
    return len(out.bytes())


def measure(found: list[list[Points]], skip: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    frames = sum(map(len, found))
    for step in STEPS:
        epoch = Epoch(0, 0, 0, bytes(8), 1, 256, 25.0, skip, bytes(4), step)
        for count in BUNDLES:
            for zone in ZONES:
                begin = time.process_time()
                split = [list(bundles(trace, step, count, zone)) for trace in found]
                groups = [group for clip in split for group in clip]
                code = sum(len(encode_frames(group)) for group in groups)
                seconds = time.process_time() - begin
                names = [
                    p.name
                    for p in PROFILES.values()
                    if zone == DEAD_ZONE and (p.keypoint_step, p.bundle_frames) == (step, count)
                ]
                errors = sum(off(trace, clip, step) for trace, clip in zip(found, split, strict=True))
                rows.append({
                    "step": step, "dead_zone": zone, "bundle_frames": count, "raw": round(80 + 5 / count, 2),
                    "rice": round(sum(map(rice_bytes, groups)) / frames, 3), "code": round(code / frames, 3),
                    "packet": round(sum(packed(clip, epoch, skip + 1) for clip in split) / frames, 3),
                    "rms": round((errors / frames / 20) ** 0.5, 3),
                    "encode_ms": round(1000 * seconds / frames, 4), "profile": "".join(names),
                })  # fmt: skip
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--models", default="")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--skip", type=int, default=1)
    parser.add_argument("--name", default="keypoint_codec", help="of the JSON file")
    options = parser.parse_args()
    found = traces(options.frames, options.models, options.clips, options.skip)
    moved = np.concatenate([np.diff(np.stack(trace), axis=0) for trace in found]) * 128
    rows = measure(found, options.skip)
    result = {
        "command": "python results/keypoint_codec.py --frames CACHE "
        f"--clips {options.clips} --skip {options.skip} --name {options.name}",
        "networks": load_manifest(options.models).id.hex(),
        "clips": len(found),
        "keypoint_frames": sum(map(len, found)),
        "pixels_moved_sigma": round(float(moved.std()), 3),
        "pixels_moved_sigma_less_common": round(float((moved - moved.mean(1, keepdims=True)).std()), 3),
        "bytes_per_keypoint_frame": rows,
    }
    text = json.dumps(result, indent=1)
    for row in rows:
        text = text.replace(json.dumps(row, indent=1).replace("\n", "\n  "), json.dumps(row))
    Path(__file__).with_name(f"{options.name}.json").write_text(text + "\n", "utf-8")
    for row in rows:
        print(row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
