"""Clips on disk -> arrays that training can index.

A data set is a folder of clips with a table beside it (`train/` + `train.csv`; without a table every video
counts as a person of its own). Each clip is decoded once into a cache:

    CACHE/<set>-<size>/<id>.frames.npy      uint8   [frames, size, size, 3]  RGB
    CACHE/<set>-<size>/<id>.landmarks.npy   float16 [frames, 478, 2]  x, y in [-1, 1]; NaN where no face was found
    CACHE/<set>-<size>/<id>.coded.npy       uint8   [frames, 256, 256, 3]    each frame as a pivot, decoded again

The arrays are opened memory-mapped, so a data set larger than memory still trains; `Clips.to_device` puts all of
it into one device tensor for GPUs.
"""

from __future__ import annotations

import csv
import functools
import itertools
import multiprocessing
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.errors import FacewireError
from facewire.face.mesh import FaceMesh
from facewire.wire.pivot import decode_pivot, encode_pivot
from facewire_export.networks.tiers import CODED_SIZE

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi")
LANDMARKS = 478
PIVOT_BYTES = (1_500, 14_000)
"""Range of coded pivots, a little wider than the profiles'."""
TYPICAL_PIVOT_BYTES = 4_000
"""The first frame of each clip is coded to this: held-out scores are of the narrow profiles' pivots."""


class DatasetError(FacewireError):
    """The folder or its table cannot be used; the message says how to mend it."""


@dataclass(frozen=True)
class ClipEntry:
    """One row of a data set's table."""

    name: str
    path: Path
    person: str
    size: int
    """Side of the source picture in pixels; clips under 512 are left out of super-resolution training."""
    native_25fps: bool
    """False where frames are repeats of a slower source; leave such clips out of what learns from motion."""


@dataclass(frozen=True)
class Clip:
    """A decoded clip: frames uint8 [n, size, size, 3], landmarks float16 [n, 478, 2] in [-1, 1]; coded: the frames as
    `as_pivots` makes them, or None where nobody asked for them."""

    entry: ClipEntry
    frames: NDArray[np.uint8]
    landmarks: NDArray[np.float16]
    coded: NDArray[np.uint8] | None = None


def read_table(folder: Path) -> list[ClipEntry]:
    """Rows of `<folder>.csv`, or one row for each video in `folder` when there is no table.

    Raises DatasetError when the folder is missing, holds no video, or the table names clips that are absent.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; give a folder of square clips (facewire-export crop makes them)")
    table = folder.with_suffix(".csv")
    if not table.is_file():
        videos = sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
        if not videos:
            raise DatasetError(f"{folder}: holds no video ({', '.join(VIDEO_SUFFIXES)})")
        return [ClipEntry(p.stem, p, p.stem, 512, True) for p in videos]
    entries = []
    with table.open(newline="") as handle:
        for row in csv.DictReader(handle):
            try:
                path = folder / f"{row['id']}.mp4"
                entries.append(
                    ClipEntry(row["id"], path, row["person"], int(row["size"]), row.get("native_25fps", "1") == "1")
                )
            except (KeyError, ValueError) as error:
                raise DatasetError(f"{table}: row {row} lacks id, person or size ({error})") from error
            if Path(row["id"]).name != row["id"]:
                raise DatasetError(f"{table}: id {row['id']!r} is no plain name of a clip in {folder}")
            if not path.is_file():
                raise DatasetError(f"{table}: names {row['id']}, but {path} is not there")
    return entries


def decode(path: Path, size: int) -> Iterator[NDArray[np.uint8]]:
    """Frames of a video as uint8 [size, size, 3] RGB, resized by area. Raises DatasetError where it is no video."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DatasetError(f"{path}: holds no video stream; take it out of the folder")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                picture = frame.to_ndarray(format="rgb24")
                if picture.shape[:2] != (size, size):
                    picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
                yield np.asarray(picture, np.uint8)
    except av.error.FFmpegError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error}); take it out of the folder") from error


