"""`facewire doctor`: what this machine has for the job, one line each; exit code 1 if it cannot do it.

Each check looks at one thing and returns findings; none raises, none changes anything.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from facewire.config import DecoderConfig, EncoderConfig, load_decoder, load_encoder
from facewire.curve import AllowList, load_pair, load_servers
from facewire.errors import ConfigError, FacewireError, ModelError
from facewire.kernel import shortcomings
from facewire.logs import quiet_libraries
from facewire.networks.manifest import NetworkEntry
from facewire.transport import is_loopback

OK, NOTE, BAD = "ok", "note", "bad"
_MARKS = {OK: "ok  ", NOTE: "note", BAD: "BAD "}


@dataclass(frozen=True)
class Finding:
    """One line: about what, how it stands (ok; note: works, with less; bad: unusable), and what to do about it."""

    about: str
    state: str
    text: str

    def __str__(self) -> str:
        return f"{_MARKS[self.state]}  {self.about:<10}  {' '.join(self.text.split())}"


@dataclass(frozen=True)
class Machine:
    """What is to be checked, and the places where a test puts a machine of its own."""

    encoder: EncoderConfig | None
    decoder: DecoderConfig | None
    root: Path = Path("/")


def run(role: str | None = None, config: str | Path | None = None) -> int:
    """Prints the findings for a role ("encoder", "decoder", None: both). 0: usable, 1: something is bad."""
    if config is not None and role is None:
        raise ConfigError("doctor: settings belong to a role; say: facewire doctor encoder -c FILE, or decoder")
    encoder = load_encoder(config if role == "encoder" else None) if role != "decoder" else None
    decoder = load_decoder(config if role == "decoder" else None) if role != "encoder" else None
    worst = OK
    for finding in examine(Machine(encoder, decoder)):
        print(finding, flush=True)
        worst = BAD if BAD in (worst, finding.state) else worst
    return 1 if worst == BAD else 0


def examine(machine: Machine, checks: Iterable[Callable[[Machine], Iterable[Finding]]] | None = None) -> list[Finding]:
    """All findings. A check that fails in a way nobody foresaw is a bad finding, not a traceback."""
    found: list[Finding] = []
    for check in CHECKS if checks is None else checks:
        try:
            found += check(machine)
        except FacewireError as error:
            found.append(Finding(check.__name__.strip("_"), BAD, str(error)))
        except Exception as error:
            found.append(Finding(check.__name__.strip("_"), BAD, f"the check failed: {type(error).__name__}: {error}"))
    return found


def _python(_: Machine) -> Iterable[Finding]:
    version = f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores"
    good = (3, 10) <= sys.version_info[:2] <= (3, 12)
    yield Finding("python", OK if good else BAD, version if good else f"{version}; needs Python 3.10-3.12")


def _packages(machine: Machine) -> Iterable[Finding]:
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


def _models(machine: Machine) -> Iterable[Finding]:
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


def _gpu(machine: Machine) -> Iterable[Finding]:
    """On what the decoder's networks would run, and one line for each faster way that this machine lacks."""
    if machine.decoder is None:
        return
    from facewire.networks import DECODER, entries_for, gpu, load_manifest
    from facewire.networks.choice import AUTO_ORDER, PROBES, candidates, precision_for, told
    from facewire.networks.manifest import default_directory

    wanted = machine.decoder.network
    try:
        yield Finding("gpu", OK, str(gpu.find()))
        there = True
    except ModelError as error:
        yield Finding("gpu", NOTE, f"{error}; the networks run on the CPU ({wanted.threads} threads)")
        there = False
    if there:
        for provider in AUTO_ORDER[:-1]:
            why_not = PROBES[provider]()
            yield Finding(provider, NOTE if why_not else OK, why_not or "can be used")
    provider = candidates(wanted.provider)[0].provider
    manifest = load_manifest(default_directory(wanted.models))
    entries = entries_for(manifest, DECODER, provider)
    chosen = {entry.name: precision_for(entry, provider, wanted.precision) for entry in entries}
    yield Finding("networks", OK, f"run on {provider}: {told(chosen)}")
    if provider == "tensorrt":
        yield from _engines([entry.at(chosen[entry.name]) for entry in entries])


