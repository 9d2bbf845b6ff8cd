"""Streams that were sent (training.sent), beside their frames at the shown size."""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facewire_export.dataset import Clip, DatasetError, decode, save_atomically
from facewire_export.training.pool import Pool
from facewire_export.training.sent import FRAMES, Sent, open_sent, sent_path

SHOWN_SIZE = 512


class Batch(NamedTuple):
    """Frames of P pivots, as many of each, one pivot's after the other's."""

    coded: Tensor
    """[P, 3, 256, 256] in [0, 1]: pivots as they are decoded."""
    real: Tensor
    """[B, 3, 512, 512]."""
    still: Tensor
    points: Tensor
    """Keypoints [B, 10, 2] of the pivot and of the frame."""
    displacement: Tensor
    """[B, 2, 64, 64]: the one that was sent, half crops."""
    places: Tensor
    """Landmarks of the frame [B, 10, 2], NaN where no face was found."""


class Streams:
    """Those of a pool. real: for each clip its frames uint8 [frames, 512, 512, 3], None where nothing was sent or the
    clip has no such pictures. Raises DatasetError: there are none."""

    def __init__(self, pool: Pool, sent: Sequence[Sent | None], real: Sequence[NDArray[np.uint8] | None]) -> None:
        self._pool = pool
        self._both = [None if s is None or r is None else (s, r) for s, r in zip(sent, real, strict=True)]
        counts = [0 if both is None else len(both[0].coded) for both in self._both]
        self.pivots = [(clip, which) for clip, count in enumerate(counts) for which in range(count)]
        """All of them: (clip, number in the clip)."""
        if not self.pivots:
            raise DatasetError(
                f"{pool.place}: none of these clips is {SHOWN_SIZE} pixels wide and shows a face in {FRAMES} frames"
            )

    def coded(self, clip: int) -> NDArray[np.uint8]:
        """A clip's pivots as they are decoded [pivots, 256, 256, 3]; the clip must have some."""
        both = self._both[clip]
        assert both is not None
        return both[0].coded

    def batch(self, chosen: Sequence[tuple[tuple[int, int], Sequence[int]]]) -> Batch:
        """For each of `pivots` those of its FRAMES frames."""
        rows: list[list[NDArray[np.float32]]] = []
        coded, frames = [], []
        for (clip, which), of_it in chosen:
            both = self._both[clip]
            assert both is not None
            sent, real = both
            coded.append(sent.coded[which])
            mine = np.flatnonzero(sent.which == which)
            for at in (int(mine[n]) for n in of_it):
                shown = real[at].transpose(2, 0, 1)
                rows.append([shown, sent.still[which], sent.points[at], sent.displacement[at]])
                frames.append((clip, int(sent.frames[at])))
        device = self._pool.device
        real_frames, still, points, displacement = (
            torch.from_numpy(np.stack(part).astype(np.float32)).to(device) for part in zip(*rows, strict=True)
        )
        pivots = torch.from_numpy(np.stack(coded)).to(device).permute(0, 3, 1, 2).float().div(255)
        return Batch(pivots, real_frames.div(255), still, points, displacement, self._pool.keypoints(frames))


def open_streams(pool: Pool, stride: int, models: str = "", workers: int = 2) -> Streams:
    """The pool's clips, sent by the networks in `models` ("": the shipped ones); what the cache lacks is made. stride:
    the pool's. Raises ModelError, DatasetError."""
    sent = open_sent(pool.clips, pool.place, models, workers)
    paths = [sent_path(clip, pool.place, models).with_suffix(".shown.npy") for clip in pool.clips]
    wanted = [
        (clip, one.frames, path)
        for clip, one, path in zip(pool.clips, sent, paths, strict=True)
        if one is not None and clip.entry.size >= SHOWN_SIZE and not path.is_file()
    ]
    if wanted:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as processes:
            list(processes.map(functools.partial(_prepare, stride=stride), *zip(*wanted, strict=True)))
    return Streams(pool, sent, [np.load(path, mmap_mode="r") if path.is_file() else None for path in paths])


def _prepare(clip: Clip, frames: NDArray[np.int64], path: Path, stride: int) -> None:
    wanted = {int(number) for number in frames}
    kept: dict[int, NDArray[np.uint8]] = {}
    for number, picture in enumerate(decode(clip.entry.path, SHOWN_SIZE)):
        if number % stride == 0 and number // stride in wanted:
            kept[number // stride] = picture
    save_atomically(path, np.stack([kept[int(number)] for number in frames]))
