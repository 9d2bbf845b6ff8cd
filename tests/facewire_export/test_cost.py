"""Multiply-accumulates of graphs whose cost is known by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx (extra: export) is not installed")

from facewire_export.cost import CostError, count  # noqa: E402


def graph(nodes: list[Any], shape: list[int | str], **weights: tuple[int, ...]) -> Any:
    helper = onnx.helper
    tensors = [onnx.numpy_helper.from_array(np.zeros(s, np.float32), n) for n, s in weights.items()]
    picture = helper.make_tensor_value_info("x", 1, shape)
    out = helper.make_tensor_value_info("y", 1, None)
    body = helper.make_graph(nodes, "g", [picture], [out], tensors)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 16)])


def test_convolutions() -> None:
    nodes = [
        onnx.helper.make_node("Conv", ["x", "a"], ["m"], pads=[1, 1, 1, 1], strides=[2, 2]),
        onnx.helper.make_node("Conv", ["m", "b"], ["n"], group=16),
        onnx.helper.make_node("ConvTranspose", ["n", "c"], ["y"], strides=[2, 2]),
    ]
    cost = count(graph(nodes, ["N", 3, 32, 32], a=(16, 3, 3, 3), b=(16, 1, 1, 1), c=(16, 8, 2, 2)))
    strided, depthwise, up = 16 * 16 * 16 * 27, 16 * 16 * 16, 16 * 16 * 16 * 8 * 4
    assert cost.by_operator["Conv"] == pytest.approx((strided + depthwise) / 1e9)
    assert cost.by_operator["ConvTranspose"] == pytest.approx(up / 1e9)
    assert cost.gmac == pytest.approx((strided + depthwise + up) / 1e9)
    assert cost.parameters == 16 * 27 + 16 + 16 * 8 * 4


def test_matrix_products(tmp_path: Path) -> None:
    nodes = [
        onnx.helper.make_node("Gemm", ["x", "a"], ["m"], transB=1),
        onnx.helper.make_node("MatMul", ["m", "b"], ["y"]),
    ]
    onnx.save(graph(nodes, [5, 7], a=(11, 7), b=(11, 2)), str(tmp_path / "m.onnx"))
    assert count(tmp_path / "m.onnx").gmac == pytest.approx((5 * 7 * 11 + 5 * 11 * 2) / 1e9)


def test_unknown_shapes_are_refused() -> None:
    nodes = [
        onnx.helper.make_node("Reshape", ["x", "size"], ["m"]),
        onnx.helper.make_node("Conv", ["m", "a"], ["y"]),
    ]
    model = graph(nodes, [1, 48], a=(4, 3, 1, 1))
    model.graph.input.append(onnx.helper.make_tensor_value_info("size", 7, [4]))
    with pytest.raises(CostError, match="static shapes"):
        count(model)
