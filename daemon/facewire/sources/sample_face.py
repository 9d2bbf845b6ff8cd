"""Speech and blinks: moves lips, jaw, lids and brows of the portrait in its own, unturned frame.

Works backwards, as cv2.remap wants it: for each pixel of the new picture, which pixel of the portrait is seen there?
Lips and lids are edges at which one part slides over another; each column of pixels has its own.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.sources.sample_motion import Expression

Field = NDArray[np.float32]
Contour = tuple[tuple[float, float], ...]

# The face mesh's landmarks of the portrait, found once; portrait pixels, see sample_portrait.CUT.
UPPER_LIP = ((98.3, 139.9), (100.9, 140.1), (104.1, 140.7), (107.9, 141.5), (112.6, 142.4), (118.5, 143.2),
             (124.4, 142.9), (129.1, 142.3), (132.8, 141.8), (135.9, 141.6), (138.4, 141.5))
LOWER_LIP = ((98.3, 139.9), (101.4, 143.2), (104.0, 145.5), (107.6, 147.7), (112.3, 149.3), (118.0, 150.1),
             (123.6, 149.7), (128.3, 148.5), (132.1, 146.6), (134.9, 144.6), (138.4, 141.5))
UPPER_LIDS = (((90.2, 100.9), (91.1, 100.1), (92.2, 99.2), (94.4, 98.1), (97.8, 97.6), (101.3, 98.1), (104.7, 99.9),
               (107.2, 102.3), (108.3, 103.7)),
              ((132.0, 104.9), (133.4, 103.7), (136.2, 101.6), (139.7, 100.0), (143.3, 99.7), (146.9, 100.6),
               (148.9, 102.1), (150.0, 103.2), (150.8, 104.3)))
LOWER_LIDS = (((90.2, 100.9), (91.5, 102.2), (92.9, 103.0), (95.1, 103.8), (98.4, 104.3), (101.8, 104.3),
               (105.1, 104.0), (107.2, 103.9), (108.3, 103.7)),
              ((132.0, 104.9), (133.0, 105.3), (135.2, 105.6), (138.3, 106.2), (141.6, 106.7), (145.0, 106.6),
               (147.5, 106.1), (149.2, 105.4), (150.8, 104.3)))
CHIN = 177.4
GAP = 7.0
"""Height of the smile's gap between the lips, portrait pixels."""
DARK = (46.0, 19.0, 17.0)
TONGUE = (126.0, 62.0, 60.0)
LASHES = 1.8
"""Height of the lashes above the eye, and of the skin that folds above them, portrait pixels."""
SKIN = 6.5


