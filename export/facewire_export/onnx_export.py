"""`facewire-export onnx`: writes trained networks as ONNX files, with the manifest that the daemons read.

Weights are the EMA weights of each task's best checkpoint. Every file is run by ONNX Runtime beside torch before it is
kept: a network whose two answers differ by more than 1e-3 is refused.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tomli_w
import torch
from torch import Tensor, nn

from facewire.errors import FacewireError
from facewire.networks.manifest import MANIFEST, PAIRED, VERSION
from facewire_export.cost import count
from facewire_export.networks.animator import animator
from facewire_export.networks.background import Background
from facewire_export.networks.blocks import upsample
from facewire_export.networks.generator import Generator, Layers, PivotFeatures
from facewire_export.networks.interpolator import Interpolator
from facewire_export.networks.motion import Motion
from facewire_export.networks.receiver import PARTS
from facewire_export.networks.restorer import LARGE_PATCH, Restorer
from facewire_export.networks.tiers import (
    BACKGROUND_SIZE,
    CODED_SIZE,
    DETECTOR_SIZE,
    KEYPOINTS,
    MOTION_SIZE,
    TIERS,
    Tier,
)
from facewire_export.networks.upscaler import PATCH, Upscaler
from facewire_export.training.loop import RECORD
from facewire_export.variants import carried

OPSET = 17
TOLERANCE = 1e-3


class Clamped(nn.Module):
    """A network whose first output is a picture, clamped to [0, 1]."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *inputs: Tensor) -> Tensor:
        out: Tensor = self.inner(*inputs)
        return out.clamp(0, 1)


class FlatGenerator(nn.Module):
    """The generator with its pivot features as separate inputs."""

    def __init__(self, inner: Generator) -> None:
        super().__init__()
        self.inner = inner

    def forward(
        self,
        pivot: Tensor,
        small: Tensor,
        fine: Tensor,
        middle: Tensor,
        coarse: Tensor,
        still: Tensor,
        driving: Tensor,
        deformation: Tensor,
        stretch: Tensor,
        before: Tensor,
    ) -> tuple[Tensor, ...]:
        features = PivotFeatures(small, fine, middle, coarse)
        picture, layers, _ = self.inner(pivot, features, still, driving, deformation, stretch, before)
        return (picture.clamp(0, 1), *layers)


class FlatMotion(nn.Module):
    """The generator's motion alone: what a sender needs to see where its own keypoints go wrong."""

    def __init__(self, inner: Motion) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, small: Tensor, still: Tensor, driving: Tensor) -> tuple[Tensor, Tensor]:
        displacement, occlusion, _ = self.inner(small, still, driving)
        return displacement, occlusion


