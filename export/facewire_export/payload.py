"""What a description of movement costs on a wire: numbers a frame, raw bits, and bits after quantising and coding.

The estimate treats every representation alike: each number is put on a grid, the difference to the keypoint frame
before is taken, and the bits are the entropy of those differences, one table for each kind of number over all clips.
Our own coder (facewire.wire.keypoints) is no part of it, except as a check where a description is ten points: it also
uses that points move together, and starts anew in each bundle.

The grids move a keypoint's surroundings alike. A position's step is the profile's. A Jacobian works on places up to
`REACH` from its keypoint, a rotation or a change of scale on places up to `RADIUS` from the head's middle, so their
steps are the position's divided by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.profiles import profile
from facewire.types import KEYPOINTS
from facewire.wire.keypoints import encode_frames, to_grid

FLOAT_BITS = 32
"""Of one number as the paper sends it."""
REACH = 0.2
"""Half crops: two deviations of the Gaussian that stands for a keypoint in the motion network."""
RADIUS = 0.4
"""Half crops: from a head's middle to eyes, mouth and cheeks."""
PROFILE = profile("bgan")

_STEP = PROFILE.keypoint_step / 128
STEPS: dict[str, tuple[float, ...]] = {
    "position": (_STEP,),
    "expression": (_STEP,),
    "jacobian": (_STEP / REACH,),
    "rotation": (_STEP / RADIUS,),
    "translation": (_STEP, _STEP, _STEP / RADIUS),
}
"""Grid of each kind of number; translation is x, y and the logarithm of scale."""

Trace = NDArray[np.float32]
"""The numbers that travel in a clip's keypoint frames, [frames, numbers]."""


def entropy(values: NDArray[np.int64]) -> float:
    """Bits a value, were each coded with a table of exactly these frequencies."""
    _, counts = np.unique(values, return_counts=True)
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum()) + 0.0


def entropy_bits(traces: Sequence[Trace], kinds: Sequence[tuple[str, int]]) -> dict[str, float]:
    """Bits for each keypoint frame by kind; kinds: (name, how many numbers) in the order of the traces' columns."""
    found, first = {}, 0
    for kind, count in kinds:
        columns = slice(first, first + count)
        grids = [np.rint(trace[:, columns] / np.array(STEPS[kind])).astype(np.int64) for trace in traces]
        found[kind] = count * entropy(np.concatenate([np.diff(grid, axis=0).ravel() for grid in grids]))
        first += count
    return found


def coded_bits(traces: Sequence[Trace]) -> float:
    """Bits for each keypoint frame by the shipped coder, bundled as on the profile's link; traces [frames, 20]."""
    size = frames = 0
    for trace in traces:
        points = trace.reshape(-1, KEYPOINTS, 2)
        reference = to_grid(points[0], PROFILE.keypoint_step)
        grids = [to_grid(p, PROFILE.keypoint_step, reference) for p in points]
        bundles = [grids[at : at + PROFILE.bundle_frames] for at in range(0, len(grids), PROFILE.bundle_frames)]
        size += sum(len(encode_frames(bundle)) for bundle in bundles)
        frames += len(grids)
    return 8 * size / frames


def payload(traces: Sequence[Trace], kinds: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """What a representation sends for each keypoint frame."""
    numbers = sum(count for _, count in kinds)
    parts = entropy_bits(traces, kinds)
    only_points = tuple(kinds) == (("position", 2 * KEYPOINTS),)
    return {
        "numbers": numbers,
        "step_pixels": PROFILE.keypoint_step,
        "bundle_frames": PROFILE.bundle_frames,
        "raw_bits": FLOAT_BITS * numbers,
        "entropy_bits": round(sum(parts.values()), 1),
        "entropy_bits_by_kind": {kind: round(bits, 1) for kind, bits in parts.items()},
        "coder_bits": round(coded_bits(traces), 1) if only_points else None,
    }