def smooth(x: Field) -> Field:
    """Smoothstep: 0 below 0, 1 above 1."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


class Layer:
    """The head as it is drawn: its colours, uint8 [size, size, 3], and how solid it is, uint8 [size, size]."""

    def __init__(self, colour: NDArray[np.uint8], matte: NDArray[np.uint8]) -> None:
        self.colour, self.matte = colour, matte

    def copy(self) -> Layer:
        """One to draw on."""
        return Layer(self.colour.copy(), self.matte.copy())

    def sample(self, at_x: Field, at_y: Field) -> Layer:
        """What is seen at these pixels of this layer."""
        colour, matte = (cv2.remap(plane, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
                         for plane in (self.colour, self.matte))
        return Layer(np.asarray(colour, np.uint8), np.asarray(matte, np.uint8))


class Region:
    """A rectangle of the portrait: its rows and columns in the picture and the portrait pixel of each."""

    def __init__(self, box: tuple[float, float, float, float], scale: float) -> None:
        left, top, right, bottom = (round(edge * scale) for edge in box)
        self.window = (slice(top, bottom), slice(left, right))
        self.shape = (bottom - top, right - left)
        self.scale = np.float32(scale)
        self.x: Field = ((np.arange(left, right, dtype=np.float32) + 0.5) / self.scale)[None, :]
        self.y: Field = ((np.arange(top, bottom, dtype=np.float32) + 0.5) / self.scale)[:, None]

    def redraw(self, layer: Layer, x: Field, y: Field) -> None:
        """Fill the region with what the layer shows at portrait pixels (x, y)."""
        half = np.float32(0.5)
        at_x = np.ascontiguousarray(np.broadcast_to(x * self.scale - half, self.shape))
        part = layer.sample(at_x, np.ascontiguousarray(np.broadcast_to(y * self.scale - half, self.shape)))
        layer.colour[self.window] = part.colour
        layer.matte[self.window] = part.matte


class Columns:
    """Edges whose y is a smooth function of x, looked up from tables."""

    STEPS = 16

    def __init__(self, upper: Contour, lower: Contour, blur: float) -> None:
        self.left, self.right = upper[0][0], upper[-1][0]
        self.middle = (self.left + self.right) / 2
        self._start = self.left - 8.0
        at = np.arange(self._start, self.right + 8.0, 1.0 / self.STEPS)
        self._tables = [self._smooth(np.interp(at, *np.array(edge).T), blur) for edge in (upper, lower)]
        along = (at - self.middle) / ((self.right - self.left) / 2)
        self._tables.append((np.clip(1.0 - along * along, 0.0, 1.0) ** 0.8).astype(np.float32))

    def _smooth(self, table: NDArray[np.float64], blur: float) -> Field:
        return np.asarray(cv2.GaussianBlur(table[:, None], (0, 0), blur * self.STEPS)[:, 0], np.float32)

    def at(self, x: Field) -> tuple[Field, Field, Field]:
        """y of the upper and the lower edge, and a bow that is 1 in the middle and 0 from the corners on."""
        index = ((x - np.float32(self._start)) * np.float32(self.STEPS)).astype(np.int32)
        np.clip(index, 0, len(self._tables[0]) - 1, out=index)
        upper, lower, bow = (table[index] for table in self._tables)
        return upper, lower, bow


class Mouth:
    """Lips, teeth, the dark behind them, and the jaw."""

    BOX = (64.0, 122.0, 172.0, 212.0)

    def __init__(self, scale: float) -> None:
        self.region = Region(self.BOX, scale)
        self._columns = Columns(UPPER_LIP, LOWER_LIP, 1.2)
        x, y = self.region.x - np.float32(self._columns.middle), self.region.y
        self._around_x, self._around_y = np.exp(-((x / 26.0) ** 2)), np.exp(-(((y - 145.0) / 13.0) ** 2))
        self._jaw: Field = np.exp(-((x / 33.0) ** 4)) * (1.0 - smooth((y - CHIN - 1.0) / 30.0)) * np.float32(0.85)

    def draw(self, layer: Layer, now: Expression) -> None:
        """Change the unturned head in place."""
        region, middle = self.region, np.float32(self._columns.middle)
        y = region.y
        drop = (now.mouth - 1.0) * GAP
        # Rounded lips are narrower, spread ones wider; the corners come in as the jaw drops.
        squeeze = -0.16 * max(now.round, 0.0) - 0.05 * min(now.round, 0.0) - 0.012 * max(drop, 0.0)
        x = middle + (region.x - middle) / (1.0 + np.float32(squeeze) * self._around_x * self._around_y)
        upper, lower, bow = self._columns.at(x)
        if drop > 0:
            raised, dropped = np.float32(-0.12 * drop) * bow, np.float32(0.88 * drop) * bow
        else:
            gap = np.maximum(lower - upper, 0.0) * np.float32((1.0 - now.mouth) * 0.96)
            raised, dropped = np.float32(0.3) * gap, np.float32(-0.7) * gap
        new_upper, new_lower = upper + raised, lower + dropped
        near = np.maximum(np.float32(1.0) - np.maximum(new_upper - y, 0.0) / np.float32(16.0), 0.0)
        above = y - raised * near * near
        deep = smooth((y - new_lower) / np.float32(20.0))
        below = y - dropped - (np.float32(drop) * self._jaw - dropped) * deep
        between = upper + (y - new_upper)
        region.redraw(layer, x, np.where(y < new_upper, above, np.where(y > new_lower, below, between)))
        if drop > 0:
            self._hollow(layer.colour[region.window], x, lower, new_upper, new_lower, between, bow)

    def _hollow(self, part: NDArray[np.uint8], x: Field, lower: Field, new_upper: Field, new_lower: Field,
                between: Field, bow: Field) -> None:
        """Paint what is seen below the upper teeth in an open mouth."""
        every = self.region.y[:, 0]
        first, last = np.searchsorted(every, (float(new_upper.min()), float(new_lower.max()) + 1.0))
        rows = slice(int(first), int(last) + 1)
        x, lower, new_upper, new_lower, between, bow = (
            field[rows] for field in (x, lower, new_upper, new_lower, between, bow))
        y = self.region.y[rows]
        edge = np.float32(0.35) * self.region.scale
        within = np.clip((new_lower - y) * edge + 0.5, 0.0, 1.0) * np.clip((y - new_upper) * edge + 0.5, 0.0, 1.0)
        # The portrait's upper teeth end where its lower lip begins.
        free = within * smooth((between - lower + 1.8) / 1.6) * np.clip(bow * 6.0, 0.0, 1.0)
        tongue = smooth((y - new_lower + 5.0) / 6.0) * smooth(1.3 - np.abs(x - self._columns.middle) / 13.0)
        tongue = (tongue * smooth((new_lower - new_upper - 9.0) / 5.0))[..., None]
        paint = np.array(DARK, np.float32) * (1.0 - tongue) + np.array(TONGUE, np.float32) * tongue
        seen = part[rows]
        seen[:] = (seen + (paint - seen) * free[..., None] + np.float32(0.5)).astype(np.uint8)


class Eye:
    """One eye's lids and its brow."""

    def __init__(self, which: int, scale: float) -> None:
        self._columns = Columns(UPPER_LIDS[which], LOWER_LIDS[which], 0.6)
        top = min(y for _, y in UPPER_LIDS[which])
        self.region = Region((self._columns.left - 12.0, top - 24.0, self._columns.right + 12.0, top + 12.0), scale)
        x, y = self.region.x, self.region.y
        self._brow: Field = (1.6 * np.exp(-(((x - self._columns.middle) / 11.0) ** 4))
                             * np.exp(-(((y - top + 10.5) / 5.5) ** 2))).astype(np.float32)
        self._ends = smooth((x - self._columns.left) / 1.5) * smooth((self._columns.right - x) / 1.5)

    def draw(self, layer: Layer, now: Expression) -> None:
        """Change the unturned head in place."""
        if now.blink < 0.01 and now.brows < 0.01:
            return
        x, y = self.region.x, self.region.y
        upper, lower, _ = self._columns.at(x)
        upper = upper - np.float32(0.5)
        gap = np.maximum(lower - upper, 0.0) * self._ends
        lid = upper + np.float32(now.blink) * (gap + np.float32(0.4) * np.minimum(gap, 1.0))
        # The lashes come down as they are, the lid's skin above them is stretched; the eye behind stays where it is.
        top = upper - SKIN
        stretched = top + (y - top) * (SKIN - LASHES) / (lid - LASHES - top)
        moved = np.where(y > lid - LASHES, y - (lid - upper), stretched)
        at_y = np.where((y > top) & (y < lid), moved, y)
        self.region.redraw(layer, x, (at_y + np.float32(now.brows) * self._brow).astype(np.float32))
