"""The sample's portrait: cut out once, then turned, moved and put before its own background for each frame.

The head is a layer with soft edges; its turn is a displacement field that follows a simple relief of head and nose, so
near parts move further than far ones. The background behind the head is painted in once.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.errors import MissingDependency, SourceError
from facewire.sources.sample_face import Eye, Field, Layer, Mouth, smooth
from facewire.sources.sample_motion import Expression
from facewire.types import Picture

CUT = (105, 0, 240)
"""left, top, side of what is shown of the portrait. "Portrait pixels" in these rooms count from there."""
CENTRE = (122.0, 98.0)
"""Middle of the head."""
RADII = (80.0, 92.0)
DEPTH = 58.0
"""How far the middle of the face lies before the head's outline, portrait pixels."""
NOSE = (118.4, 128.0, 9.0, 11.0)
"""x, y, width and height of the nose's own relief."""
NECK = (120.0, 190.0)
"""The head leans about this point."""
FAR = 700.0
"""Distance to the camera, portrait pixels."""
GRID = 3.0
"""The displacement field is computed on a grid this coarse."""
OUTLINE = (
    (75, 132), (67, 124), (65, 117), (56, 110), (50, 97), (49, 82), (49, 67), (52, 55), (62, 45), (80, 36), (86, 29),
    (100, 20), (117, 15), (135, 16), (152, 20), (167, 29), (180, 39), (189, 51), (193, 65), (197, 82), (195, 97),
    (189, 112), (179, 126), (172, 135), (164, 137), (160, 147), (155, 157), (152, 166), (150, 175), (150, 185),
    (160, 200), (165, 215), (160, 240), (75, 240), (77, 200), (81, 179), (80, 160), (79, 150), (77, 140))
"""Hair, ears, jaw, neck and the collar below, portrait pixels."""
SUIT = ((0, 150), (60, 140), (90, 140), (150, 165), (240, 215), (240, 240), (0, 240))
RING = ((70, 149), (80, 149), (92, 151), (104, 154), (116, 158), (128, 163.2), (140, 168.9), (150, 174.4), (160, 181))
"""Upper edge of the suit's ring where the neck hides it, as it must go."""
RING_COLOUR = (124, 112, 130)
RING_INSIDE = (9, 7, 4)
COLLAR = 190
HAIR_ENDS = 130.0
"""Above this the outline may reach into the plain background; below, the suit's ring is close."""


def portrait() -> Picture:
    """The 512x512 portrait from scikit-image's wheel, without importing scikit-image.

    Eileen Collins, NASA, 1993; public domain. Raises MissingDependency when the wheel is not installed.
    """
    found = importlib.util.find_spec("skimage")
    places = list(found.submodule_search_locations or []) if found else []
    for place in places:
        path = Path(place) / "data" / "astronaut.png"
        if path.is_file():
            # Pillow, not OpenCV: libpng would complain about the colour profile on stderr.
            from PIL import Image

            with Image.open(path) as image:
                picture = np.asarray(image.convert("RGB"), np.uint8)
            if picture.shape != (512, 512, 3):
                raise SourceError(f"sample: {path} is not the portrait that scikit-image carries; reinstall it")
            return picture
    raise MissingDependency("the sample needs scikit-image's portrait: pip install --no-deps scikit-image")


