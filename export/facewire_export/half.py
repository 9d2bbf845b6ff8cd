"""`facewire-export half`: explicitly typed fp16 files for GPUs, with a free batch size.

TensorRT 11 knows no fp16 flag any more: a network computes in the types that its file says. So the file says fp16
for convolutions and what lies between them, and fp32 for everything that is a place: keypoints, what is computed from
them, grids, GridSample. Half a pixel of 256 needs nine bits, a warp's sums need more than fp16's eleven. Inputs and
outputs stay fp32.

The shipped files take one picture at a time, because that is fastest on CPUs. One host for many sites wants a batch;
the first size of every tensor is freed here, and the result is held against single runs before it is kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper, shape_inference

from facewire.errors import FacewireError
from facewire.networks import Networks, load_manifest, open_networks
from facewire.networks.manifest import NetworkEntry
from facewire.networks.session import host
from facewire.showing.upscale import Upscaler
from facewire_export import finisher, variants
from facewire_export.metrics import psnr
from facewire_export.parity import decibels, is_place
from facewire_export.rehearsal import Feed, Recording, answers, clips_in, record, streams
from facewire_export.variants import fresh, keep

PRECISION = "fp16"
LAYERS = frozenset({"Conv", "ConvTranspose"})
"""Where the search for what a place is computed from ends. The layer whose output is a place stays in fp32 too: it is
a small one, and what it rounds is moved by."""
TOLERANCE_DB = 50.0
BATCH_DB = 90.0
FINISHER_DB = 40.0
"""Between an upscaler's patches, whose rims are padded and blended, and the same network over the whole picture."""


def halved(data: bytes) -> bytes:
    """A network with fp16 convolutions and fp32 geometry, inputs and outputs, checked by ONNX. FacewireError."""
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = _inferred(onnx.load_from_string(data))
    _name_nodes(model)
    blocked = [*DEFAULT_OP_BLOCK_LIST, "GridSample"]
    converted = convert_float_to_float16(
        model, keep_io_types=True, op_block_list=blocked, node_block_list=sorted(geometry(model))
    )
    _unrounded(converted.graph)
    OnnxModel.graph_topological_sort(converted.graph)  # the casts of inputs were put last
    try:
        onnx.checker.check_model(converted, full_check=True)
    except Exception as error:
        raise FacewireError(f"the fp16 graph is not valid: {' '.join(str(error).split())}") from error
    out: bytes = converted.SerializeToString()
    return out


def _unrounded(graph: Any) -> None:
    """What is made fp16 on its way from one fp32 node (or an input) to another goes there as it came."""
    halves = {node.output[0]: node.input[0] for node in graph.node if _casts_to(node, onnx.TensorProto.FLOAT16)}
    for node in graph.node:
        if _casts_to(node, onnx.TensorProto.FLOAT) and node.input[0] in halves:
            node.input[0] = halves[node.input[0]]


def _casts_to(node: Any, kind: int) -> bool:
    return bool(node.op_type == "Cast" and node.attribute[0].i == kind)


def geometry(model: Any) -> set[str]:
    """Names of the nodes that compute places: everything between a layer and a GridSample's grid or an output that is
    a place, and everything that follows from an input that is one, up to the next layer."""
    makers = {output: node for node in model.graph.node for output in node.output}
    users: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    found: set[str] = set()

    def back(names: Iterable[str]) -> None:
        waiting = [makers[name] for name in names if name in makers]
        while waiting:
            node = waiting.pop()
            if node.name in found:
                continue
            found.add(node.name)
            if node.op_type not in LAYERS:
                waiting += [makers[name] for name in node.input if name in makers]

    def forth(names: Iterable[str]) -> None:
        waiting = [node for name in names for node in users.get(name, [])]
        seen: set[str] = set()
        while waiting:
            node = waiting.pop()
            if node.name in seen or node.op_type in LAYERS:
                continue
            seen.add(node.name)
            if node.op_type == "GridSample":
                continue  # what is looked up is colours again
            waiting += [user for name in node.output for user in users.get(name, [])]
        found.update(seen)

    back(node.input[1] for node in model.graph.node if node.op_type == "GridSample")
    back(value.name for value in model.graph.output if is_place(value.name))
    forth(value.name for value in model.graph.input if is_place(value.name))
    return found


def _name_nodes(model: Any) -> None:
    for index, node in enumerate(model.graph.node):
        if not node.name:
            node.name = f"{node.op_type}_{index}"


def _inferred(model: Any) -> Any:
    return shape_inference.infer_shapes(model, data_prop=True)


