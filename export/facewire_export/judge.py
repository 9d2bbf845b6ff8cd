"""All that is said about one shown frame beside the real one, each picture looked at once.

psnr, ssim            dB, 0..1
lpips                 SqueezeNet LPIPS; 0 is identical
identity              cosine of face embeddings
mouth, eyelids        mean distance of landmarks in percent of the real face's width
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.errors import FacewireError
from facewire_export.metrics import Picture, psnr, ssim

SCORES = ("psnr", "ssim", "lpips", "identity", "mouth", "eyelids")
LOWER_IS_BETTER = frozenset({"lpips", "mouth", "eyelids"})
CHEEKS = (234, 454)
"""Face mesh indices of the face's outline beside the ears: its width."""


@dataclass(frozen=True)
class Seen:
    """A picture with what was found in it. Features are None where the weights for them are missing."""

    picture: Picture
    features: Any
    landmarks: NDArray[np.float32] | None
    identity: NDArray[np.float32] | None


class Judge:
    """Compares pictures. Scores whose networks or weights are missing are NaN; `missing` says why."""

    def __init__(self, weights: Path | None, with_faces: bool = True) -> None:
        self.missing: dict[str, str] = {}
        self._lpips: Any = None
        self._identity: Any = None
        self._mesh: Any = None
        if weights is None:
            self.missing["lpips"] = self.missing["identity"] = "no folder with weights; give it by --weights"
        else:
            try:
                from facewire_export.lpips import load_lpips

                self._lpips = load_lpips(weights, "squeeze")
            except (FacewireError, ImportError) as error:
                self.missing["lpips"] = str(error)
            try:
                from facewire_export.identity import Identity

                self._identity = Identity(weights)
            except (FacewireError, ImportError) as error:
                self.missing["identity"] = str(error)
        if with_faces:
            try:
                from facewire.face.mesh import FaceMesh

                self._mesh = FaceMesh()
            except (FacewireError, ImportError) as error:
                self.missing["landmarks"] = str(error)

    def look(self, picture: Picture) -> Seen:
        """Find in a picture what `compare` needs."""
        features = None
        if self._lpips is not None:
            import torch

            from facewire_export.lpips import to_tensor

            with torch.inference_mode():
                features = self._lpips.describe(to_tensor(picture))
        landmarks = self._mesh.landmarks(picture) if self._mesh is not None else None
        identity = self._identity.embed(picture, landmarks) if self._identity is not None else None
        return Seen(picture, features, landmarks, identity)

    def compare(self, real: Seen, shown: Seen) -> dict[str, float]:
        """All SCORES of a shown picture; NaN where one cannot be told."""
        scores = dict.fromkeys(SCORES, float("nan"))
        scores["psnr"] = psnr(real.picture, shown.picture)
        scores["ssim"] = ssim(real.picture, shown.picture)
        if real.features is not None and shown.features is not None:
            import torch

            with torch.inference_mode():
                scores["lpips"] = float(self._lpips.distance(real.features, shown.features))
        if real.identity is not None and shown.identity is not None:
            scores["identity"] = float(real.identity @ shown.identity)
        if real.landmarks is not None and shown.landmarks is not None:
            scores["mouth"], scores["eyelids"] = landmark_distance(real.landmarks, shown.landmarks)
        return scores


def landmark_distance(real: NDArray[np.float32], shown: NDArray[np.float32]) -> tuple[float, float]:
    """(mouth, eyelids): mean distance of their landmarks in percent of the real face's width; inputs in pixels."""
    from facewire.face.mesh import LEFT_EYE, LIPS_INNER, LIPS_OUTER, RIGHT_EYE

    width = float(np.linalg.norm(real[CHEEKS[0], :2] - real[CHEEKS[1], :2])) or 1.0
    away = np.linalg.norm(real[:, :2] - shown[:, :2], axis=1) * (100 / width)
    return float(away[[*LIPS_OUTER, *LIPS_INNER]].mean()), float(away[[*LEFT_EYE, *RIGHT_EYE]].mean())
