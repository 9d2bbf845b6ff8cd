"""Networks of the right shapes that cost nothing, so that the steps can be tested without trained weights.

They compute things that a test can predict: the keypoint network gives tanh of the picture's mean colours, the
generator brightens the pivot by how far the keypoints moved on average, the interpolator cross-fades, the
upscaler is a 3x3 box blur (whose zero padding darkens the rim of each patch, so that seams would show).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SIZE = 256
PATCH = 64
SHAPES: dict[str, tuple[dict[str, list[Any]], dict[str, list[Any]]]] = {
    "keypoints": ({"picture": [1, 3, 64, 64]}, {"keypoints": [1, 10, 2]}),
    "pivot_encoder": (
        {"pivot": [1, 3, SIZE, SIZE], "pivot_keypoints": [1, 10, 2]},
        {"features_low": [1, 3, 64, 64], "features_high": [1, 3, 128, 128], "small": [1, 3, 64, 64]},
    ),
    "motion": (
        {"small": [1, 3, 64, 64], "pivot_keypoints": [1, 10, 2], "keypoints": [1, 10, 2]},
        {"displacement": [1, 2, 64, 64], "occlusion": [1, 1, 64, 64]},
    ),
    "generator": (
        {
            "pivot": [1, 3, SIZE, SIZE],
            "pivot_keypoints": [1, 10, 2],
            "keypoints": [1, 10, 2],
            "features_low": [1, 3, 64, 64],
            "features_high": [1, 3, 128, 128],
            "deformation": [1, 2, 64, 64],
        },
        {"picture": [1, 3, SIZE, SIZE]},
    ),
    "restorer": ({"pivot": [1, 3, SIZE, SIZE]}, {"restored": [1, 3, SIZE, SIZE]}),
    "interpolator": (
        {"picture_before": [1, 3, SIZE, SIZE], "picture_after": [1, 3, SIZE, SIZE], "share": [1]},
        {"between": [1, 3, SIZE, SIZE]},
    ),
    "upscaler": ({"patch": ["N", 3, PATCH, PATCH]}, {"sharp": ["N", 3, PATCH, PATCH]}),
    "background": ({"picture": [1, 3, 128, 128]}, {"embedding": [1, 8]}),
}


def _graph(name: str) -> tuple[list[Any], dict[str, Any]]:
    from onnx.helper import make_node as node

    if name == "keypoints":
        weights = np.linspace(-1, 1, 60, dtype=np.float32).reshape(3, 20)
        return [
            node("GlobalAveragePool", ["picture"], ["mean4"]),
            node("Flatten", ["mean4"], ["mean"]),
            node("MatMul", ["mean", "weights"], ["raw"]),
            node("Tanh", ["raw"], ["flat"]),
            node("Reshape", ["flat", "shape"], ["keypoints"]),
        ], {"weights": weights, "shape": np.array([1, 10, 2], np.int64)}
    if name == "pivot_encoder":
        return [
            node("ReduceMean", ["pivot_keypoints"], ["place"], keepdims=0),
            node("Mul", ["place", "zero"], ["nothing"]),
            node("AveragePool", ["pivot"], ["low"], kernel_shape=[4, 4], strides=[4, 4]),
            node("AveragePool", ["pivot"], ["high"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Add", ["low", "nothing"], ["features_low"]),
            node("Add", ["high", "nothing"], ["features_high"]),
            node("Identity", ["low"], ["small"]),
        ], {"zero": np.float32(0)}
    if name == "motion":  # all places move as the points do on average
        return [
            node("Sub", ["pivot_keypoints", "keypoints"], ["back"]),
            node("ReduceMean", ["back"], ["shift"], axes=[1], keepdims=1),
            node("Reshape", ["shift", "shape"], ["one"]),
            node("Expand", ["one", "field"], ["displacement"]),
            node("ReduceMean", ["small"], ["grey"], axes=[1], keepdims=1),
            node("Mul", ["grey", "zero"], ["black"]),
            node("Exp", ["black"], ["occlusion"]),
        ], {
            "shape": np.array([1, 2, 1, 1], np.int64), "field": np.array([1, 2, 64, 64], np.int64),
            "zero": np.float32(0),
        }  # fmt: skip
    if name == "generator":
        return [
            node("Sub", ["keypoints", "pivot_keypoints"], ["moved"]),
            node("ReduceMean", ["moved"], ["points"], keepdims=0),
            node("ReduceMean", ["deformation"], ["bend"], keepdims=0),
            node("Add", ["points", "bend"], ["shift"]),
            node("ReduceMean", ["features_low"], ["low"], keepdims=0),
            node("ReduceMean", ["features_high"], ["high"], keepdims=0),
            node("Sub", ["low", "high"], ["same"]),  # both are the pivot's mean
            node("Add", ["pivot", "shift"], ["bright"]),
            node("Add", ["bright", "same"], ["open"]),
            node("Clip", ["open", "zero", "one"], ["picture"]),
        ], {"zero": np.float32(0), "one": np.float32(1)}
    if name == "restorer":
        return [node("Clip", ["pivot", "zero", "one"], ["restored"])], {"zero": np.float32(0), "one": np.float32(1)}
    if name == "interpolator":
        return [
            node("Sub", ["picture_after", "picture_before"], ["step"]),
            node("Mul", ["step", "share"], ["part"]),
            node("Add", ["picture_before", "part"], ["between"]),
        ], {}
    if name == "upscaler":
        box = np.zeros((3, 3, 3, 3), np.float32)
        for channel in range(3):
            box[channel, channel] = 1 / 9
        return [node("Conv", ["patch", "box"], ["sharp"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])], {"box": box}
    return [
        node("AveragePool", ["picture"], ["pooled"], kernel_shape=[64, 64], strides=[64, 64]),
        node("Flatten", ["pooled"], ["flat"]),
        node("MatMul", ["flat", "weights"], ["embedding"]),
    ], {"weights": np.linspace(0, 1, 96, dtype=np.float32).reshape(12, 8)}


def write_tiny_models(directory: Path) -> Path:
    """Writes the eight networks and their manifest.toml; returns the directory."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    (directory / "tiny").mkdir(parents=True, exist_ok=True)
    lines = ["version = 1", 'tier = "tiny"', 'record = "tiny/record.json"']
    tables: list[str] = []
    paired = hashlib.sha256()
    for name, (inputs, outputs) in SHAPES.items():
        nodes, constants = _graph(name)
        graph = helper.make_graph(
            nodes,
            name,
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in inputs.items()],
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in outputs.items()],
            [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        data = model.SerializeToString()
        (directory / "tiny" / f"{name}.onnx").write_bytes(data)
        if name in ("keypoints", "pivot_encoder", "generator"):
            paired.update(data)
        tables += [
            f"[networks.{name}]",
            f'file = "tiny/{name}.onnx"',
            f'sha256 = "{hashlib.sha256(data).hexdigest()}"',
            'license = "MIT"\nparameters = 1\ngmac = 0.001\nprecision = "fp32"',
        ]
        for what, shapes in (("inputs", inputs), ("outputs", outputs)):
            tables.append(f"[networks.{name}.{what}]")
            tables += [f"{key} = {shape}".replace("'", '"') for key, shape in shapes.items()]
    lines.append(f'id = "{paired.hexdigest()[:8]}"')
    (directory / "manifest.toml").write_text("\n".join(lines + tables) + "\n", "utf-8")
    return directory


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory (manifest.toml and seven tiny networks). Read only: copy it before damaging it."""
    return write_tiny_models(tmp_path_factory.mktemp("models"))
