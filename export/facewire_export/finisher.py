"""The last step of a GPU's decoder as one graph: a reconstruction in, the finished picture's bytes out.

    picture [N, 3, 256, 256] -> bicubic -> upscaler over the whole picture -> bytes [N, 512, 512, 3]

On a CPU the upscaler runs patch by patch, because a patch stays in the cache (facewire.showing.upscale). On a GPU
patches would be launches and copies for nothing, and the picture would come home as floats three times its size. Made
of the upscaler's own graph, whose only sizes are those of its reshapes; held against the patch-wise picture before it
is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from facewire.errors import FacewireError

NAME = "finisher"
CODED, SHOWN = 256, 512
A = -0.75
"""OpenCV's bicubic: upscaling on a GPU must give what it gives on a CPU."""


def composed(upscaler: bytes, patch: int) -> bytes:
    """The finisher in fp32 out of an upscaler for patches of `patch` pixels (its batch free). FacewireError."""
    model = onnx.load_from_string(upscaler)
    graph = model.graph
    if len(graph.input) != 1 or len(graph.output) != 1:
        raise FacewireError("the upscaler takes or gives more than one tensor; there is no finisher for it")
    _resized(graph, patch)
    node = helper.make_node
    source, made = graph.input[0].name, graph.output[0].name
    before = [node("Resize", ["picture", "", "enlarge"], [source], name="enlarge_it", mode="cubic", cubic_coeff_a=A)]
    after = [
        node("Clip", [made, "zero", "one"], ["inside"], name="inside_it"),
        node("Mul", ["inside", "levels"], ["bright"], name="bright_it"),
        node("Add", ["bright", "half"], ["rounded"], name="rounded_it"),  # a cast to bytes cuts off
        node("Transpose", ["rounded"], ["rows"], name="rows_it", perm=[0, 2, 3, 1]),
        node("Cast", ["rows"], ["shown"], name="shown_it", to=TensorProto.UINT8),
    ]
    numbers: dict[str, Any] = {
        "enlarge": np.array([1, 1, SHOWN / CODED, SHOWN / CODED], np.float32),
        "zero": np.float32(0), "one": np.float32(1), "levels": np.float32(255), "half": np.float32(0.5),
    }  # fmt: skip
    finished = helper.make_graph(
        [*before, *graph.node, *after],
        NAME,
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", 3, CODED, CODED])],
        [helper.make_tensor_value_info("shown", TensorProto.UINT8, ["N", SHOWN, SHOWN, 3])],
        [*graph.initializer, *(numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items())],
    )
    whole = helper.make_model(finished, opset_imports=model.opset_import, ir_version=model.ir_version)
    onnx.checker.check_model(whole, full_check=True)
    data: bytes = whole.SerializeToString()
    return data


def _resized(graph: Any, patch: int) -> None:
    """Make the reshapes of a graph for patches fit the whole picture: 136 becomes 512, 34 becomes 128."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    for node in graph.node:
        if node.op_type != "Reshape" or node.input[1] not in tensors:
            continue
        sizes = numpy_helper.to_array(tensors[node.input[1]]).copy()
        for index, size in enumerate(sizes):
            if index >= 2 and size > 0 and patch % size == 0 and size * SHOWN % patch == 0:
                sizes[index] = size * SHOWN // patch
        tensors[node.input[1]].CopyFrom(numpy_helper.from_array(sizes, tensors[node.input[1]].name))