def freed(data: bytes) -> bytes:
    """A network that takes any number of pictures at once, as fp32."""
    model = onnx.load_from_string(data)
    graph = model.graph
    _name_nodes(model)
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            known[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    nodes = _numbers_of_pictures(graph)
    for node in graph.node:
        if node.op_type == "Concat" and node.attribute[0].i != 0:
            nodes += _expanded(node, known)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    out: bytes = model.SerializeToString()
    return out


def _numbers_of_pictures(graph: Any) -> list[Any]:
    """Nodes that lift inputs of one number a picture, [1], to [N, 1, 1, 1], so that each meets its own picture."""
    from onnx.helper import make_node as node

    made = []
    for value in graph.input:
        if len(value.type.tensor_type.shape.dim) != 1:
            continue
        shape = numpy_helper.from_array(np.array([-1, 1, 1, 1], np.int64))
        made += [
            node("Constant", [], [f"{value.name}_shape"], name=f"{value.name}_shape", value=shape),
            node("Reshape", [value.name, f"{value.name}_shape"], [f"{value.name}_each"], name=f"{value.name}_each"),
        ]
        for user in graph.node:
            user.input[:] = [f"{value.name}_each" if name == value.name else name for name in user.input]
    return made


def _expanded(concat: Any, known: dict[str, Any]) -> list[Any]:
    """Nodes that repeat a concatenation's constant parts as often as its other parts have pictures."""
    fixed = [i for i, name in enumerate(concat.input) if name in known and known[name].shape[:1] == (1,)]
    moving = next((name for name in concat.input if name not in known), None)
    if moving is None or not fixed:
        return []
    from onnx.helper import make_node as node

    at = concat.name
    made = [
        node("Shape", [moving], [f"{at}_count"], name=f"{at}_count", start=0, end=1),
    ]
    for i in fixed:
        name = concat.input[i]
        rest = numpy_helper.from_array(np.asarray(known[name].shape[1:], np.int64))
        made += [
            node("Constant", [], [f"{at}_rest{i}"], name=f"{at}_rest{i}", value=rest),
            node("Concat", [f"{at}_count", f"{at}_rest{i}"], [f"{at}_size{i}"], name=f"{at}_size{i}", axis=0),
            node("Expand", [name, f"{at}_size{i}"], [f"{at}_part{i}"], name=f"{at}_part{i}"),
        ]
        concat.input[i] = f"{at}_part{i}"
    return made


@dataclass(frozen=True)
class Half:
    """A network in fp16: its distance from fp32 in dB, and whether it takes any number of pictures at once."""

    data: bytes
    db: float
    free_batch: bool


def made(entry: NetworkEntry, feeds: Sequence[Feed]) -> Half:
    """The fp16 file of a network, compared over `feeds` (one picture each). Its batch is freed where a batch's answers
    are the single runs'. Raises FacewireError where fp16's are too far from fp32's."""
    single = entry.read()
    wanted = [answers(single, feed) for feed in feeds]
    together = {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}
    joined = [np.concatenate([answer[i] for answer in wanted]) for i in range(len(wanted[0]))]
    free, names = freed(single), list(entry.outputs)
    try:
        free_batch = decibels([joined], [answers(free, together)], names) >= BATCH_DB
    except Exception:  # ONNX Runtime's, of several kinds: a graph that cannot compute a batch at all
        free_batch = False
    if free_batch:
        data = halved(free)
        db = decibels([joined], [answers(data, together)], names)
    else:
        data = halved(single)
        db = decibels(wanted, [answers(data, feed) for feed in feeds], names)
    if db < TOLERANCE_DB:
        raise FacewireError(f"{entry.name}: fp16 is {db:.1f} dB from fp32, {TOLERANCE_DB:g} are asked")
    return Half(data, db, free_batch)


def add_half_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `facewire-export half`."""
    parser.add_argument("--models", default="", help="folder of the networks' manifest (default: the shipped ones)")
    parser.add_argument("--clips", type=Path, help="clip or folder to check with (default: the sample)")


def write(models: str, clips: Path | None = None, say: Callable[[str], None] = print) -> None:
    """Write the fp16 variant of every network that the decoder runs."""
    manifest = fresh(models)
    networks = open_networks(manifest, provider="cpu", precision="fp32")
    played = streams(networks, clips_in(clips, 2), 14, large=True)
    recording = record(networks, played, 512, limit=3)
    for name, feeds in recording.feeds.items():
        # Runs of a network with a free batch may differ in it; their first pictures are enough.
        singles = [{key: value[:1] for key, value in feed.items()} for feed in feeds]
        found = made(manifest.entry(name), singles)
        keep(manifest, name, PRECISION, found.data, found.free_batch)
        alone = "" if found.free_batch else "; takes one picture at a time, a batch's answers would not be the same"
        say(f"{name}: {len(found.data)} bytes, {found.db:.1f} dB from fp32{alone}")
    if "upscaler" in recording.feeds:
        write_finisher(models, networks, recording, say)


def write_finisher(models: str, networks: Networks, recording: Recording, say: Callable[[str], None]) -> None:
    """Write the finisher of a set: the upscaler over whole pictures, for GPUs. Refused where its pictures differ."""
    manifest = load_manifest(models)
    entry = manifest.entry("upscaler")
    patch = entry.inputs[next(iter(entry.inputs))][-1]
    planes = recording.feeds["generator"][0]
    picture = host(networks["generator"].run(planes)["picture"])
    try:
        data = finisher.composed(freed(entry.read()), patch or 0)
        half = halved(data)
        (shown,) = answers(half, {"picture": picture})
        db = psnr(Upscaler(networks["upscaler"], finisher.SHOWN).show(picture), np.asarray(shown[0], np.uint8))
    except Exception as error:  # the upscaler is another network now
        say(f"finisher: none, the upscaler's graph is not one that it can be made of ({' '.join(str(error).split())})")
        return
    if db < FINISHER_DB:
        say(f"finisher: none, its pictures are {db:.1f} dB from the upscaler's patches, {FINISHER_DB:g} are asked")
        return
    sizes: variants.Shapes = {"shown": ["N", finisher.SHOWN, finisher.SHOWN, 3]}
    coded: variants.Shapes = {"picture": ["N", 3, finisher.CODED, finisher.CODED]}
    variants.add(manifest, finisher.NAME, "upscaler", data, coded, sizes)
    keep(load_manifest(models), finisher.NAME, PRECISION, half, free_batch=True)
    say(f"finisher: {len(half)} bytes, {db:.1f} dB from the upscaler's patches")


def main(options: argparse.Namespace) -> int:
    """Run `facewire-export half`."""
    write(options.models, options.clips)
    return 0
