"""`facewire-export throughput`: the whole decoder on every provider of this machine, for one stream and for many.

One command measures all that can be said of a GPU, so that a machine that is there for an hour is enough:

    facewire-export throughput --full --streams 1 4 16 64 --out results/gpu.json

For each provider (tensorrt, cuda, ort-tensorrt, cpu: those that are here) and each number of streams: shown frames a
second in total, milliseconds from a message to its picture (median, 99 %), how many runs were made together, GPU
memory. For one stream also where a frame's time goes: each network alone, copies to and from the device, the rest in
Python. Parity comes first: a fast picture that is wrong is worth nothing. --full adds the wide tier, untrained, for
its times alone. Times are wall clock; run it on an idle machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from facewire.errors import FacewireError
from facewire.names import PROVIDERS
from facewire.networks import Networks, gpu, load_manifest, open_networks
from facewire.networks.choice import PROBES
from facewire.networks.session import host
from facewire.networks.sharing import Shared, shared
from facewire.showing.decoding import Decoding
from facewire.types import Epoch, Message
from facewire_export.machine import describe
from facewire_export.parity import parity
from facewire_export.rehearsal import Recording, clips_in, record, streams
from facewire_export.timing import measure


@dataclass
class Stream:
    """One site's share of the work: how many frames it showed and how long each took."""

    frames: int = 0
    waits: list[float] = field(default_factory=list)
    """Seconds from a message to each of its pictures."""

    def play(self, decoding: Decoding, messages: Sequence[Message], end: threading.Event) -> None:
        """Show the stream's frames, again from its start when it is over, until `end`."""
        epoch, pivot, *bundles = messages
        assert isinstance(epoch, Epoch)
        for turn in itertools.count(1):
            list(decoding.push(replace(epoch, stream=turn)))
            list(decoding.push(pivot))
            for message in bundles:
                began = time.perf_counter()
                for _ in decoding.push(message):
                    self.waits.append(time.perf_counter() - began)
                    self.frames += 1
                if end.is_set():
                    return


def run_streams(
    networks: Networks, messages: Sequence[Message], count: int, size: int, seconds: float
) -> dict[str, Any]:
    """`count` streams at once on one set of networks, each on a thread of its own, for so many seconds."""
    together = shared(networks)
    found = [Stream() for _ in range(count)]
    end, failures = threading.Event(), list[BaseException]()

    def play(stream: Stream, decoding: Decoding) -> None:
        try:
            stream.play(decoding, messages, end)
        except BaseException as error:
            failures.append(error)
            end.set()

    decodings = [Decoding(together, size) for _ in found]
    for message in messages[:6]:
        list(decodings[0].push(message))  # first runs choose algorithms and allocate
    decodings[0] = Decoding(together, size)
    threads = [threading.Thread(target=play, args=pair, daemon=True) for pair in zip(found, decodings, strict=True)]
    memory = memory_mb()
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    end.wait(seconds)
    end.set()
    for thread in threads:
        thread.join(60)
    spent = time.perf_counter() - began
    if failures:
        raise failures[0]
    waits = np.concatenate([stream.waits for stream in found]) * 1000
    result: dict[str, Any] = {
        "streams": count,
        "shown_fps": round(sum(stream.frames for stream in found) / spent, 1),
        "slowest_stream_fps": round(min(stream.frames for stream in found) / spent, 1),
        "ms_p50": round(float(np.percentile(waits, 50)), 2),
        "ms_p99": round(float(np.percentile(waits, 99)), 2),
    }
    if memory is not None:
        result["gpu_memory_mb"] = memory_mb()
    made = [session for session in together.sessions.values() if isinstance(session, Shared) and session.runs]
    if made:
        result["runs_made_together"] = round(sum(s.requests for s in made) / sum(s.runs for s in made), 2)
    return result


def profile(networks: Networks, recording: Recording, fps: float, seconds: float) -> dict[str, Any]:
    """Where a shown frame's milliseconds go: each network (queued and waited for), copies of a picture, the rest."""
    frame = 1000 / fps
    parts: dict[str, float] = {}
    for name, feeds in recording.feeds.items():
        share = recording.runs[name] / recording.frames
        session, feed = networks[name], feeds[0]
        for value in feed.values():
            value.setflags(write=False)  # stay on the device: copies are timed by themselves

        def once(session: Any = session, feed: Any = feed) -> None:
            made = session.run(feed)
            smallest = min(made, key=lambda key: int(np.prod(made[key].shape)))
            host(made[smallest])

        parts[name] = measure(once, seconds, 5, 3).median * share
    made = networks["generator"].run(recording.feeds["generator"][0])["picture"]
    if not isinstance(made, np.ndarray):
        parts["picture_to_host"] = measure(lambda: host(made), seconds, 5).median
    known = sum(parts.values())
    return {
        "frame_ms": round(frame, 3),
        **{f"{name}_ms": round(value, 3) for name, value in parts.items()},
        "rest_ms": round(frame - known, 3),
        "note": "rest: Python, resizing, blending, colour conversion; below zero where stages overlap",
    }


