"""The ffmpeg programs of this machine: $FACEWIRE_FFMPEG, the one on the path, and the one that the Python package
imageio-ffmpeg carries. Builds differ in which encoders and filters they have."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess


def candidates() -> list[str]:
    """Programs that may be an ffmpeg, best first."""
    found = [os.environ.get("FACEWIRE_FFMPEG"), shutil.which("ffmpeg")]
    try:
        import imageio_ffmpeg

        found.append(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        pass
    return [program for program in found if program]


@functools.cache
def program_with(kind: str, name: str) -> str:
    """The first that lists `name` among its `kind` ("encoders", "filters"), or ""."""
    for program in candidates():
        try:
            listing = subprocess.run(
                [program, "-hide_banner", f"-{kind}"], capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if f" {name} " in listing.stdout:
            return program
    return ""
