"""The doctor on what the decoder's networks run on."""

from __future__ import annotations

from collections.abc import Iterable

from facewire.doctor.findings import NOTE, OK, Finding, Machine
from facewire.errors import ModelError
from facewire.networks.manifest import NetworkEntry


def gpu(machine: Machine) -> Iterable[Finding]:
    """On what the decoder's networks would run, and one line for each faster way that this machine lacks."""
    if machine.decoder is None:
        return
    from facewire.networks import DECODER, entries_for, load_manifest
    from facewire.networks import gpu as devices
    from facewire.networks.choice import AUTO_ORDER, PROBES, candidates, precision_for, told
    from facewire.networks.manifest import default_directory

    wanted = machine.decoder.network
    try:
        yield Finding("gpu", OK, str(devices.find()))
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
    from facewire.networks import gpu as devices
    from facewire.networks.engines import Engines
    from facewire.networks.tensorrt import load_tensorrt

    engines = Engines(load_tensorrt(), devices.find())
    missing = engines.missing(entries, 1)
    if missing:
        names = ", ".join(entry.name for entry in missing)
        text = f"not built yet for {names}: the first start takes minutes, or run facewire-export tensorrt"
        yield Finding("engines", NOTE, text)
    else:
        yield Finding("engines", OK, f"TensorRT {engines.place.version}, all built, in {engines.folder}")
