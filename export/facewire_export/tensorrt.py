"""`facewire-export tensorrt`: builds the TensorRT engines of this machine beforehand.

A decoder that runs on TensorRT builds what is missing when it starts; on a Jetson that takes minutes. This does the
same, with the same cache, while nobody waits for a picture. Run it as the user of the service, or name its cache:

    FACEWIRE_ENGINES=/var/cache/facewire/decoder/engines facewire-export tensorrt
"""

from __future__ import annotations

import argparse

from facewire.errors import FacewireError
from facewire.names import PRECISIONS
from facewire.networks import DECODER, entries_for, load_manifest
from facewire.networks import gpu as driver
from facewire.networks.choice import precision_for
from facewire.networks.engines import Engines
from facewire.networks.tensorrt import load_tensorrt


def add_tensorrt_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `facewire-export tensorrt`."""
    parser.add_argument("--models", default="", help="folder of the networks' manifest (default: the shipped ones)")
    parser.add_argument("--precision", default="auto", choices=PRECISIONS)
    parser.add_argument("--batch", type=int, default=1, help="the most sites that share the GPU")
    parser.add_argument("--rebuild", action="store_true", help="build again what is there")


def main(options: argparse.Namespace) -> int:
    """Run `facewire-export tensorrt`."""
    if options.batch < 1:
        raise FacewireError(f"--batch {options.batch}: must be at least 1")
    gpu = driver.find()
    engines = Engines(load_tensorrt(), gpu, say=lambda text: print(text, flush=True))
    print(f"{gpu}, TensorRT {engines.place.version}; engines in {engines.folder}")
    manifest = load_manifest(options.models)
    for entry in entries_for(manifest, DECODER, "tensorrt"):
        chosen = entry.at(precision_for(entry, "tensorrt", options.precision))
        if options.rebuild:
            engines.drop(chosen, options.batch)
        if not engines.missing([chosen], options.batch):
            print(f"{chosen.name}: there already ({engines.path(chosen, options.batch).name})")
            continue
        engines.get(chosen, options.batch)
    return 0
