"""OUT/records.jsonl: one line for each clip and point, written as soon as it is known. A line is found again by its
key: what was measured with other settings, networks or code is measured again. What a crash cut off is ignored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from facewire_export.evaluation import frechet
from facewire_export.metrics import plain

RECORDS = "records.jsonl"
FEATURES = "features"
REAL = "real"
"""Where the real frames' features lie, beside the points'."""

Record = Mapping[str, Any]


def key_of(**parts: Any) -> str:
    """Start of a SHA-256 over all that a record depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


class Records:
    """The records of one folder. Raises OSError where it cannot be written."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self.path = out / RECORDS
        out.mkdir(parents=True, exist_ok=True)
        self._known: dict[tuple[str, str], Record] = {}
        for record in read(self.path):
            self._known[record["clip"], record["point"]] = record
        # A line that a crash cut off must not swallow the next one.
        if self.path.is_file() and (text := self.path.read_bytes()) and not text.endswith(b"\n"):
            with self.path.open("a", encoding="utf-8") as handle:
                handle.write("\n")

    def get(self, clip: str, point: str, key: str) -> Record | None:
        """That record, if it was made with the same key and its features are there."""
        record = self._known.get((clip, point))
        if record is None or record.get("key") != key or not features_path(self._out, point, clip).is_file():
            return None
        return record

    def add(self, record: Mapping[str, Any], features: frechet.Features) -> Record:
        """Append one; returns it as it is kept."""
        save_features(self._out, record["point"], record["clip"], features)
        kept: Record = plain(dict(record))
        self._known[record["clip"], record["point"]] = kept
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(kept) + "\n")
        return kept


def features_path(out: Path, point: str, clip: str) -> Path:
    """Where features float16 [n, 512] lie."""
    return out / FEATURES / point / f"{clip}.npy"


def save_features(out: Path, point: str, clip: str, found: frechet.Features) -> None:
    """Keep one clip's features of a point."""
    path = features_path(out, point, clip)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, found.astype(np.float16))


def features(out: Path, point: str, clips: Iterable[str]) -> frechet.Features:
    """All clips' features of a point, float32 [n, 512]."""
    found = [np.load(features_path(out, point, clip)) for clip in clips if features_path(out, point, clip).is_file()]
    return np.concatenate(found).astype(np.float32) if found else np.zeros((0, 512), np.float32)


def read(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a file, later ones last; [] where there is none."""
    found = []
    if path.is_file():
        for line in path.read_text("utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and all(isinstance(record.get(name), str) for name in ("clip", "point")):
                found.append(record)
    return found


def write_records(path: Path, records: Iterable[Record]) -> None:
    """A file with these records alone, sorted; replaced in one step."""
    ordered = sorted(records, key=lambda r: (r["clip"], r["point"]))
    partial = path.with_suffix(".partial")
    partial.write_text("".join(json.dumps(r) + "\n" for r in ordered), "utf-8")
    partial.replace(path)
