"""What a frame is described by, as a choice of training: ours and the baselines it is compared with.

Everything else is shared: detector width, pivot encoder, mixing and repair networks, losses, augmentation, schedule.
Only ours is ever exported.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facewire_export.networks import fomm, vid2vid
from facewire_export.networks.keypoints import KeypointDetector
from facewire_export.networks.motion import Motion
from facewire_export.networks.tiers import Tier
from facewire_export.training import augment


class Representation:
    """Ours: ten points, closed-form warps. A description is what the detector returns for a picture [B, ...]."""

    name = "facewire"
    kinds: tuple[tuple[str, int], ...] = (("position", 20),)
    """Numbers sent for each frame, by kind, in the order of `carried`."""

    def detector(self, tier: Tier) -> nn.Module:
        """Picture [B, 3, 128, 128] -> description."""
        return KeypointDetector(tier)

    def motion(self, tier: Tier) -> Motion:
        """(small pivot, its description, the driving frame's) -> displacement, occlusion, hidden features."""
        return Motion(tier)

    def places(self, pivot: Tensor, found: Tensor) -> Tensor:  # noqa: ARG002
        """Where the keypoints of described frames lie in the picture [B, 10, 2]; pivot: their pivots' descriptions."""
        return found[..., :2]

    def carried(self, found: Tensor) -> Tensor:
        """The numbers that travel for each frame: [B, sum of kinds]."""
        return found.flatten(1)

    def equivariance(self, pivot: Tensor, found: Tensor, turned: Tensor, maps: Tensor) -> Tensor:
        """How far the description of a picture moved by maps [B, 2, 3] is from the moved description (FOMM, 3.1)."""
        return F.l1_loss(self.places(pivot, turned), augment.move_points(self.places(pivot, found), maps))

    def prior(self, found: Tensor) -> Tensor:
        """A penalty on descriptions that are unlikely from the outset."""
        return found.new_zeros(())


class FommPoints(Representation):
    """FOMM's local translations: ten points without Jacobians."""

    name = "fomm-points"

    def motion(self, tier: Tier) -> Motion:
        return fomm.FommMotion(tier)


class Fomm(FommPoints):
    """FOMM: ten points, each with a 2x2 Jacobian."""

    name = "fomm"
    kinds = (("position", 20), ("jacobian", 40))

    def detector(self, tier: Tier) -> nn.Module:
        return fomm.JacobianDetector(tier)

    def carried(self, found: Tensor) -> Tensor:
        return torch.cat([found[..., :2].flatten(1), found[..., 2:].flatten(1)], 1)

    def equivariance(self, pivot: Tensor, found: Tensor, turned: Tensor, maps: Tensor) -> Tensor:
        """Points as ever; Jacobians: the map times the moved one should undo the other (FOMM, equation 11)."""
        points = super().equivariance(pivot, found, turned, maps)
        undone = fomm.inverse(fomm.jacobians(found)) @ maps[:, None, :, :2] @ fomm.jacobians(turned)
        return points + F.l1_loss(undone, torch.eye(2, device=undone.device).expand_as(undone))


class Vid2vid(Representation):
    """Canonical 3-D keypoints with the pivot; head pose and expression for each frame."""

    name = "vid2vid3d"
    kinds = (("rotation", 3), ("translation", 3), ("expression", 30))

    def detector(self, tier: Tier) -> nn.Module:
        return vid2vid.PoseDetector(tier)

    def motion(self, tier: Tier) -> Motion:
        return vid2vid.TurningMotion(tier)

    def places(self, pivot: Tensor, found: Tensor) -> Tensor:
        return vid2vid.keypoints(pivot, found)[..., :2]

    def carried(self, found: Tensor) -> Tensor:
        return found[:, : vid2vid.CARRIED]

    def prior(self, found: Tensor) -> Tensor:
        """Expressions are small, so that the head's movement is left to the pose (face-vid2vid, appendix A)."""
        return vid2vid.expression(found).abs().mean()


REPRESENTATIONS: dict[str, Representation] = {r.name: r for r in (Representation(), FommPoints(), Fomm(), Vid2vid())}
