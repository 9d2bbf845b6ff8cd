"""What the machine was that a number was measured on."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import os
import platform
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("numpy", "onnxruntime", "opencv-contrib-python", "mediapipe", "av", "pillow", "torch")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def describe() -> dict[str, object]:
    """Processor, cores that may be used, load, Python and the packages that matter. No host or user name."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "packages": versions,
    }


def forbid_realtime() -> None:
    """Programs that are started from here on get no real-time priority, root's neither (CAP_SYS_NICE is dropped from
    the bounding set: prctl(2), capabilities(7)).

    SVT-AV1 asks for it. Its caller's threads then spin at that priority while they wait for threads that have it not,
    which never run: on two cores, two workers stood still for ever. Without effect for who may not drop it.
    """
    drop, nice = 24, 23  # PR_CAPBSET_DROP, CAP_SYS_NICE
    ctypes.CDLL(None).prctl(drop, nice, 0, 0, 0)


@contextlib.contextmanager
def same_priority() -> Iterator[None]:
    """Whatever asks for real-time priority in here, the calling thread has afterwards what it had before."""
    policy, before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, before)


def cpu_seconds() -> float:
    """Seconds of CPU that this process and the programs it waited for have used."""
    return sum(os.times()[:4])
