"""`facewire-export quantize`: INT8 variants of the networks that run for every shown frame, where nobody sees it.

Convolutions only, QDQ, signed weights per channel, unsigned activations: what VNNI multiplies. (Generator of the
compact tier, one EPYC core: fp32 40.0 ms, signed activations 27.8, unsigned 21.2, at 62 and 63 dB from fp32.)
Activations are calibrated on what the decoder really fed each network while it played clips. The convolutions that
cost most (a motion head's output is a place, not a colour) stay in fp32 one by one until the network's answers are
within --target dB of fp32's. A network that cannot get there, or gains no time, is left alone.

Networks whose output goes over the wire are never touched: keypoints must mean the same on both ends. The sender's
motion is one of the others: where it is off, by 0.04 pixels of 256, the deformation that is fitted to it is too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facewire.errors import FacewireError
from facewire.networks import Session, load_manifest, open_networks
from facewire.networks.manifest import NetworkEntry
from facewire.networks.ort import OrtSession
from facewire_export.machine import describe
from facewire_export.parity import decibels
from facewire_export.rehearsal import REHEARSED, Feed, answers, clips_in, record, streams
from facewire_export.variants import drop, fresh, keep

PRECISION = "int8"
TARGET = 50.0
"""dB between a network's answers and fp32's: an error of one grey level of 255, mean square. At 55 the generator's most
expensive convolution would stay in fp32: 31.7 ms where 50 gives 22.4 (fp32: 42.3), and nobody sees the difference."""
GAIN = 1.1
"""A variant must be this many times as fast, or it is not worth a second file."""
MOST_KEPT = 8
"""Convolutions that may stay in fp32; a network that needs more does not bear INT8."""
WIRED = frozenset({"keypoints"})


@dataclass(frozen=True)
class Quantised:
    """A network in INT8: its bytes, the convolutions left in fp32, and its answers' distance from fp32's in dB."""

    data: bytes
    kept: tuple[str, ...]
    db: float


@contextlib.contextmanager
def _unadvised() -> Iterator[None]:
    """The quantiser advises, by the root logger, a step that was taken."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)


def _convolutions(graph: Any) -> tuple[list[str], list[str]]:
    """Names of the convolutions of an ONNX graph: those with weights, and those that only move or enlarge pixels
    (networks.blocks), whose kernels are constants and which INT8 makes slower."""
    weights = {tensor.name for tensor in graph.initializer}
    found: tuple[list[str], list[str]] = [], []
    for node in graph.node:
        if node.op_type == "Conv":
            found[node.input[1] not in weights].append(node.name)
    return found


@_unadvised()
def quantised(entry: NetworkEntry, feeds: Sequence[Feed], target: float = TARGET) -> Quantised:
    """A network in INT8 within `target` dB of fp32 (over feeds that calibration did not see); FacewireError if it
    cannot get there."""
    import onnx
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationDataReader, create_calibrator
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if len(feeds) < 2:
        raise FacewireError(f"{entry.name}: was run fewer than twice; give longer clips")
    seen, unseen = feeds[::2], feeds[1::2][:6]

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.feeds = iter(seen)

        def get_next(self) -> Feed | None:
            return next(self.feeds, None)

    with tempfile.TemporaryDirectory(prefix="facewire-int8-") as folder:
        ready = Path(folder, "ready.onnx")
        quant_pre_process(str(entry.file), str(ready), skip_symbolic_shape=True)
        calibrator = create_calibrator(ready, ["Conv"], augmented_model_path=str(Path(folder, "seen.onnx")))
        calibrator.collect_data(Reader())
        ranges = calibrator.compute_data()
        model = onnx.load(str(ready))
    convolutions, fixed = _convolutions(onnx.load(entry.file).graph)
    if not convolutions:
        raise FacewireError(f"{entry.name}: has no convolution")
    wanted = [answers(entry.read(), feed) for feed in unseen]

    def attempt(kept: Sequence[str]) -> Quantised:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        quantizer = QDQQuantizer(
            copy, True, False, QuantType.QInt8, QuantType.QUInt8, ranges, [], [*kept, *fixed], ["Conv"], {}
        )
        quantizer.quantize_model()
        data: bytes = quantizer.model.model.SerializeToString()
        found = [answers(data, feed) for feed in unseen]
        return Quantised(data, tuple(kept), decibels(wanted, found, list(entry.outputs)))

    found = attempt([])
    if found.db < target:
        # Alone, each: what it costs by itself tells best which to leave out.
        alone = {name: attempt([other for other in convolutions if other != name]).db for name in convolutions}
        ranked = sorted(convolutions, key=lambda name: alone[name])
        for count in range(1, min(MOST_KEPT, len(ranked) - 1) + 1):
            found = attempt(ranked[:count])
            if found.db >= target:
                break
    if found.db < target:
        raise FacewireError(
            f"{entry.name}: {found.db:.1f} dB from fp32 with {len(found.kept)} convolutions left in fp32, "
            f"the target is {target:.0f} dB"
        )
    return found