def _engines(entries: list[NetworkEntry]) -> Iterable[Finding]:
    from facewire.networks import gpu
    from facewire.networks.engines import Engines
    from facewire.networks.tensorrt import load_tensorrt

    engines = Engines(load_tensorrt(), gpu.find())
    missing = engines.missing(entries, 1)
    if missing:
        names = ", ".join(entry.name for entry in missing)
        text = f"not built yet for {names}: the first start takes minutes, or run facewire-export tensorrt"
        yield Finding("engines", NOTE, text)
    else:
        yield Finding("engines", OK, f"TensorRT {engines.place.version}, all built, in {engines.folder}")


def _camera(machine: Machine) -> Iterable[Finding]:
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


def _gstreamer(machine: Machine) -> Iterable[Finding]:
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


def _display(machine: Machine) -> Iterable[Finding]:
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


def _link(machine: Machine) -> Iterable[Finding]:
    if machine.decoder is not None and machine.encoder is None and machine.decoder.connect.startswith("tcp://"):
        host, _, port = machine.decoder.connect[6:].rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
                yield Finding("link", OK, f"{machine.decoder.connect} answers")
        except OSError as error:
            text = f"{machine.decoder.connect}: {error.strerror or error}; is the encoder on, is the port open?"
            yield Finding("link", NOTE, text)
    if machine.encoder is not None:
        bind = machine.encoder.bind
        if bind.startswith(("tcp://127.", "tcp://[::1]", "tcp://localhost")):
            yield Finding(
                "link", NOTE, f"bind is {bind}: decoders on this machine only; tcp://0.0.0.0:5555 lets others in"
            )
        else:
            yield Finding("link", OK, f"bind is {bind}, profile {machine.encoder.profile}")


def _tcp(machine: Machine) -> Iterable[Finding]:
    ends = [machine.encoder.bind] if machine.encoder else []
    ends += [machine.decoder.connect] if machine.decoder else []
    if all(is_loopback(end) for end in ends):
        return
    lacks = [*shortcomings(machine.root, sends=machine.encoder is not None)]
    yield from (Finding("tcp", NOTE, text) for text in lacks)
    if not lacks:
        yield Finding("tcp", OK, "Fast Open, no timestamps, short pauses after an outage")


def _keys(machine: Machine) -> Iterable[Finding]:
    for role, config, endpoint in (
        ("encoder", machine.encoder, machine.encoder.bind if machine.encoder else ""),
        ("decoder", machine.decoder, machine.decoder.connect if machine.decoder else ""),
    ):
        if config is None:
            continue
        try:
            place = config.curve.directory(endpoint)
            if place:
                pair, other = Path(place) / f"{role}.key_secret", AllowList(Path(place))
                load_pair(pair)
                known = len(other.keys) if role == "encoder" else len(load_servers(Path(place)))
                bad = [Finding("keys", BAD, fault) for fault in (other.faults if role == "encoder" else ())]
                yield from bad
                if role == "encoder" and not known:
                    yield Finding("keys", BAD, f"{place}: no decoder*.key: nobody is let in; put public keys there")
                elif not bad:
                    many = f"{known} decoder{'' if known == 1 else 's'} let in"
                    what = many if role == "encoder" else "encoder known"
                    yield Finding("keys", OK, f"{role}: {place}, {what}")
            elif config.curve.plain:
                yield Finding("keys", NOTE, f"{role}: curve.plain is true: whoever is on the way can watch")
        except ConfigError as error:
            yield Finding("keys", BAD, str(error))


def _clock(_: Machine) -> Iterable[Finding]:
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


def _cache(machine: Machine) -> Iterable[Finding]:
    if machine.decoder is None:
        return
    place = machine.decoder.cache_directory()
    nearest = next(p for p in (place, *place.parents) if p.exists())
    if os.access(nearest, os.W_OK | os.X_OK):
        yield Finding("cache", OK, f"{place}, {shutil.disk_usage(nearest).free >> 20} MiB free")
    else:
        yield Finding("cache", NOTE, f"{place} cannot be written: pivots are sent again after each restart")


CHECKS: tuple[Callable[[Machine], Iterable[Finding]], ...] = (
    _python, _packages, _models, _gpu, _camera, _gstreamer, _display, _link, _tcp, _keys, _clock, _cache,
)  # fmt: skip
