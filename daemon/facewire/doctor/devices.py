"""The doctor on what is plugged in: camera, screen, and what encodes for others."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from facewire.doctor.findings import BAD, NOTE, OK, Finding, Machine
from facewire.logs import quiet_libraries


def camera(machine: Machine) -> Iterable[Finding]:
    if machine.encoder is None:
        return
    spec = machine.encoder.source
    if spec.startswith("file:"):
        path = Path(spec[5:].split("?")[0])
        yield Finding("camera", OK if path.is_file() else BAD, f"{path}" + ("" if path.is_file() else ": no such file"))
        return
    if spec.startswith(("rtsp", "sample")):
        yield Finding("camera", OK, f"source is {spec.split('@')[-1]}; not tried")
        return
    from facewire.sources import picamera2, v4l2

    with quiet_libraries():
        found = [f"picamera2:{i} ({name})" for i, name in enumerate(picamera2.cameras())]
        found += [f"v4l2:{camera.path} ({camera.card})" for camera in v4l2.cameras(str(machine.root / "dev"))]
    nodes = sorted((machine.root / "dev").glob("video[0-9]*"))
    locked = [str(node) for node in nodes if not os.access(node, os.R_OK | os.W_OK)]
    if found:
        yield Finding("camera", OK, ", ".join(found))
    elif locked:
        yield Finding("camera", BAD, f"{locked[0]} may not be opened; add the user to the group video")
    elif spec == "auto":
        yield Finding("camera", NOTE, "none found; the encoder would send its sample")
    else:
        yield Finding("camera", BAD, f"none found, but the source is {spec}; plug it in, or use sample:")


def gstreamer(machine: Machine) -> Iterable[Finding]:
    if machine.decoder is None or not any(s.startswith(("rtsp", "hdmi", "window")) for s in machine.decoder.sinks):
        return
    from facewire.sinks import gst
    from facewire.sinks.encoders import best_encoder

    version = gst.gstreamer().version_string()
    yield Finding("gstreamer", OK, version)
    if any(s.startswith("rtsp") for s in machine.decoder.sinks):
        gst.repository("GstRtspServer")
        encoder = best_encoder("", machine.decoder.size, 25.0)
        yield Finding("h264", OK, f"{encoder.element} ({'hardware' if encoder.hardware else 'software'})")


def display(machine: Machine) -> Iterable[Finding]:
    if machine.decoder is None:
        return
    from facewire.sinks import drm

    wanted = any(s.startswith("hdmi") for s in machine.decoder.sinks)
    all_of_them = drm.connectors(machine.root / "sys/class/drm")
    plugged = [f"{c.card} {c.name}" for c in all_of_them if c.connected]
    if plugged:
        yield Finding("display", OK, ", ".join(plugged))
    elif wanted:
        why = "nothing is plugged in" if all_of_them else "no graphics card (/sys/class/drm)"
        yield Finding("display", BAD, f"a sink is hdmi:, but {why}")