def faster(entry: NetworkEntry, variant: NetworkEntry, feed: Feed, seconds: float) -> dict[str, Any]:
    """Median milliseconds of processor time of one run of each, on one thread, taken in turns: what else runs on the
    machine is not in them."""
    both: dict[str, Session] = {"fp32": OrtSession(entry), PRECISION: OrtSession(variant)}
    times: dict[str, list[float]] = {name: [] for name in both}
    end = time.perf_counter() + seconds
    while len(times[PRECISION]) < 7 or time.perf_counter() < end:
        for name, session in both.items():
            began = time.process_time()
            session.run(feed)
            times[name].append((time.process_time() - began) * 1000)
    medians = {name: float(np.median(found[2:])) for name, found in times.items()}
    return {
        **{f"{name}_ms": round(value, 3) for name, value in medians.items()},
        "times_as_fast": round(medians["fp32"] / medians[PRECISION], 2),
    }


def quantize(
    models: str,
    clips: Path | None,
    target: float = TARGET,
    gain: float = GAIN,
    names: Sequence[str] | None = None,
    frames: int = 50,
    seconds: float = 2.0,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Make, measure and keep the variants that are worth it; returns what was found for each network."""
    manifest = fresh(models)
    networks = open_networks(manifest, names=REHEARSED, precision="fp32", provider="cpu")
    played = streams(networks, clips_in(clips, 12), frames)
    recording = record(networks, played, 512)
    wanted = [name for name in recording.busy() if name not in WIRED] if names is None else list(names)
    results: dict[str, Any] = {}
    for name in wanted:
        entry, feeds = manifest.entry(name), recording.feeds.get(name, [])
        try:
            found = quantised(entry, feeds, target)
            keep(manifest, name, PRECISION, found.data)
            speed = faster(entry, load_manifest(models).entry(name).at(PRECISION), feeds[0], seconds)
            result: dict[str, Any] = {
                "db": round(found.db, 1), "in_fp32": list(found.kept), "bytes": len(found.data),
                "fp32_bytes": entry.file.stat().st_size, **speed,
            }  # fmt: skip
            if speed["times_as_fast"] < gain:
                raise FacewireError(f"{name}: only {speed['times_as_fast']} times as fast as fp32")
        except FacewireError as error:
            drop(manifest, name, PRECISION)
            results[name] = {"refused": str(error)}
            say(f"{error}; left in fp32")
            continue
        results[name] = result
        say(
            f"{name}: {result['db']} dB from fp32, {result['times_as_fast']} times as fast "
            f"({result['fp32_ms']} -> {result['int8_ms']} ms), {len(found.kept)} convolutions left in fp32"
        )
    return {"machine": describe(), "clips": len(played), "frames": recording.frames, "networks": results}


def add_quantize_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `facewire-export quantize`."""
    parser.add_argument("--clips", type=Path, help="folder of clips to calibrate on (default: the sample)")
    parser.add_argument("--models", default="", help="folder of the networks' manifest (default: the shipped ones)")
    parser.add_argument("--target", type=float, default=TARGET, help="dB from fp32 that a network must reach")
    parser.add_argument("--networks", nargs="+", help="which (default: all that run for every shown frame)")
    parser.add_argument("--frames", type=int, default=50, help="frames of each clip")
    parser.add_argument("--out", type=Path, help="file for the figures as JSON")


def main(options: argparse.Namespace) -> int:
    """Run `facewire-export quantize`."""
    found = quantize(
        options.models, options.clips, options.target, names=options.networks, frames=options.frames
    )
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        command = f"facewire-export quantize --clips CLIPS --target {options.target:g} --frames {options.frames}"
        options.out.write_text(json.dumps({"command": command, **found}, indent=1) + "\n", "utf-8")
    return 0