class Portrait:
    """Renders expressions at [size, size, 3]."""

    def __init__(self, size: int) -> None:
        """Cut the head out and paint the background behind it (about 0.3 s)."""
        left, top, side = CUT
        self.size = size
        self.scale = size / side
        small = portrait()[top:top + side, left:left + side]
        still = cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
        self._still = Layer(np.asarray(still, np.uint8), self._matte())
        self._plate = self._background(small)
        self._mouth = Mouth(self.scale)
        self._eyes = (Eye(0, self.scale), Eye(1, self.scale))
        self._relief()

    def _matte(self) -> NDArray[np.uint8]:
        """Head 255, background 0, soft between: uint8 [size, size]."""
        drawn = np.zeros((self.size, self.size), np.uint8)
        points = np.array(OUTLINE, np.float32) * self.scale * 16.0
        cv2.fillPoly(drawn, [np.rint(points).astype(np.int32)], 255, cv2.LINE_AA, 4)
        wide = int(3.0 * self.scale) * 2 + 1
        grown = cv2.dilate(drawn, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide)))
        soft = cv2.GaussianBlur(grown, (0, 0), 2.5 * self.scale).astype(np.float32)
        sharp = cv2.GaussianBlur(drawn, (0, 0), 0.8 * self.scale).astype(np.float32)
        y = (np.arange(self.size, dtype=np.float32)[:, None] + 0.5) / self.scale
        mix = smooth((y - HAIR_ENDS + 8.0) / 12.0)
        # The collar's end fades out: nothing moves there.
        fade = 1.0 - smooth((y - 200.0) / 25.0)
        return np.asarray((soft * (1.0 - mix) + sharp * mix) * fade + 0.5, np.uint8)

    def _background(self, small: Picture) -> Picture:
        """The picture without the head, [size, size, 3]."""
        matte = cv2.resize(self._still.matte, small.shape[1::-1], interpolation=cv2.INTER_AREA)
        hole = (matte > 8).astype(np.uint8)
        # The wall is continued from the wall alone, so the suit is part of the hole here.
        suit = hole.copy()
        cv2.fillPoly(suit, [np.array(SUIT, np.int32)], 1)
        wall = cv2.GaussianBlur(cv2.inpaint(np.ascontiguousarray(small), suit, 4, cv2.INPAINT_TELEA), (0, 0), 3.0)
        # The suit's ring goes on behind the neck.
        wall = cv2.resize(wall, None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR)
        ring = np.rint(np.array([*RING, (160, 240), (75, 240)]) * 4).astype(np.int32)
        cv2.fillPoly(wall, [ring], RING_INSIDE, cv2.LINE_AA)
        cv2.polylines(wall, [ring[:len(RING)] + 8], False, RING_COLOUR, 18, cv2.LINE_AA)
        wall = cv2.resize(wall, small.shape[1::-1], interpolation=cv2.INTER_AREA)
        # Nothing moves at the collar's end, where the head's layer fades out.
        hole[COLLAR:] = 0
        filled = np.where(hole[..., None] > 0, wall, small)
        return np.asarray(cv2.resize(filled, (self.size, self.size), interpolation=cv2.INTER_CUBIC), np.uint8)

    def _relief(self) -> None:
        """Depth of each grid point, and how much of the head's motion it follows."""
        cells = round(CUT[2] / GRID)
        at = (np.arange(cells, dtype=np.float32) + 0.5) * (CUT[2] / cells)
        self._x, self._y = np.meshgrid(at, at)
        radius = ((self._x - CENTRE[0]) / RADII[0]) ** 2 + ((self._y - CENTRE[1]) / RADII[1]) ** 2
        dome = np.maximum(1.0 - radius, 0.0)
        # A flattened dome with a soft rim: no edge at which neighbours move apart.
        depth = DEPTH * dome * (1.15 - 0.15 * dome)
        nose = np.exp(-((self._x - NOSE[0]) / NOSE[2]) ** 2 - ((self._y - NOSE[1]) / NOSE[3]) ** 2)
        self._depth: Field = cv2.GaussianBlur((depth + 9.0 * nose).astype(np.float32), (0, 0), 1.5)
        self._follow: Field = (1.0 - smooth((self._y - 170.0) / 45.0)).astype(np.float32)

    def _displacement(self, now: Expression) -> tuple[Field, Field]:
        """How far each grid point of the still moves (right, down), portrait pixels."""
        yaw, pitch, roll = np.radians((now.yaw, now.pitch, now.roll))
        x, y = self._x - CENTRE[0], self._y - CENTRE[1]
        turned_x = x * np.cos(yaw) + self._depth * np.sin(yaw)
        depth = self._depth * np.cos(yaw) - x * np.sin(yaw)
        turned_y = y * np.cos(pitch) - depth * np.sin(pitch)
        depth = depth * np.cos(pitch) + y * np.sin(pitch)
        grow = (1.0 + now.nearer) * (1.0 + (depth - self._depth) / FAR)
        x = turned_x * grow + CENTRE[0] - NECK[0]
        y = turned_y * grow + CENTRE[1] - NECK[1]
        new_x = x * np.cos(roll) - y * np.sin(roll) + NECK[0] + now.right
        new_y = x * np.sin(roll) + y * np.cos(roll) + NECK[1] + now.down
        right, down = (new_x - self._x) * self._follow, (new_y - self._y) * self._follow
        return right.astype(np.float32), down.astype(np.float32)

    def _origins(self, now: Expression) -> tuple[Field, Field]:
        """For each pixel of the picture the still's pixel that is seen there; float32 [size, size] twice."""
        right, down = self._displacement(now)
        step = self._x[0, 1] - self._x[0, 0]
        from_x, from_y = self._x - right, self._y - down
        for _ in range(3):  # Where does a point come from that lands here? A fixed point, as the field is smooth.
            at_x, at_y = from_x / step - 0.5, from_y / step - 0.5
            from_x = self._x - cv2.remap(right, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            from_y = self._y - cv2.remap(down, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        whole = (self.size, self.size)
        moved_x = cv2.resize(from_x - self._x, whole, interpolation=cv2.INTER_LINEAR)
        moved_y = cv2.resize(from_y - self._y, whole, interpolation=cv2.INTER_LINEAR)
        at = np.arange(self.size, dtype=np.float32)
        return moved_x * self.scale + at[None, :], moved_y * self.scale + at[:, None]

    def render(self, now: Expression) -> Picture:
        """The portrait with this expression, uint8 [size, size, 3]."""
        face = self._still.copy()
        self._mouth.draw(face, now)
        for eye in self._eyes:
            eye.draw(face, now)
        at_x, at_y = self._origins(now)
        head = face.sample(at_x, at_y)
        alpha = cv2.merge([head.matte] * 3)
        front = cv2.multiply(head.colour, alpha, scale=1.0 / 255.0)
        back = cv2.multiply(self._plate, cv2.bitwise_not(alpha), scale=1.0 / 255.0)
        return np.asarray(cv2.add(front, back), np.uint8)
