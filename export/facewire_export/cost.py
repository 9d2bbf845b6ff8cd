"""What an ONNX graph costs: multiply-accumulates and parameters.

Convolutions and matrix products are counted; GridSample, resizing and activations are not, as is usual in papers
(bench.py measures what they really take).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from facewire.errors import FacewireError


@dataclass(frozen=True)
class Cost:
    """One run at batch 1. `gmac` in 10^9 multiply-accumulates; `by_operator` splits it by ONNX operator."""

    gmac: float
    parameters: int
    by_operator: dict[str, float]


class CostError(FacewireError):
    """The graph has shapes that are not known before it runs, so its cost cannot be counted."""


def _sizes(value: Any) -> tuple[int, ...] | None:
    """Shape of a value_info, None where any of it is unknown."""
    dims = value.type.tensor_type.shape.dim
    return tuple(d.dim_value for d in dims) if all(d.HasField("dim_value") for d in dims) else None


def _at_batch_1(model: Any) -> Any:
    """A copy whose inputs' free sizes are 1, and that forgot the shapes its exporter noted for other batches."""
    copy = type(model)()
    copy.CopyFrom(model)
    for value in copy.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value"):
                dim.dim_value = 1
    for value in copy.graph.output:
        value.type.tensor_type.ClearField("shape")
    del copy.graph.value_info[:]
    return copy


def count(model: Path | Any) -> Cost:
    """Cost of a model (an .onnx file or a ModelProto). Raises CostError where an operand's shape stays unknown."""
    import onnx
    from onnx import shape_inference

    loaded = onnx.load(str(model)) if isinstance(model, Path) else model
    graph = shape_inference.infer_shapes(_at_batch_1(loaded), data_prop=True).graph
    shapes: dict[str, tuple[int, ...] | None] = {
        v.name: _sizes(v) for v in (*graph.input, *graph.output, *graph.value_info)
    }
    shapes |= {t.name: tuple(t.dims) for t in graph.initializer}
    weights = {t.name for t in graph.initializer}
    # Exporters keep small integer constants (shapes, axes) as initialisers too; only floats are learned.
    learned = [t for t in graph.initializer if t.data_type in _FLOATS]
    parameters = sum(prod(t.dims) for t in learned)
    macs: dict[str, float] = {}

    def shape(name: str) -> tuple[int, ...]:
        found = shapes.get(name)
        if found is None:
            raise CostError(f"shape of {name!r} is not known; export the network with static shapes")
        return found

    for node in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Conv":
            work = prod(shape(node.output[0])) * prod(shape(node.input[1])[1:])
        elif node.op_type == "ConvTranspose":
            work = prod(shape(node.input[0])) * prod(shape(node.input[1])[1:])
        elif node.op_type == "MatMul":
            work = prod(shape(node.output[0])) * shape(node.input[0])[-1]
        elif node.op_type == "Gemm":
            first = shape(node.input[0])
            work = prod(shape(node.output[0])) * (first[0] if attributes.get("transA") else first[-1])
        else:
            # Weights may also hang off Constant nodes.
            if node.op_type == "Constant" and "value" in attributes and node.output[0] not in weights:
                tensor = attributes["value"]
                if tensor.data_type in _FLOATS and prod(tensor.dims) > 1:
                    parameters += prod(tensor.dims)
                shapes.setdefault(node.output[0], tuple(tensor.dims))
            continue
        macs[node.op_type] = macs.get(node.op_type, 0.0) + work / 1e9
    return Cost(sum(macs.values()), int(parameters), macs)


_FLOATS = frozenset({1, 10, 11, 16})
"""onnx.TensorProto FLOAT, FLOAT16, DOUBLE, BFLOAT16."""