class FlatInterpolator(nn.Module):
    """The interpolator with the layers of both frames as separate inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Interpolator()

    def forward(self, pivot: Tensor, *rest: Tensor) -> Tensor:
        *layers, share, stretch = rest
        picture: Tensor = self.inner(pivot, Layers(*layers[:3]), Layers(*layers[3:]), share, stretch)
        return picture.clamp(0, 1)


@dataclass(frozen=True)
class Graph:
    """A network ready for export: tensor names in order, example inputs."""

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    free_batch: bool = False


@dataclass(frozen=True)
class Shelf:
    """Where a task's weights come from: the run that trained it now, else what was exported before."""

    runs: Path
    kept: Path
    """Folder of `<task>.pt` and record.json, as `export` leaves it."""

    def take(self, task: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """EMA weights and the record of a task; FacewireError when it was never trained."""
        path = self._trained(task)
        if path.is_file():
            saved = self._read(path, task)
            record_path = path.with_name(path.name.replace(".best.pt", ".json"))
            record = json.loads(record_path.read_text()) if record_path.is_file() else {}
            return saved["average"], {**record, "exported": {"step": saved["step"], "held_out": saved.get("scores")}}
        older = self.kept / f"{task}.pt"
        if not older.is_file():
            train = f"facewire-export train --task {task} --out {self.runs}"
            raise FacewireError(f"{path}: not there, nor {older}; train it first: {train}")
        weights = torch.load(older, map_location="cpu", weights_only=True)["average"]
        return weights, json.loads((self.kept / RECORD).read_text())[task]

    def has(self, task: str) -> bool:
        """Whether there are weights of it."""
        return self._trained(task).is_file() or (self.kept / f"{task}.pt").is_file()

    def keep(self, task: str) -> None:
        """Put a fresh run's weights where the next training begins (`train --start`) and the next export looks."""
        path = self._trained(task)
        if path.is_file():
            torch.save(self._read(path, task), self.kept / f"{task}.pt")

    def _trained(self, task: str) -> Path:
        """What a run has of a task: together with others (the receiver) before alone, for that comes afterwards."""
        together = self.runs / "receiver.best.pt"
        return together if task in PARTS and together.is_file() else self.runs / f"{task}.best.pt"

    @staticmethod
    def _read(path: Path, task: str) -> dict[str, Any]:
        """What a run has kept, with no other task's weights in it."""
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if task in PARTS:
            weights = saved["average"].items()
            saved["average"] = {key: value for key, value in weights if key.split(".")[0] in PARTS[task]}
        return saved


def graphs(tier: Tier, shelf: Shelf | None) -> tuple[list[Graph], dict[str, Any]]:
    """All networks of a tier with trained weights (None: untrained, for rehearsals) and their records."""
    together = animator(tier)
    alone: dict[str, nn.Module] = {
        "restorer": Restorer(tier),
        "large_restorer": Restorer(tier),
        "upscaler": Upscaler(tier),
        "background": Background(),
    }
    records: dict[str, Any] = {}
    if shelf is not None:
        weights, records["animator"] = shelf.take("animator")
        together.load_state_dict(weights)
        for name, module in alone.items():
            if name == "large_restorer" and not shelf.has(name):
                module.load_state_dict(alone["restorer"].state_dict())  # that does as well as a beginning
                continue
            weights, records[name] = shelf.take(name)
            nn.ModuleDict({name: module}).load_state_dict(weights)
    torch.manual_seed(0)
    pivot = torch.rand(1, 3, CODED_SIZE, CODED_SIZE)
    still = torch.rand(1, KEYPOINTS, 2) - 0.5
    driving = still + 0.05 * torch.randn(1, KEYPOINTS, 2)
    together.eval()
    with torch.no_grad():
        pivot_features = together["pivot_encoder"](pivot)
        layers = together["generator"](pivot, pivot_features, still, driving)[1]
    features = pivot_features._asdict()
    bent = 0.05 * torch.randn(1, 2, MOTION_SIZE, MOTION_SIZE)
    stretch = torch.tensor([[0.1, 0.3, 5.0, 0.5, -0.6, 6.2, 0.0, 0.04, 6.0]])
    between = {f"{name}_{when}": value for when in ("before", "after") for name, value in layers._asdict().items()}
    points = {"pivot_keypoints": still, "keypoints": driving}
    found = [
        Graph(
            "keypoints", together["keypoints"], {"picture": torch.rand(1, 3, DETECTOR_SIZE, DETECTOR_SIZE)},
            ("keypoints",),
        ),
        Graph("pivot_encoder", together["pivot_encoder"], {"pivot": pivot}, tuple(features)),
        Graph(
            "generator", FlatGenerator(together["generator"]),  # type: ignore[arg-type]
            {
                "pivot": pivot, **features, **points, "deformation": bent, "stretch": stretch,
                "displacement_before": bent,
            },
            ("picture", *layers._fields),
        ),
        Graph(
            "motion", FlatMotion(together["generator"].motion),  # type: ignore[arg-type]
            {"small": pivot_features.small, **points}, ("displacement", "occlusion"),
        ),
        Graph("restorer", Clamped(alone["restorer"]), {"pivot": pivot}, ("restored",)),
        Graph(
            "large_restorer", Clamped(alone["large_restorer"]), {"pivot": torch.rand(1, 3, LARGE_PATCH, LARGE_PATCH)},
            ("restored",),
        ),
        Graph(
            "interpolator", FlatInterpolator(),
            {"pivot": pivot, **between, "share": torch.tensor([0.5]), "stretch": stretch}, ("between",),
        ),
        Graph(
            "composer", FlatInterpolator(),
            {"pivot": upsample(pivot), **between, "share": torch.tensor([0.5]), "stretch": stretch},
            ("between",),
        ),
        Graph("upscaler", Clamped(alone["upscaler"]), {"patch": torch.rand(2, 3, PATCH, PATCH)}, ("sharp",), True),
        Graph(
            "background", alone["background"], {"picture": torch.rand(1, 3, BACKGROUND_SIZE, BACKGROUND_SIZE)},
            ("embedding",),
        ),
    ]  # fmt: skip
    for graph in found:
        graph.module.eval().requires_grad_(False)
    return found, records


def write(graph: Graph, path: Path) -> float:
    """Export one graph; returns how far ONNX Runtime is from torch. Raises FacewireError beyond TOLERANCE."""
    axes = {name: {0: "N"} for name in (*graph.inputs, *graph.outputs)} if graph.free_batch else None
    partial = path.with_suffix(".partial")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.module, tuple(graph.inputs.values()), str(partial), dynamo=False, opset_version=OPSET,
            input_names=list(graph.inputs), output_names=list(graph.outputs), dynamic_axes=axes,
        )  # fmt: skip
    session = onnxruntime.InferenceSession(str(partial), providers=["CPUExecutionProvider"])
    answers = session.run(list(graph.outputs), {name: value.numpy() for name, value in graph.inputs.items()})
    wanted = graph.module(*graph.inputs.values())
    wanted = [wanted] if isinstance(wanted, Tensor) else list(wanted)
    difference = max(float(np.abs(a - w.numpy()).max()) for a, w in zip(answers, wanted, strict=True))
    if not difference <= TOLERANCE:
        partial.unlink()
        raise FacewireError(f"{graph.name}: ONNX Runtime and torch differ by {difference:.2g}; not exported")
    partial.replace(path)
    return difference


