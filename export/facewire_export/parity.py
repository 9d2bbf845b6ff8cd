"""`facewire-export parity`: the same inputs through every precision of every network; a gate with thresholds.

Each network gets what the decoder fed it while it played clips; each answer is held against fp32's on the CPU. Then
whole decoders play the same streams, and their pictures are held against the fp32 decoder's. NaN and Inf are refused,
whatever the averages say. After Polygraphy's comparator: one network, several runtimes, output by output.

    int8   cpu                    wherever ONNX Runtime runs; what has no weights by OpenCV (networks.opencv)
    fp16   cpu                    the same explicitly typed file that GPUs run, computed by ONNX Runtime's CPU provider
    fp16   cuda, ort-tensorrt, tensorrt     where this machine has them

Exit code 0: every threshold is kept, 1: one is not (a line on stderr names it).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.errors import FacewireError
from facewire.networks import DECODER, Manifest, Networks, load_manifest, open_networks
from facewire.networks.choice import PROBES
from facewire.networks.session import host
from facewire_export.machine import describe
from facewire_export.metrics import PERFECT_DB, psnr
from facewire_export.rehearsal import REHEARSED, Feed, Recording, clips_in, record, shown, streams

PICTURES_DB = {"int8": 40.0, "fp16": 40.0}
"""PSNR that final pictures must have against fp32's, on average over all frames of all clips; the worst frame may be
WORST_DB below. 40 dB is an error of one grey level in a hundred: less than the H.264 after it makes."""
WORST_DB = 6.0
OUTPUT_DB = {"int8": 40.0, "fp16": 50.0}
"""The same for each output of each network, where 0 dB is an error as large as the output's largest value, or as half
a picture."""


PLACES = ("keypoints", "displacement", "deformation", "stretch")
"""A tensor whose name contains one of these holds places: 1 is half a picture, whatever it holds at the moment."""


def is_place(name: str) -> bool:
    """Whether a tensor of this name holds places."""
    return any(part in name for part in PLACES)


def decibels(
    wanted: Sequence[Sequence[NDArray[Any]]], given: Sequence[Sequence[NDArray[Any]]], names: Sequence[str]
) -> float:
    """The worst output's distance between two lists of answers: 10 log10(peak^2 / mean squared error), PERFECT_DB at
    most; -inf where an answer is not finite. The peak is the output's own (pictures in 0..1: about 1), for places 1."""
    return min(_decibels([w[i] for w in wanted], [g[i] for g in given], name) for i, name in enumerate(names))


def _decibels(wanted: Sequence[NDArray[Any]], given: Sequence[NDArray[Any]], name: str) -> float:
    if not all(np.isfinite(answer).all() for answer in given):
        return float("-inf")
    peak = 1.0 if is_place(name) else max(float(np.abs(answer).max()) for answer in wanted) or 1.0
    error = float(np.mean([np.mean((w.astype(np.float64) - g) ** 2) for w, g in zip(wanted, given, strict=True)]))
    return PERFECT_DB if error == 0 else min(PERFECT_DB, float(10 * np.log10(peak * peak / error)))


@dataclass(frozen=True)
class Way:
    """A precision on a provider."""

    precision: str
    provider: str

    def __str__(self) -> str:
        return f"{self.precision} on {self.provider}"


def ways(manifest: Manifest) -> list[Way]:
    """What can be compared here: precisions that the manifest has files of, on providers that this machine has."""
    found = [Way(precision, "cpu") for precision in ("int8", "fp16") if _has(manifest, precision)]
    if _has(manifest, "fp16"):
        found += [Way("fp16", name) for name in ("cuda", "ort-tensorrt", "tensorrt") if PROBES[name]() is None]
    return found


def _has(manifest: Manifest, precision: str) -> bool:
    return any(entry.has(precision) for entry in manifest.networks.values())


def compare(reference: Networks, other: Networks, name: str, feeds: Sequence[Feed]) -> dict[str, Any]:
    """Each output of one network by two runtimes: largest and mean absolute error, dB, and whether all is finite."""
    found: dict[str, list[tuple[NDArray[Any], NDArray[Any]]]] = {}
    for feed in feeds:
        wanted, given = reference[name].run(feed), other[name].run(feed)
        for output in wanted:
            found.setdefault(output, []).append((host(wanted[output]), host(given[output])))
    result: dict[str, Any] = {}
    for output, pairs in found.items():
        finite = all(bool(np.isfinite(given).all()) for _, given in pairs)
        apart = [np.abs(wanted - given) for wanted, given in pairs] if finite else [np.full(1, np.inf)]
        result[output] = {
            "finite": finite,
            "max_error": float(f"{max(float(a.max()) for a in apart):.3g}"),
            "mean_error": float(f"{np.mean([a.mean() for a in apart]):.3g}"),
            "db": round(_decibels([w for w, _ in pairs], [g for _, g in pairs], output), 2),
        }
    return result


