"""What is said about one shown frame beside the real one, each picture looked at once.

psnr, ssim            dB, 0..1
lpips, lpips_alex     LPIPS on SqueezeNet and on AlexNet; 0 is identical
identity              cosine of face embeddings

What its landmarks say is in evaluation/faces.py, since some of it takes many frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.errors import FacewireError
from facewire_export.metrics import Picture, psnr, ssim

SCORES = ("psnr", "ssim", "lpips", "lpips_alex", "identity")
BACKBONES = {"lpips": "squeeze", "lpips_alex": "alex"}


@dataclass(frozen=True)
class Seen:
    """A picture with what was found in it. features: by the names of BACKBONES, those whose weights are there."""

    picture: Picture
    features: Mapping[str, Any]
    identity: NDArray[np.float32] | None


class Judge:
    """Compares pictures. Scores whose networks or weights are missing are NaN; `missing` says why."""

    def __init__(self, weights: Path | None, with_faces: bool = True) -> None:
        self.missing: dict[str, str] = {}
        self.lpips: dict[str, Any] = {}
        """The LPIPS networks that are there, by the names of BACKBONES."""
        self._identity: Any = None
        self._mesh: Any = None
        if weights is None:
            reason = "no folder with weights; give it by --weights"
            self.missing.update(dict.fromkeys((*BACKBONES, "identity"), reason))
        else:
            for name, backbone in BACKBONES.items():
                try:
                    from facewire_export.lpips import load_lpips

                    self.lpips[name] = load_lpips(weights, backbone)
                except (FacewireError, ImportError) as error:
                    self.missing[name] = str(error)
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

    def look(self, picture: Picture, thorough: bool = True) -> Seen:
        """Find in a picture what `compare` needs; not thorough: without the second backbone, the score's dearest."""
        features = {}
        if self.lpips:
            import torch

            from facewire_export.lpips import to_tensor

            with torch.inference_mode():
                planes = to_tensor(picture)
                features = {
                    name: net.describe(planes) for name, net in self.lpips.items() if thorough or name == "lpips"
                }
        identity = None if self._identity is None else self._identity.embed(picture, self.landmarks(picture))
        return Seen(picture, features, identity)

    def landmarks(self, picture: Picture) -> NDArray[np.float32] | None:
        """float32 [478, 3] as facewire.face.mesh has them; None where no face is found, or none could be looked for."""
        found: NDArray[np.float32] | None = None if self._mesh is None else self._mesh.landmarks(picture)
        return found

    def compare(self, real: Seen, shown: Seen) -> dict[str, float]:
        """All SCORES of a shown picture; NaN where one cannot be told."""
        scores = dict.fromkeys(SCORES, float("nan"))
        scores["psnr"] = psnr(real.picture, shown.picture)
        scores["ssim"] = ssim(real.picture, shown.picture)
        if real.features and shown.features:
            import torch

            with torch.inference_mode():
                for name in real.features.keys() & shown.features.keys():
                    scores[name] = float(self.lpips[name].distance(real.features[name], shown.features[name]))
        if real.identity is not None and shown.identity is not None:
            scores["identity"] = float(real.identity @ shown.identity)
        return scores
