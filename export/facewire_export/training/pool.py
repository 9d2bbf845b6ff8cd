"""Frames of a data set as one indexable pool, on the CPU (memory-mapped) or decoded once into device memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facewire_export.dataset import Clip, load, prepare_all, read_table

LANDMARK_GROUPS = ((159,), (386,), (1,), (61,), (291,), (13,), (14,), (152,), (234,), (454,))
"""MediaPipe mesh points whose means start the ten keypoints: upper eyelids (their distance from the others is a blink),
nose, mouth corners, inner lips, chin, cheeks."""
MIRRORED = (1, 0, 2, 4, 3, 5, 6, 7, 9, 8)
"""Which of the ten each becomes when the picture is flipped left to right."""


def ten_points(landmarks: NDArray[np.float16]) -> NDArray[np.float32]:
    """Mesh landmarks [n, 478, 2] -> the ten starting keypoints [n, 10, 2]."""
    mesh = landmarks.astype(np.float32)
    return np.stack([mesh[:, list(group)].mean(1) for group in LANDMARK_GROUPS], 1)


@dataclass(frozen=True)
class Pool:
    """Clips of one size, and where their frames are."""

    clips: list[Clip]
    points: list[NDArray[np.float32]]
    """For each clip the ten starting keypoints of each frame [n, 10, 2]; NaN without a face."""
    device: torch.device
    resident: list[Tensor] | None
    """On a GPU: each clip's frames as uint8 [n, size, size, 3] in its memory."""
    place: Path
    """The folder in the cache."""

    def frames(self, chosen: list[tuple[int, int]]) -> Tensor:
        """Pictures for (clip, frame) pairs: float32 [B, 3, size, size] in [0, 1] on the pool's device."""
        if self.resident is not None:
            stack = torch.stack([self.resident[c][f] for c, f in chosen])
        else:
            stack = torch.from_numpy(np.stack([self.clips[c].frames[f] for c, f in chosen])).to(self.device)
        return self._as_tensor(stack)

    def coded(self, chosen: list[tuple[int, int]]) -> Tensor:
        """Decoded pivots of (clip, frame) pairs, as `frames` gives the frames. The pool must have been opened coded."""
        pictures = []
        for clip, frame in chosen:
            source = self.clips[clip].coded
            assert source is not None
            pictures.append(source[frame])
        return self._as_tensor(torch.from_numpy(np.stack(pictures)).to(self.device))

    @staticmethod
    def _as_tensor(stack: Tensor) -> Tensor:
        return stack.permute(0, 3, 1, 2).contiguous().float().div_(255)

    def mesh(self, chosen: list[tuple[int, int]]) -> Tensor:
        """Face mesh for (clip, frame) pairs: float32 [B, 478, 2] in [-1, 1], NaN where no face was found."""
        found = np.stack([self.clips[c].landmarks[f] for c, f in chosen]).astype(np.float32)
        return torch.from_numpy(found).to(self.device)

    def keypoints(self, chosen: list[tuple[int, int]]) -> Tensor:
        """Starting keypoints for (clip, frame) pairs: float32 [B, 10, 2]."""
        return torch.from_numpy(np.stack([self.points[c][f] for c, f in chosen])).to(self.device)


def open_pool(
    folder: Path,
    cache: Path,
    size: int,
    device: torch.device,
    *,
    landmarks: bool = True,
    stride: int = 1,
    coded: bool = False,
    workers: int = 2,
) -> Pool:
    """Decode what the cache lacks, then open every clip of at least two frames. Raises DatasetError."""
    entries = [e for e in read_table(folder) if e.size >= size]
    place = cache / (f"{folder.name}-{size}" if stride == 1 else f"{folder.name}-{size}-{stride}")
    prepare_all(entries, place, size, landmarks, stride, coded, workers)
    clips = [clip for clip in (load(e, place) for e in entries) if len(clip.frames) >= 2]
    resident = None
    if device.type == "cuda":
        resident = [torch.from_numpy(np.ascontiguousarray(c.frames)).to(device) for c in clips]
    return Pool(clips, [ten_points(c.landmarks) for c in clips], device, resident, place)
