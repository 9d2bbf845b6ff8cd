"""The values that travel through Facewire. All of them are immutable; arrays are not to be written to.

Pictures are RGB, uint8, [height, width, 3]. Times are seconds. Frame numbers count *shown* frames (25 a second)
from the start of the stream, so interpolated frames have numbers too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""uint8 [height, width, 3], RGB."""

Points = NDArray[np.float32]
"""float32 [10, 2]: x, y in [-1, 1] of the crop; x to the right, y down."""

GridPoints = NDArray[np.int16]
"""int16 [10, 2]: keypoints on the integer grid that is sent, relative to the epoch's reference
(see wire.keypoints.to_grid / from_grid)."""

GridDeformation = NDArray[np.int16]
"""int16 [2, n, n]: displacements in x and in y at the nodes of a grid over the crop, in steps (wire.deformation)."""

KEYPOINTS = 10
MAX_BETWEEN = 3
"""Most frames that are interpolated between two keypoint frames."""


@dataclass(frozen=True)
class Frame:
    """A camera picture and when it was taken (seconds on a clock that never runs back; its zero means nothing)."""

    picture: Picture
    time: float


@dataclass(frozen=True)
class Crop:
    """The square part of the camera picture that is coded: left, top, side in source pixels.

    It may reach over the picture's edge; what lies outside is filled by the edge's pixels.
    """

    left: int
    top: int
    side: int


class Between(NamedTuple):
    """What is said of an interpolated frame. mouth: as in KeypointFrame, beyond what lies at its place between the
    neighbours' mouths; shut: whether its eyes are (where nothing is said: as in the nearer neighbour, the later of
    two)."""

    mouth: int = 0
    shut: bool = False


@dataclass(frozen=True)
class KeypointFrame:
    """Keypoints of one frame as they are sent."""

    number: int
    points: NDArray[Any]
    """GridPoints; or Points where they travel raw. With low confidence those of the frame before in the bundle."""
    low_confidence: bool = False
    """No face was found in this frame; the receiver holds its picture."""
    deformation: GridDeformation | None = None
    """What is to be added to the movement that the keypoints make; all frames of a bundle have the same kind, or none.
    With low confidence there is none."""
    shut: bool = False
    """The eyes are shut: the picture is made from the pivot's second one (wire.lids), where it has that. Not with low
    confidence, nor where points travel raw."""
    mouth: int = 0
    """By how much what lies above and below the pivot's lips is taken from further away (wire.mouth), pixels of 256;
    under the same conditions."""
    between: tuple[Between, ...] = ()
    """What is said of the interpolated frames before it, in order; of all frames of a bundle as many, or of none."""


@dataclass(frozen=True)
class Epoch:
    """Announces which pivot is animated from `first_frame` on, and all a receiver must know about the stream.

    Sent when a pivot takes over, to each late joiner, and again at intervals.
    """

    stream: int
    """Random 32-bit number, new at each start of the encoder."""
    number: int
    """Counts the epochs of a stream, modulo 256."""
    first_frame: int
    pivot_id: bytes
    """8-byte content id of the pivot's bytes (BLAKE2b)."""
    pivot_bytes: int
    """Length of the coded pivot."""
    coded_size: int
    """Side of the crop in pixels as coded, 256."""
    fps: float
    """Shown frames a second, in steps of 1/1000."""
    skip: int
    """Interpolated frames between two keypoint frames, 0-3."""
    network: bytes
    """4-byte id of the networks that the keypoints are meant for (manifest `id`)."""
    step: float
    """Grid step of the keypoints in pixels of a 256-pixel crop, in sixteenths: 1/16 to 255/16; 0: raw points."""
    reference: GridPoints | None = field(default=None, compare=False)
    """Absolute grid points that all keypoint frames of this epoch are relative to (None: relative to zero).

    The encoder puts the grid points of the epoch's first frame here: to_grid(points, step). It spares each bundle the
    cost of saying where a face is, without tying one bundle to another.
    """


@dataclass(frozen=True)
class PivotSlice:
    """Part of a coded pivot; slices of one pivot may arrive in any order, more than once, or from a cache."""

    pivot_id: bytes
    offset: int
    total: int
    data: bytes


@dataclass(frozen=True)
class Bundle:
    """Several keypoint frames of one epoch, in order."""

    epoch: int
    """Epoch number modulo 256."""
    frames: tuple[KeypointFrame, ...]


Message = Epoch | PivotSlice | Bundle


@dataclass(frozen=True)
class ShownFrame:
    """A finished picture: `number` as in KeypointFrame, `time` = number / fps, picture [size, size, 3]."""

    number: int
    time: float
    picture: Picture
    interpolated: bool