def pictures(wanted: Sequence[NDArray[np.uint8]], given: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
    """Final pictures of two decoders of the same streams: mean and least PSNR in dB."""
    if len(wanted) != len(given):
        raise FacewireError(f"one decoder showed {len(wanted)} pictures, the other {len(given)}")
    each = [min(PERFECT_DB, psnr(w, g)) for w, g in zip(wanted, given, strict=True)]
    return {"frames": len(each), "mean_db": round(float(np.mean(each)), 2), "least_db": round(min(each), 2)}


def faults(way: Way, networks: dict[str, Any], final: dict[str, Any]) -> list[str]:
    """One line for each threshold that is not kept."""
    found = []
    for name, outputs in networks.items():
        for output, seen in outputs.items():
            if not seen["finite"]:
                found.append(f"{way}: {name}.{output} holds NaN or Inf")
            elif seen["db"] < OUTPUT_DB[way.precision]:
                found.append(f"{way}: {name}.{output} is {seen['db']} dB from fp32, not {OUTPUT_DB[way.precision]:g}")
    least = PICTURES_DB[way.precision]
    if final["mean_db"] < least:
        found.append(f"{way}: final pictures are {final['mean_db']} dB from fp32's, not {least:g}")
    if final["least_db"] < least - WORST_DB:
        found.append(f"{way}: the worst picture is {final['least_db']} dB from fp32's, not {least - WORST_DB:g}")
    return found


def parity(
    models: str,
    clips: Path | None = None,
    frames: int = 26,
    size: int = 512,
    most_clips: int = 4,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Compare everything that can be compared here. The result's `faults` is empty where all thresholds are kept."""
    manifest = load_manifest(models)
    possible = ways(manifest)
    if not possible:
        raise FacewireError(
            f"{manifest.directory}: there are only fp32 files; make others first: facewire-export quantize, half"
        )
    reference = open_networks(manifest, names=REHEARSED, provider="cpu", precision="fp32")
    played = streams(reference, clips_in(clips, most_clips), frames, large=True)
    recording = record(reference, played, size, limit=4)
    wanted = [picture for stream in played for picture in shown(reference, stream, size)]
    found: dict[str, Any] = {}
    broken: list[str] = []
    for way in possible:
        names = REHEARSED if way.provider == "cpu" else DECODER  # no sender has a GPU
        other = open_networks(manifest, names=names, provider=way.provider, precision=way.precision)
        seen = _networks(manifest, reference, other, way, recording)
        final = pictures(wanted, [picture for stream in played for picture in shown(other, stream, size)])
        lines = faults(way, seen, final)
        found[str(way)] = {"networks": seen, "pictures": final, "faults": lines}
        broken += lines
        worst = min((output["db"] for outputs in seen.values() for output in outputs.values()), default=PERFECT_DB)
        say(
            f"{way}: pictures {final['mean_db']} dB (least {final['least_db']}), "
            f"worst output {worst} dB{'' if not lines else '  REFUSED'}"
        )
    return {"machine": describe(), "clips": len(played), "shown_size": size, "ways": found, "faults": broken}


def _networks(
    manifest: Manifest, reference: Networks, other: Networks, way: Way, recording: Recording
) -> dict[str, Any]:
    return {
        name: compare(reference, other, name, feeds)
        for name, feeds in recording.feeds.items()
        if name in other.sessions
        and (
            way.provider != "cpu"
            or manifest.entry(name).has(way.precision)
            or type(other[name]) is not type(reference[name])
        )
    }


def add_parity_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `facewire-export parity`."""
    parser.add_argument("--clips", type=Path, help="clip or folder of clips (default: the sample)")
    parser.add_argument("--models", default="", help="folder of the networks' manifest (default: the shipped ones)")
    parser.add_argument("--frames", type=int, default=26, help="frames of each clip")
    parser.add_argument("--size", type=int, default=512, help="shown size in pixels")
    parser.add_argument("--most-clips", type=int, default=4, metavar="N", help="clips, evenly spread over the folder")
    parser.add_argument("--out", type=Path, help="file for the figures as JSON")


def main(options: argparse.Namespace) -> int:
    """Run `facewire-export parity`."""
    found = parity(options.models, options.clips, options.frames, options.size, options.most_clips)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        command = f"facewire-export parity --frames {options.frames} --size {options.size}"
        options.out.write_text(json.dumps({"command": command, **found}, indent=1) + "\n", "utf-8")
    for fault in found["faults"]:
        print(f"facewire-export parity: {fault}", file=sys.stderr)
    return 1 if found["faults"] else 0
