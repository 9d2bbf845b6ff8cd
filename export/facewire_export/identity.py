"""Does the shown face still look like the same person: cosine between two face embeddings.

The embedding network (OpenVINO's face-reidentification-retail-0095: `face_id_256.pt` and the loader `openvino_ir.py`
beside it) is read from the weights folder at run time; neither is part of this project. Same person about 0.74
across different pictures, other people under 0.2.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from facewire_export.metrics import MetricError

FACE = 128
ALIGNED = FACE * np.array(
    [[0.31556875, 0.46157411], [0.68262292, 0.46157411], [0.50026249, 0.64050536], [0.34947187, 0.8246919],
     [0.65343646, 0.82325089]], np.float32,
)  # fmt: skip
"""Where the network wants left eye, right eye, nose tip, left and right mouth corner (as seen), in pixels."""
MESH = ((33, 133), (362, 263), (1,), (61,), (291,))
"""The same five points in MediaPipe's face mesh; several indices are averaged."""


def align(picture: NDArray[np.uint8], landmarks: NDArray[Any]) -> NDArray[np.uint8] | None:
    """Turn, scale and cut the face to uint8 [128, 128, 3]; None when the landmarks fit no face.

    `landmarks` [478, 2 or 3] in pixels of the picture (facewire.face.mesh).
    """
    points = np.array([landmarks[list(group), :2].mean(0, dtype=np.float64) for group in MESH], np.float32)
    if not np.isfinite(points).all():
        return None
    matrix, _ = cv2.estimateAffinePartial2D(points, ALIGNED, method=cv2.LMEDS)
    if matrix is None:
        return None
    return np.asarray(cv2.warpAffine(picture, matrix, (FACE, FACE), flags=cv2.INTER_LINEAR), np.uint8)


class Identity:
    """Embeds aligned faces; `cosine` compares two."""

    def __init__(self, weights: Path) -> None:
        """Raises MetricError when the network or its loader is not in the folder."""
        network, loader = weights / "face_id_256.pt", weights / "openvino_ir.py"
        for path in (network, loader):
            if not path.is_file():
                raise MetricError(f"{path}: not there; identity needs it, give its folder by --weights")
        spec = importlib.util.spec_from_file_location("facewire_export_openvino_ir", loader)
        if spec is None or spec.loader is None:
            raise MetricError(f"{loader}: not a Python module")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        load: Callable[[str], torch.nn.Module] = module.load_face_id
        self._network = load(str(network))

    def embed(self, picture: NDArray[np.uint8], landmarks: NDArray[Any] | None) -> NDArray[np.float32] | None:
        """Unit vector float32 [256], or None where there is no face (landmarks None)."""
        face = None if landmarks is None else align(picture, landmarks)
        if face is None:
            return None
        bgr = np.ascontiguousarray(face[:, :, ::-1].transpose(2, 0, 1)).astype(np.float32)
        with torch.inference_mode():
            vector = self._network(torch.from_numpy(bgr)[None]).flatten().numpy()
        return np.asarray(vector / (np.linalg.norm(vector) + 1e-9), np.float32)


def cosine(first: NDArray[np.float32] | None, second: NDArray[np.float32] | None) -> float:
    """Cosine of two unit vectors; NaN when either is missing."""
    return float("nan") if first is None or second is None else float(first @ second)
