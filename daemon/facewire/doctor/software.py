"""The doctor on what is installed: Python, packages, networks."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from importlib import metadata, util

from facewire.doctor.findings import BAD, NOTE, OK, Finding, Machine


def python(_: Machine) -> Iterable[Finding]:
    version = f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores"
    good = (3, 10) <= sys.version_info[:2] <= (3, 12)
    yield Finding("python", OK if good else BAD, version if good else f"{version}; needs Python 3.10-3.12")


def packages(machine: Machine) -> Iterable[Finding]:
    needed = {"numpy": "numpy", "onnxruntime": "onnxruntime", "pyzmq": "zmq", "av": "av", "pillow": "PIL"}
    needed["opencv"] = "cv2"
    if machine.encoder:
        needed["mediapipe"] = "mediapipe"
    missing = [name for name, module in needed.items() if util.find_spec(module) is None]
    if missing:
        yield Finding("packages", BAD, f"not installed: {', '.join(missing)}; run ./facewire.sh setup")
        return
    versions = []
    for name in needed:
        for dist in (name, "opencv-contrib-python") if name == "opencv" else (name,):
            try:
                versions.append(f"{name} {metadata.version(dist)}")
                break
            except metadata.PackageNotFoundError:
                continue
    yield Finding("packages", OK, ", ".join(versions))


def models(machine: Machine) -> Iterable[Finding]:
    from facewire.networks import DECODER, ENCODER, ON_GPUS, load_manifest
    from facewire.networks.manifest import default_directory

    for config, names in ((machine.encoder, ENCODER), (machine.decoder, DECODER)):
        if config is None:
            continue
        manifest = load_manifest(default_directory(config.network.models))
        lacking = [name for name in names if name not in manifest.networks and name not in ON_GPUS]
        for name in names:
            if name in manifest.networks:
                manifest.entry(name).read()
        role = "encoder" if names is ENCODER else "decoder"
        text = f"{role}: {manifest.tier}, id {manifest.id.hex()}, all files as the manifest says"
        yield Finding("models", NOTE if lacking else OK, text + (f"; without {', '.join(lacking)}" if lacking else ""))
