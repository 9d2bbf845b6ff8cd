"""The doctor on the machine itself: clock and disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable

from facewire.doctor.findings import NOTE, OK, Finding, Machine


def clock(_: Machine) -> Iterable[Finding]:
    tool = shutil.which("timedatectl")
    if tool is None:
        return
    try:
        done = subprocess.run(
            [tool, "show", "-p", "NTPSynchronized", "--value"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.stdout.strip() == "yes":
        yield Finding("clock", OK, "synchronised")
    elif done.stdout.strip() == "no":
        yield Finding("clock", NOTE, "not synchronised: log times may be wrong; pictures do not depend on it")


def cache(machine: Machine) -> Iterable[Finding]:
    if machine.decoder is None:
        return
    place = machine.decoder.cache_directory()
    nearest = next(p for p in (place, *place.parents) if p.exists())
    if os.access(nearest, os.W_OK | os.X_OK):
        yield Finding("cache", OK, f"{place}, {shutil.disk_usage(nearest).free >> 20} MiB free")
    else:
        yield Finding("cache", NOTE, f"{place} cannot be written: pivots are sent again after each restart")
