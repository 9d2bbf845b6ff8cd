"""Time each stage and both pipelines on this machine; JSON with minimum, median and maximum.

Every stage runs in a process of its own, bound to one core. Run it on an idle machine: what else runs is in the
numbers (the load before the run is noted).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

import numpy as np

from facewire.errors import FacewireError
from facewire.networks import ON_GPUS, load_manifest, load_network
from facewire_export.cost import CostError, count
from facewire_export.machine import describe
from facewire_export.pipelines import decoder_fps, encoder_fps, pictures_of, square, wide_clip
from facewire_export.timing import measure, on_cores

PIVOT_BYTES = 4000


def network_stage(models: str, name: str, threads: int, seconds: float) -> dict[str, Any]:
    """One run of a network at batch 1, with its size and cost counted from the graph."""
    manifest = load_manifest(models)
    entry = manifest.entry(name)
    session = load_network(name, manifest, threads, "cpu")
    random = np.random.default_rng(0)
    feed = {
        input_name: random.random([size or 1 for size in shape], np.float32)
        for input_name, shape in session.inputs.items()
    }
    result: dict[str, Any] = {"ms": measure(lambda: session.run(feed), seconds).as_json(), "threads": threads}
    try:
        cost = count(entry.file)
        result |= {"gmac": round(cost.gmac, 4), "parameters": cost.parameters}
    except CostError as error:
        result["gmac_unknown"] = str(error)
    result["file_mb"] = round(entry.file.stat().st_size / 1e6, 3)
    return result


def upscaling_stage(models: str, size: int, seconds: float) -> dict[str, Any]:
    """A whole shown picture: bicubic, patches through the network, blended, back to uint8."""
    from facewire.showing.upscale import Upscaler

    manifest = load_manifest(models)
    session = load_network("upscaler", manifest, 1, "cpu") if "upscaler" in manifest.networks else None
    upscaler = Upscaler(session, size)
    planes = np.random.default_rng(0).random((1, 3, 256, 256), np.float32)
    result: dict[str, Any] = {"ms": measure(lambda: upscaler.show(planes), seconds).as_json()}
    result["patches"] = upscaler.patches
    if session is not None:
        result["gmac"] = round(count(manifest.entry("upscaler").file).gmac * upscaler.patches, 4)
    return result


def face_stage(spec: str, which: str, seconds: float) -> dict[str, Any]:
    """Finding the face in 1280x720, or the mesh or the mask in the 256x256 crop."""
    import cv2

    picture = next(pictures_of(spec, 1))
    step: Callable[[], object]
    if which == "face_detection":
        from facewire.face.finder import FaceFinder

        wide = np.asarray(cv2.copyMakeBorder(square(picture, 720), 0, 0, 280, 280, cv2.BORDER_REPLICATE), np.uint8)
        finder = FaceFinder()
        faces = len(finder.find(wide))
        step, note = (lambda: finder.find(wide)), {"faces_found": faces, "picture": "1280x720"}
    elif which == "face_mesh":
        from facewire.face.mesh import FaceMesh

        crop, mesh = square(picture, 256), FaceMesh()
        step, note = (lambda: mesh.landmarks(crop)), {"faces_found": int(mesh.landmarks(crop) is not None)}
    else:
        from facewire.face.mask import PersonMask

        crop, mask = square(picture, 256), PersonMask()
        step, note = (lambda: mask.mask(crop)), {}
    return {"ms": measure(step, seconds).as_json(), **note}


def pivot_stage(spec: str, decode: bool, seconds: float) -> dict[str, Any]:
    """Coding a pivot to fit its bytes (a search over qualities), or decoding it."""
    from facewire.wire.pivot import decode_pivot, encode_pivot

    crop = square(next(pictures_of(spec, 1)), 256)
    data = encode_pivot(crop, PIVOT_BYTES)
    step: Callable[[], object] = (lambda: decode_pivot(data)) if decode else (lambda: encode_pivot(crop, PIVOT_BYTES))
    return {"ms": measure(step, seconds).as_json(), "bytes": len(data), "allowed": PIVOT_BYTES}


def bench(models: str, spec: str, size: int, seconds: float, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Everything. A stage that cannot run here has `error` instead of numbers."""
    manifest = load_manifest(models)
    machine = describe()
    stages: dict[str, Any] = {}
    pipelines: dict[str, Any] = {}

    def add(place: dict[str, Any], name: str, cores: int, step: Callable[..., dict[str, Any]], *args: Any) -> None:
        try:
            place[name] = on_cores(cores, step, *args)
        except (FacewireError, ImportError, BrokenExecutor) as error:
            place[name] = {"error": " ".join(str(error).split()) or type(error).__name__}
        say(f"{name:<24} {_line(place[name])}")

    networks = [name for name in manifest.networks if name not in ON_GPUS]
    for name in networks:
        add(stages, name, 1, network_stage, models, name, 1, seconds)
    add(stages, f"upscaling_{size}", 1, upscaling_stage, models, size, seconds)
    for name in ("face_detection", "face_mesh", "person_mask"):
        add(stages, name, 1, face_stage, spec, name, seconds)
    add(stages, "pivot_avif_encode", 1, pivot_stage, spec, False, seconds)
    add(stages, "pivot_avif_decode", 1, pivot_stage, spec, True, seconds)
    for cores in (1, 2):
        add(pipelines, f"decoder_{cores}_core", cores, decoder_fps, models, spec, size, cores, 5 * seconds)
    add(pipelines, "decoder_2_core_rtsp", 2, decoder_fps, models, spec, size, 2, 5 * seconds, True)
    with tempfile.TemporaryDirectory(prefix="facewire-bench-") as folder:
        clip = Path(folder, "wide.mp4")
        wide_clip(spec, clip, 250)
        add(pipelines, "encoder_1_core_1280x720", 1, encoder_fps, models, str(clip), "bgan", 5 * seconds)
    known = [stages[n] for n in networks if "parameters" in stages[n]]
    return {
        "machine": machine,
        "models": {
            "tier": manifest.tier,
            "id": manifest.id.hex(),
            "parameters": sum(s["parameters"] for s in known),
            "mb": round(sum(s["file_mb"] for s in known), 3),
        },
        "shown_size": size,
        "stages": stages,
        "pipelines": pipelines,
    }


def _line(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"- ({result['error']})"
    if "ms" in result:
        ms = result["ms"]
        cost = f"  {result['gmac']:.3f} GMAC" if "gmac" in result else ""
        return f"{ms['median']:8.2f} ms  (min {ms['min']:.2f}, max {ms['max']:.2f}){cost}"
    return "  ".join(f"{name} {value}" for name, value in result.items())


def add_bench_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `facewire-export bench`."""
    parser.add_argument("--out", type=Path, help="file for the JSON (default: only the table is printed)")
    parser.add_argument("--models", default="", help="folder of the networks' manifest (default: the shipped ones)")
    parser.add_argument("--source", default="sample:", help="source SPEC with a face in it")
    parser.add_argument("--size", type=int, default=512, help="shown size in pixels")
    parser.add_argument("--seconds", type=float, default=2.0, help="spent on each stage; five times that on pipelines")


def main(options: argparse.Namespace) -> int:
    """Run `facewire-export bench`."""
    result = bench(options.models, options.source, options.size, options.seconds)
    command = f"facewire-export bench --size {options.size} --source {options.source}"
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"command": command, **result}, indent=2) + "\n", "utf-8")
        print(f"written: {options.out}", file=sys.stderr)
    return 0
