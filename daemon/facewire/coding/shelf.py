"""The pivots that an encoder has sent, kept on disk with what they show: after a restart the picture that its decoders
hold already is animated again, and none travels twice.

    FOLDER/ID.pivot     coded pictures (wire.pivot_store.PivotCache)
    FOLDER/index.json   {id: {"crop": [left, top, side], "shape": [h, w, c], "pose": [yaw, pitch, roll] | null,
                        "background": [...] | null, "limit": bytes, "time": seconds since 1970}}

What cannot be written or read is as if it were not there: an encoder without a disk sends its pivot again.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from facewire.coding.pivots import Scene, Taken
from facewire.face.pose import HeadPose
from facewire.types import Crop
from facewire.wire.pivot_store import PivotCache

MOST = 6
"""Pivots that are offered after a restart: each costs the encoder a look at its first picture (20 ms)."""
KEPT_BYTES = 1 << 20
OLDEST_SECONDS = 12 * 3600
"""A pivot that was used last so long ago is not offered: light, clothes and people change."""


class Shelf:
    """Keeps pivots in `folder` (None: nowhere). limit: a profile's pivot_bytes; those of another quality stay away."""

    def __init__(self, folder: Path | None, limit: int) -> None:
        self._cache = PivotCache(folder, KEPT_BYTES)
        self._path = None if folder is None else folder / "index.json"
        self._limit = limit
        self._index: OrderedDict[str, dict[str, Any]] = OrderedDict(self._read())

    def keep(self, taken: Taken) -> None:
        """Keep a pivot that goes out now, or say that it is used again."""
        scene, name = taken.scene, taken.pivot_id.hex()
        pose = scene.pose
        self._index[name] = {
            "crop": [taken.crop.left, taken.crop.top, taken.crop.side],
            "shape": list(taken.shape),
            "pose": None if pose is None else [pose.yaw, pose.pitch, pose.roll],
            "background": None if scene.background is None else [round(float(x), 5) for x in scene.background],
            "gate": taken.gate,
            "limit": self._limit,
            "time": round(time.time()),
        }
        self._index.move_to_end(name)
        self._cache.put(taken.data)
        for old in [old for old in self._index if bytes.fromhex(old) not in self._cache]:
            del self._index[old]
        self._write()

    def offer(self) -> list[Taken]:
        """The pivots that may be used again, the latest first."""
        out: list[Taken] = []
        for name, item in reversed(self._index.items()):
            taken = self._taken(name, item)
            if taken is not None:
                out.append(taken)
        return out[:MOST]

    def _taken(self, name: str, item: Any) -> Taken | None:
        try:
            age = time.time() - float(item["time"])
            if item["limit"] != self._limit or not -60 < age < OLDEST_SECONDS:
                return None
            pivot_id = bytes.fromhex(name)
            data = self._cache.get(pivot_id)
            left, top, side = (int(value) for value in item["crop"])
            pose = None if item["pose"] is None else HeadPose(*(float(value) for value in item["pose"]))
            background = item["background"]
            vector = None if background is None else np.asarray(background, np.float32).reshape(-1)
            shape = tuple(int(value) for value in item["shape"])
            gate = None if item.get("gate") is None else float(item["gate"])
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        if data is None or not 1 <= side <= 1 << 14 or (vector is not None and not np.isfinite(vector).all()):
            return None
        return Taken(pivot_id, data, Crop(left, top, side), Scene(pose, vector), shape, gate)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            found = json.loads(self._path.read_text("utf-8")) if self._path is not None else {}
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {name: item for name, item in found.items() if isinstance(item, dict) and _is_name(name)}

    def _write(self) -> None:
        if self._path is None or self._cache.fault is not None:
            return
        part = self._path.with_suffix(".part")
        try:
            part.write_text(json.dumps(self._index), "utf-8")
            part.replace(self._path)
        except OSError:
            return


def _is_name(text: str) -> bool:
    return len(text) == 16 and all(c in "0123456789abcdef" for c in text)