def find_landmarks(frames: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Face mesh of each frame -> float16 [n, 478, 2] in [-1, 1], NaN where no face was found."""
    found = np.full((len(frames), LANDMARKS, 2), np.nan, np.float16)
    mesh = FaceMesh(min_score=0.3)
    for i, frame in enumerate(frames):
        points = mesh.landmarks(frame)
        if points is not None:
            found[i] = 2 * points[:, :2] / frame.shape[1] - 1
    mesh.close()
    return found


def as_pivots(frames: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Each frame at the coded size through the pivot coder and back, each at another number of bytes (PIVOT_BYTES)."""
    rng = np.random.default_rng(seed)
    limits = np.exp(rng.uniform(np.log(PIVOT_BYTES[0]), np.log(PIVOT_BYTES[1]), len(frames))).astype(int)
    limits[0] = TYPICAL_PIVOT_BYTES
    side = (CODED_SIZE, CODED_SIZE)
    small = [np.asarray(cv2.resize(frame, side, interpolation=cv2.INTER_AREA), np.uint8) for frame in frames]
    return np.stack([decode_pivot(encode_pivot(f, int(n))) for f, n in zip(small, limits, strict=True)])


def save_atomically(path: Path, array: NDArray[Any]) -> None:
    """Write a .npy so that a reader never sees half of it."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as handle:
        np.save(handle, array)
    partial.replace(path)


def prepare(
    entry: ClipEntry, cache: Path, size: int, landmarks: bool = True, stride: int = 1, coded: bool = False
) -> None:
    """Decode one clip into the cache unless it is there already; stride > 1 keeps each stride-th frame."""
    cache.mkdir(parents=True, exist_ok=True)
    frames_path = cache / f"{entry.name}.frames.npy"
    if not frames_path.is_file():
        frames = list(itertools.islice(decode(entry.path, size), 0, None, stride))
        if not frames:
            raise DatasetError(f"{entry.path}: holds no picture; take it out of the folder")
        save_atomically(frames_path, np.stack(frames))
    landmarks_path = cache / f"{entry.name}.landmarks.npy"
    if landmarks and not landmarks_path.is_file():
        save_atomically(landmarks_path, find_landmarks(np.load(frames_path, mmap_mode="r")))
    coded_path = cache / f"{entry.name}.coded.npy"
    if coded and not coded_path.is_file():
        save_atomically(coded_path, as_pivots(np.load(frames_path), zlib.crc32(entry.name.encode())))


def prepare_all(
    entries: Sequence[ClipEntry],
    cache: Path,
    size: int,
    landmarks: bool = True,
    stride: int = 1,
    coded: bool = False,
    workers: int = 2,
) -> None:
    """`prepare` for every clip that the cache lacks. Raises DatasetError."""
    endings = ["frames", *["landmarks"] * landmarks, *["coded"] * coded]
    missing = [e for e in entries if not all((cache / f"{e.name}.{ending}.npy").is_file() for ending in endings)]
    if not missing:
        return
    job = functools.partial(prepare, cache=cache, size=size, landmarks=landmarks, stride=stride, coded=coded)
    # Started afresh, not forked: MediaPipe's threads do not live through a fork.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as processes:
        list(processes.map(job, missing))


def load(entry: ClipEntry, cache: Path) -> Clip:
    """Open a prepared clip memory-mapped."""
    frames = np.load(cache / f"{entry.name}.frames.npy", mmap_mode="r")
    landmarks_path = cache / f"{entry.name}.landmarks.npy"
    if landmarks_path.is_file():
        landmarks = np.load(landmarks_path)
    else:
        landmarks = np.full((len(frames), LANDMARKS, 2), np.nan, np.float16)
    coded_path = cache / f"{entry.name}.coded.npy"
    coded = np.load(coded_path, mmap_mode="r") if coded_path.is_file() else None
    return Clip(entry, frames, landmarks, coded)
