"""VMAF by an ffmpeg that was built with libvmaf, with its own model vmaf_v0.6.1; 0 to 100, higher is better.

Li, Aaron, Katsavounidis, Moorthy, Manohara: "Toward a practical perceptual video quality metric", Netflix 2016. It was
taught on television pictures and coding faults, and looks at luma alone. Identical pictures get 97 to 100. Frames come
in runs of a few that follow each other: its movement feature takes the smaller of a frame's two differences, so that a
gap between runs does not count as movement.
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from pathlib import Path

from facewire.types import Picture
from facewire_export.evaluation.ffmpeg import program_with
from facewire_export.evaluation.footage import planar
from facewire_export.metrics import MetricError

VMAF = "vmaf"
HINT = "no ffmpeg with libvmaf was found; pip install imageio-ffmpeg, or name one by FACEWIRE_FFMPEG"
NAMES = ("shown.yuv", "real.yuv")
"""libvmaf wants the distorted one first."""


def program() -> str:
    """An ffmpeg that has libvmaf, or ""."""
    return program_with("filters", "libvmaf")


class Vmaf:
    """Keeps frames on disk until they are judged together. Without a program it keeps nothing and tells NaN."""

    def __init__(self) -> None:
        self._side = 0
        self._folder = tempfile.TemporaryDirectory(prefix="facewire-vmaf-") if program() else None

    def add(self, real: Picture, shown: Picture) -> None:
        """The next frame of both, uint8 [side, side, 3] RGB."""
        if self._folder is None:
            return
        self._side = real.shape[0]
        for name, picture in zip(NAMES, (shown, real), strict=True):
            with Path(self._folder.name, name).open("ab") as handle:
                handle.write(planar(picture).tobytes())

    def result(self) -> float:
        """Mean over the frames; NaN where there is none. The frames go. Raises MetricError when the program fails."""
        if self._folder is None or not self._side:
            return math.nan
        with self._folder as folder:
            command = [program(), "-hide_banner", "-loglevel", "error", "-nostdin"]
            for name in NAMES:
                command += ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{self._side}x{self._side}", "-i", name]
            command += ["-lavfi", "libvmaf=log_fmt=json:log_path=log.json:n_threads=1", "-f", "null", "-"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
            log = Path(folder, "log.json")
            if done.returncode or not log.is_file():
                said = done.stderr.strip().splitlines() or ["it wrote nothing"]
                raise MetricError(f"libvmaf of {Path(program()).name} failed: {said[-1]}")
            return float(json.loads(log.read_text("utf-8"))["pooled_metrics"]["vmaf"]["mean"])
