"""The contact sheet: what the camera saw beside what was shown, at several times. Files in, picture out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facewire.types import Picture

if TYPE_CHECKING:
    from PIL.Image import Image

CELL = 288
GAP = 10
HEAD = 64
CAPTION = 26
_PAPER, _INK, _FAINT = (250, 250, 248), (24, 24, 28), (110, 110, 118)


@dataclass(frozen=True)
class Pair:
    """The same frame twice, both square: `real` as the camera's crop showed it, `shown` as it went to the screen."""

    caption: str
    real: Picture
    shown: Picture


def recorded(directory: Path, fps: float = 25.0) -> list[Pair]:
    """The frames that both daemons saved (see `record`), oldest first; of several streams the one with most frames."""
    from PIL import Image

    streams: dict[str, list[tuple[int, Path, Path]]] = {}
    for shown in sorted(directory.glob("*-shown.png")):
        stream, number, _ = shown.stem.split("-")
        real = shown.with_name(f"{stream}-{number}-real.png")
        if real.exists():
            streams.setdefault(stream, []).append((int(number), real, shown))
    if not streams:
        return []

    def read(path: Path) -> Picture:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"), np.uint8)

    chosen = max(streams.values(), key=len)
    return [Pair(f"{number / fps:.1f} s, frame {number}", read(real), read(shown)) for number, real, shown in chosen]


def spread(pairs: list[Pair], count: int) -> list[Pair]:
    """At most `count` pairs, evenly spread, first and last included."""
    if len(pairs) <= count:
        return pairs
    return [pairs[index] for index in np.linspace(0, len(pairs) - 1, count).round().astype(int)]


def contact_sheet(pairs: list[Pair], title: str, subtitle: str = "", columns: int = 2) -> Image:
    """A page with `columns` pairs to a row, each labelled real and shown."""
    from PIL import Image, ImageDraw, ImageFont

    rows = -(-len(pairs) // columns)
    wide = 2 * CELL + 4
    width = columns * wide + (columns + 1) * GAP * 2
    page = Image.new("RGB", (width, HEAD + rows * (CELL + CAPTION + GAP) + GAP), _PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((2 * GAP, 12), title, _INK, ImageFont.load_default(20))
    pen.text((2 * GAP, 38), subtitle, _FAINT, ImageFont.load_default(14))
    small = ImageFont.load_default(14)
    for index, pair in enumerate(pairs):
        x = 2 * GAP + index % columns * (wide + 2 * GAP)
        y = HEAD + index // columns * (CELL + CAPTION + GAP)
        for picture, left, name in ((pair.real, x, "real"), (pair.shown, x + CELL + 4, "shown")):
            cell = Image.fromarray(picture).resize((CELL, CELL), Image.Resampling.LANCZOS)
            page.paste(cell, (left, y))
            pen.text((left, y + CELL + 5), name, _INK, small)
        pen.text((x + wide, y + CELL + 5), pair.caption, _FAINT, small, anchor="ra")
    return page
