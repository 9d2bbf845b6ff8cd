"""One clip's shown frames against its real ones, beside what would be seen if nothing moved."""

from __future__ import annotations

import math
from dataclasses import dataclass

from facewire.types import Picture
from facewire_export.judge import Judge, Seen
from facewire_export.metrics import Flicker, mean_db, psnr
from facewire_export.playback import Played, enlarged
from facewire_export.sheets import SheetRow
from facewire_export.tables import WAYS

SHEET_AT = (0.2, 0.5, 0.8)
"""Where in a clip the contact sheet's frames are taken."""


@dataclass(frozen=True)
class Settings:
    """What makes two evaluations comparable; records of other settings are not reused."""

    profile: str
    skip: int
    pivots: str
    size: int
    every: int
    """Scores other than PSNR are taken on every n-th frame."""
    frames: int
    """Only so many frames of each clip; 0: all."""
    models: str
    """Start of the SHA-256 of the networks' manifest."""
    judged_by: str
    """Scores that could be taken."""
    code: str = ""
    """Start of the SHA-256 of the runtime's source."""


class Comparison:
    """One clip's frames as they come; keeps scores, not pictures (a handful for the contact sheet excepted)."""

    def __init__(self, judge: Judge, settings: Settings, frames: int) -> None:
        self._judge = judge
        self._settings = settings
        self._psnr: dict[str, list[float]] = {way: [] for way in WAYS}
        self._rows: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        self._still: dict[str, tuple[Picture, Picture, Seen | None]] = {}
        self._flicker = Flicker()
        self._sheet_at = {round(share * (frames - 1)) for share in SHEET_AT}
        self.sheet: list[SheetRow] = []
        self.frames = self.held = 0

    def _held(self, way: str, coded: Picture, judged: bool) -> tuple[Picture, Seen | None]:
        """A still picture at the shown size, enlarged and looked at only when it changes."""
        known = self._still.get(way)
        if known is None or known[0] is not coded:
            known = (coded, enlarged(coded, self._settings.size), None)
        if judged and known[2] is None:
            known = (known[0], known[1], self._judge.look(known[1]))
        self._still[way] = known
        return known[1], known[2]

    def add(self, real: Picture, played: Played) -> None:
        """Take the next frame."""
        judged = self.frames % self._settings.every == self._settings.every // 2
        first = self._still["first_frame"][0] if self.frames else real
        first_pivot = self._still["first_pivot"][0] if self.frames else played.pivot
        pictures: dict[str, tuple[Picture, Seen | None]] = {
            "shown": (played.shown, self._judge.look(played.shown) if judged else None),
            "pivot": self._held("pivot", played.pivot, judged),
            "first_pivot": self._held("first_pivot", first_pivot, judged),
            "first_frame": self._held("first_frame", first, judged),
        }
        seen = self._judge.look(real) if judged or self.frames in self._sheet_at else None
        for way, (picture, looked) in pictures.items():
            # The first frame is its own perfect copy where it is held; it counts for none.
            if self.frames:
                self._psnr[way].append(psnr(real, picture))
            if judged and self.frames and seen is not None and looked is not None:
                self._rows[way].append(self._judge.compare(seen, looked))
        self._flicker.add(real, played.shown)
        if self.frames in self._sheet_at and seen is not None:
            size = self._settings.size
            four = (enlarged(played.pivot, size), real, enlarged(played.reconstructed, size), played.shown)
            kind = "interpolated" if played.interpolated else "keypoints"
            ours, held = psnr(real, played.shown), psnr(real, pictures["pivot"][0])
            note = f"frame {self.frames} ({kind})  psnr {ours:.1f}, held {held:.1f}"
            self.sheet.append(SheetRow(four, seen.landmarks, note))
        self.held += played.held
        self.frames += 1

    def scores(self) -> dict[str, dict[str, float]]:
        """For each way of showing, the mean of each score over the frames on which it could be told."""
        result: dict[str, dict[str, float]] = {}
        for way, rows in self._rows.items():
            means = {}
            for name in rows[0] if rows else ():
                known = [row[name] for row in rows if math.isfinite(row[name])]
                means[name] = sum(known) / len(known) if known else float("nan")
            means["psnr"] = mean_db(self._psnr[way])
            result[way] = means
        return result

    def flicker(self) -> dict[str, float]:
        return self._flicker.result()