def export(tier: Tier, runs: Path | None, models: Path, licence: str) -> None:
    """Write all networks of a tier below `models`, its record and the manifest."""
    folder = models / tier.name
    shelf = None if runs is None else Shelf(runs, folder)
    found, records = graphs(tier, shelf)
    folder.mkdir(parents=True, exist_ok=True)
    networks: dict[str, Any] = {}
    digest = hashlib.sha256()
    for graph in found:
        path = folder / f"{graph.name}.onnx"
        difference = write(graph, path)
        data = path.read_bytes()
        if graph.name in PAIRED:
            digest.update(data)
        cost = count(path)

        def shapes(names: Any, tensors: Any, free: bool = graph.free_batch) -> dict[str, list[Any]]:
            return {n: ["N" if free else t.shape[0], *t.shape[1:]] for n, t in zip(names, tensors, strict=True)}

        answers = graph.module(*graph.inputs.values())
        networks[graph.name] = {
            "file": f"{tier.name}/{path.name}",
            "sha256": hashlib.sha256(data).hexdigest(),
            "license": licence,
            "parameters": cost.parameters,
            "gmac": round(cost.gmac, 4),
            "precision": "fp32",
            "inputs": shapes(graph.inputs, graph.inputs.values()),
            "outputs": shapes(graph.outputs, [answers] if isinstance(answers, Tensor) else list(answers)),
        }
        print(f"{graph.name}: {len(data)} bytes, {cost.gmac:.3f} GMAC, differs from torch by {difference:.1e}")
    if shelf is not None:
        for task in records:
            shelf.keep(task)
    for line in carried(models, networks):
        print(line)
    (folder / RECORD).write_text(json.dumps(records, indent=1) + "\n")
    manifest = {
        "version": VERSION,
        "tier": tier.name,
        "id": digest.hexdigest()[:8],
        "record": f"{tier.name}/{RECORD}",
        "networks": networks,
    }
    partial = models / "manifest.partial"
    partial.write_text(tomli_w.dumps(manifest))
    partial.replace(models / MANIFEST)


def add_onnx_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `facewire-export onnx`."""
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/compact"), help="folder that `train --out` wrote; others stay"
    )
    parser.add_argument("--models", type=Path, default=Path("models_onnx"), help="where the manifest and files go")
    parser.add_argument("--tier", default="compact", choices=sorted(TIERS))
    parser.add_argument("--untrained", action="store_true", help="random weights, to rehearse")
    parser.add_argument(
        "--licence",
        default="CC-BY-NC-4.0 (some training clips are for non-commercial research only)",
        help="stands in the manifest; follows from the training clips",
    )


def main(options: argparse.Namespace) -> int:
    """Export; returns the exit code."""
    export(TIERS[options.tier], None if options.untrained else options.runs, options.models, options.licence)
    return 0
