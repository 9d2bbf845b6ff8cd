"""Soak the RTSP sink: players come, play a little and die in every way, while memory and descriptors are watched.

    PYTHONPATH=daemon .venv/bin/python tests/facewire/sinks/soak_rtsp.py [--seconds 60]

Ends with 1 if memory, descriptors or threads still grow after the first half, or the server is not in order at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from facewire.sinks.rtsp import RtspSink
from facewire.sinks.spec import RtspSpec

PLAYERS = 3
GROWTH_MB = 12.0


def die_somehow(address: str, port: int, rng: random.Random) -> None:
    """One client's life."""
    way = rng.choice(["kill", "kill", "terminate", "frozen", "half", "garbage"])
    if way in ("half", "garbage"):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2.0) as one:
            request = f"DESCRIBE {address} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode()
            one.sendall(request if way == "half" else rng.randbytes(500))
            time.sleep(rng.uniform(0, 0.5))
        return
    player = subprocess.Popen(
        ["ffmpeg", "-v", "quiet", "-rtsp_transport", rng.choice(["tcp", "udp"]), "-i", address, "-f", "null", "-"],
        stdin=subprocess.DEVNULL,
    )
    time.sleep(rng.uniform(0.05, 2.5))
    if way == "frozen":
        player.send_signal(signal.SIGSTOP)
        time.sleep(rng.uniform(0.1, 2.0))
    player.send_signal(signal.SIGTERM if way == "terminate" else signal.SIGKILL)
    player.kill() if way == "frozen" else None
    player.wait()


def vitals() -> tuple[float, int, int]:
    """Resident megabytes, open descriptors, threads of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    here = Path("/proc/self")
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(list(here.glob("fd/*"))), len(list(here.glob("task/*")))


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    seconds = parser.parse_args().seconds
    sink = RtspSink(RtspSpec("127.0.0.1", 0, "/live"), 512, 25.0)
    over = threading.Event()
    lives = [0] * PLAYERS

    def crowd(place: int) -> None:
        rng = random.Random(place)
        while not over.is_set():
            die_somehow(sink.address, sink.port, rng)
            lives[place] += 1

    threads = [threading.Thread(target=crowd, args=(place,)) for place in range(PLAYERS)]
    for thread in threads:
        thread.start()
    start = report = time.monotonic()
    number, slowest = 0, 0.0
    samples: list[tuple[float, int, int]] = []
    picture = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
    picture = np.ascontiguousarray(np.repeat(np.repeat(picture[::32, ::32], 32, 0), 32, 1))
    while time.monotonic() - start < seconds:
        began = time.monotonic()
        sink.show(np.roll(picture, number * 3, axis=1))
        slowest = max(slowest, time.monotonic() - began)
        number += 1
        time.sleep(0.03)
        if time.monotonic() - report > seconds / 12:
            report = time.monotonic()
            samples.append(vitals())
            memory, files, tasks = samples[-1]
            print(f"{report - start:5.0f} s  {memory:6.1f} MB  {files:3d} files  {tasks:3d} threads  "
                  f"{sum(lives):4d} clients gone  {sink.stats}", flush=True)  # fmt: skip
    over.set()
    for thread in threads:
        thread.join()
    end = time.monotonic() + 15.0
    while (sink.stats.clients or sink._feed) and time.monotonic() < end:
        sink.show(picture)
        time.sleep(0.04)
    left, encoding = sink.stats.clients, sink._feed is not None
    sink.close()
    time.sleep(1.0)
    last = vitals()
    half = samples[len(samples) // 2]
    print(f"end: {last[0]:.1f} MB, {last[1]} files, {last[2]} threads, {sum(lives)} clients gone, {left} left, "
          f"encoding {encoding}, slowest show {slowest * 1000:.1f} ms")  # fmt: skip
    steady = max(sample[0] for sample in samples[len(samples) // 2 :]) - half[0] < GROWTH_MB
    return 0 if steady and left == 0 and not encoding and last[1] <= 12 else 1


if __name__ == "__main__":
    sys.exit(main())
