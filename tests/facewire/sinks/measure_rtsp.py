"""Measure the RTSP sink: CPU for each picture, and the time from `show` to a decoded picture in another process.

    PYTHONPATH=daemon .venv/bin/python tests/facewire/sinks/measure_rtsp.py [--seconds 20] [--size 512] [--json OUT]

Each picture carries its number as sixteen black or white blocks; the reader is GStreamer's rtspsrc without a jitter
buffer, then FFmpeg's decoder. CPU is this process's (the reader's is apart): conversion,
encoder, packets, sockets.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from facewire.sinks import gst
from facewire.sinks.rtsp import RtspSink
from facewire.sinks.spec import RtspSpec
from facewire.types import Picture

BITS = 16
BLOCK = 16


def marked(background: Picture, number: int) -> Picture:
    """The picture with its number in its upper left corner."""
    picture = background.copy()
    for bit in range(BITS):
        picture[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 235 if number >> bit & 1 else 16
    return picture


def read(address: str, transport: str) -> None:
    """The reader's process: prints `number time` for each picture that arrives."""
    import av

    module = gst.gstreamer()
    line = gst.pipeline(
        f"rtspsrc location={address} latency=0 protocols={transport} ! rtph264depay "
        "! video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=end sync=false"
    )
    line.set_state(module.State.PLAYING)
    end = line.get_by_name("end")
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1  # more would hold pictures back
    while (sample := end.emit("pull-sample")) is not None:
        unit = sample.get_buffer()
        for frame in decoder.decode(av.Packet(unit.extract_dup(0, unit.get_size()))):
            now = time.monotonic()
            row = frame.to_ndarray(format="gray")[BLOCK // 2, : BITS * BLOCK]
            number = sum(1 << bit for bit in range(BITS) if row[bit * BLOCK + BLOCK // 2] > 128)
            print(number, now, flush=True)


def moving(size: int) -> list[Picture]:
    """A second of something like a head that sways: smooth shapes, fine noise, motion of a few pixels."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:size, 0:size] / size
    texture = rng.normal(0, 6, (size, size, 3))
    pictures = []
    for k in range(25):
        sway = 0.02 * np.sin(2 * np.pi * k / 25)
        head = np.exp(-((((x - 0.5 - sway) / 0.2) ** 2 + ((y - 0.45) / 0.28) ** 2) ** 2))
        body = np.exp(-(((x - 0.5) / 0.4) ** 4 + ((y - 1.0) / 0.25) ** 4))
        base = np.stack([60 + 130 * head + 20 * body, 70 + 80 * head + 40 * body, 90 + 50 * head + 80 * body], axis=2)
        pictures.append(np.clip(base + np.roll(texture, round(sway * size), axis=1), 0, 255).astype(np.uint8))
    return pictures


def play(
    sink: RtspSink, pictures: list[Picture], seconds: float, first: int, shown: Callable[[int, float], None]
) -> float:
    """Show at 25 a second, numbered from `first`. Returns the CPU seconds that this process used."""
    before, start = time.process_time(), time.monotonic()
    for number in range(first, first + round(seconds * 25)):
        time.sleep(max(0.0, start + (number - first) / 25 - time.monotonic()))
        picture = marked(pictures[number % len(pictures)], number)
        shown(number, time.monotonic())
        sink.show(picture)
    return time.process_time() - before


def measure(size: int, seconds: float, transport: str, clients: int) -> dict[str, Any]:
    """One run with so many clients; the first one's arrivals are compared."""
    sink = RtspSink(RtspSpec("127.0.0.1", 0, "/live"), size, 25.0)
    readers = [
        subprocess.Popen(
            [sys.executable, __file__, "--read", sink.address, "--transport", transport],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ,
        )
        for _ in range(clients)
    ]  # fmt: skip
    arrivals: list[tuple[int, float]] = []

    def listen(reader: subprocess.Popen[str]) -> None:
        assert reader.stdout is not None
        for line in reader.stdout:
            number, when = line.split()
            arrivals.append((int(number), float(when)))

    if readers:
        threading.Thread(target=listen, args=(readers[0],), daemon=True).start()
    sent: dict[int, float] = {}
    pictures = moving(size)
    play(sink, pictures, 4.0, 0, lambda *_: None)
    arrivals.clear()
    cpu = play(sink, pictures, seconds, 1000, sent.__setitem__)
    time.sleep(0.5)
    first = dict(reversed(arrivals))  # the last picture is repeated in silence
    late = sorted((when - sent[number]) * 1000 for number, when in first.items() if number in sent)
    stats = sink.stats
    for reader in readers:
        reader.kill()
        reader.wait()
    sink.close()
    result: dict[str, Any] = {
        "size": size, "transport": transport, "clients": clients,
        "cpu_ms_per_frame": round(cpu / (seconds * 25) * 1000, 2), "dropped": stats.dropped,
    }  # fmt: skip
    if late:
        result["arrived"] = len(late)
        result["latency_ms"] = {p: round(float(np.percentile(late, q)), 1) for p, q in (("p50", 50), ("p95", 95))}
        result["latency_ms"]["max"] = round(late[-1], 1)
    return result


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--read")
    parser.add_argument("--transport", default="tcp")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.read:
        read(options.read, options.transport)
        return
    runs = [("tcp", 0), ("tcp", 1), ("udp", 1), ("tcp", 4)]
    results = [measure(options.size, options.seconds, transport, clients) for transport, clients in runs]
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} from other work",
        "command": "tests/facewire/sinks/measure_rtsp.py " + " ".join(sys.argv[1:]),
        "runs": results,
    }
    text = json.dumps(report, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
