"""Contact sheets: pivot | real | reconstructed | shown, eyes and mouth enlarged below each picture; and strips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.types import Picture

TILE = 256
EYES_HEIGHT = 96
MOUTH_HEIGHT = 128
HEAD = 22
TITLES = ("pivot", "real", "reconstructed", "shown")


@dataclass(frozen=True)
class SheetRow:
    """One frame: four square pictures in the order of TITLES, and the real face's landmarks in pixels of `real`."""

    pictures: tuple[Picture, Picture, Picture, Picture]
    landmarks: NDArray[np.float32] | None
    note: str


def _text(canvas: Picture, words: str, x: int, y: int) -> None:
    cv2.putText(canvas, words, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (230, 230, 230), 1, cv2.LINE_AA)


def region(points: NDArray[np.float32], size: int, aspect: float, margin: float) -> tuple[int, int, int, int]:
    """Left, top, width, height of a box around points (pixels) with an aspect (w / h), inside size x size."""
    low, high = points.min(0), points.max(0)
    centre, span = (low + high) / 2, (high - low) * (1 + margin)
    width = min(float(max(span[0], span[1] * aspect, 8 * aspect)), float(size), size * aspect)
    height = width / aspect
    left = float(np.clip(centre[0] - width / 2, 0, size - width))
    top = float(np.clip(centre[1] - height / 2, 0, size - height))
    return round(left), round(top), max(1, int(width)), max(1, int(height))


def _row(row: SheetRow) -> Picture:
    from facewire.face.mesh import LEFT_EYE, LIPS_OUTER, RIGHT_EYE

    size = row.pictures[1].shape[0]
    parts = []
    if row.landmarks is not None:
        points = np.asarray(row.landmarks[:, :2], np.float32)
        parts.append((region(points[[*LEFT_EYE, *RIGHT_EYE]], size, TILE / EYES_HEIGHT, 0.4), EYES_HEIGHT))
        parts.append((region(points[list(LIPS_OUTER)], size, TILE / MOUTH_HEIGHT, 0.6), MOUTH_HEIGHT))
    columns = []
    for picture in row.pictures:
        full = cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC) if picture.shape[0] != size else picture
        tiles = [cv2.resize(full, (TILE, TILE), interpolation=cv2.INTER_AREA)]
        for (left, top, width, height), tall in parts:
            part = full[top : top + height, left : left + width]
            tiles.append(cv2.resize(part, (TILE, tall), interpolation=cv2.INTER_CUBIC))
        columns.append(np.concatenate(tiles, 0))
    body = np.concatenate(columns, 1)
    head = np.full((HEAD, body.shape[1], 3), 24, np.uint8)
    _text(head, row.note, 6, 15)
    return np.asarray(np.concatenate([head, body], 0), np.uint8)


def contact_sheet(rows: Sequence[SheetRow], title: str) -> Picture:
    """uint8 [h, 1024, 3]: a title, the columns' names, and the rows one below the other."""
    head = np.full((2 * HEAD, TILE * len(TITLES), 3), 24, np.uint8)
    _text(head, title, 6, 15)
    for column, name in enumerate(TITLES):
        _text(head, name, column * TILE + 6, HEAD + 15)
    return np.asarray(np.concatenate([head, *(_row(row) for row in rows)], 0), np.uint8)


def strip(pairs: Sequence[tuple[Picture, Picture]], title: str) -> Picture:
    """uint8 [h, TILE * pairs, 3]: a title, then each pair as a column, the first of it above the second."""
    head = np.full((HEAD, TILE * len(pairs), 3), 24, np.uint8)
    _text(head, title, 6, 15)
    columns = [
        np.concatenate([cv2.resize(picture, (TILE, TILE), interpolation=cv2.INTER_AREA) for picture in pair])
        for pair in pairs
    ]
    return np.asarray(np.concatenate([head, np.concatenate(columns, 1)]), np.uint8)


def save_png(path: Path, picture: Picture) -> None:
    """Write a PNG; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path}: cannot be written")