def memory_mb() -> int | None:
    """MiB in use on the GPU, by nvidia-smi; None where it is not there (Jetsons share their memory)."""
    if shutil.which("nvidia-smi") is None:
        return None
    asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
    first = done.stdout.strip().splitlines()[:1]
    return int(first[0]) if done.returncode == 0 and first and first[0].strip().isdigit() else None


def versions() -> dict[str, Any]:
    """GPU, CUDA and TensorRT, as far as they are here."""
    found: dict[str, Any] = {"date": datetime.now(timezone.utc).date().isoformat()}
    try:
        found["gpu"] = str(gpu.find())
        from facewire.networks.tensorrt import load_tensorrt

        found["tensorrt"] = str(load_tensorrt().__version__)
    except (FacewireError, ImportError) as error:
        found["missing"] = " ".join(str(error).split())
    return found


def tier(
    models: str, providers: Sequence[str], counts: Sequence[int], clip: Path | None, size: int, seconds: float,
    frames: int, say: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    """All providers and numbers of streams for the networks of one manifest."""
    manifest = load_manifest(models)
    reference = open_networks(manifest, provider="cpu", precision="fp32")
    played = streams(reference, clips_in(clip, 1), frames)
    recording = record(reference, [played[0][:12]], size, 2)
    results: dict[str, Any] = {}
    for provider in providers:
        try:
            began = time.perf_counter()
            networks = open_networks(manifest, provider=provider, batch=max(counts))
            result: dict[str, Any] = {"opened_s": round(time.perf_counter() - began, 2), "runs": []}
            for count in counts:
                run = run_streams(networks, played[0], count, size, seconds)
                result["runs"].append(run)
                say(f"{manifest.tier} {provider}: {run}")
            result["profile"] = profile(networks, recording, result["runs"][0]["shown_fps"], seconds / 10)
            results[provider] = result
        except FacewireError as error:
            results[provider] = {"error": str(error)}
            say(f"{manifest.tier} {provider}: {error}")
    best = {p: max(run["shown_fps"] for run in r["runs"]) for p, r in results.items() if r.get("runs")}
    ratios = {f"{a}_to_{b}": round(best[a] / best[b], 2) for a in best for b in best if a != b and best[b]}
    return {"tier": manifest.tier, "id": manifest.id.hex(), "providers": results, "ratios_of_best_fps": ratios}


def throughput(
    models: str, providers: Sequence[str] | None, counts: Sequence[int], clip: Path | None, size: int, seconds: float,
    full: bool, frames: int = 101, say: Callable[[str], None] = print,
) -> dict[str, Any]:  # fmt: skip
    """Everything; see the head of this file."""
    if not counts or min(counts) < 1:
        raise FacewireError("--streams: at least one, each at least 1")
    here = providers or [name for name in PROVIDERS if name != "auto" and PROBES[name]() is None]
    result: dict[str, Any] = {"machine": describe(), **versions(), "shown_size": size, "seconds": seconds}
    try:
        checked = parity(models, clip, min(frames, 26), size, say=say)
        result["parity"] = {way: found["pictures"] for way, found in checked["ways"].items()}
        result["parity_faults"] = checked["faults"]
    except FacewireError as error:
        result["parity"] = str(error)
    result["tiers"] = [tier(models, here, counts, clip, size, seconds, frames, say)]
    if full:
        from facewire_export import half
        from facewire_export.networks.tiers import TIERS
        from facewire_export.onnx_export import export

        with tempfile.TemporaryDirectory(prefix="facewire-full-") as folder:
            export(TIERS["full"], None, Path(folder), "none")
            half.write(folder, clip, say)
            result["tiers"].append(tier(folder, here, counts, clip, size, seconds, frames, say))
    return result


def add_throughput_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `facewire-export throughput`."""
    parser.add_argument("--models", default="", help="folder of the networks' manifest (default: the shipped ones)")
    parser.add_argument("--provider", nargs="+", choices=PROVIDERS[1:], help="which (default: all that are here)")
    parser.add_argument("--streams", nargs="+", type=int, default=[1, 4, 16], metavar="N", help="numbers of streams")
    parser.add_argument("--clip", type=Path, help="clip to play (default: the sample)")
    parser.add_argument("--size", type=int, default=512, help="shown size in pixels")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each number of streams")
    parser.add_argument("--frames", type=int, default=101, help="frames of the clip that are played again and again")
    parser.add_argument("--full", action="store_true", help="the wide tier as well (needs torch)")
    parser.add_argument("--out", type=Path, help="file for the figures as JSON")


def main(options: argparse.Namespace) -> int:
    """Run `facewire-export throughput`; 1 where parity is broken."""
    found = throughput(
        options.models, options.provider, options.streams, options.clip, options.size, options.seconds, options.full,
        options.frames,
    )
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        words = f"--streams {' '.join(map(str, options.streams))} --size {options.size} --seconds {options.seconds:g}"
        command = f"facewire-export throughput {words}{' --full' if options.full else ''}"
        options.out.write_text(json.dumps({"command": command, **found}, indent=1) + "\n", "utf-8")
    return 1 if found.get("parity_faults") else 0
