"""Makes daemon/facewire/wire/deformation_tables.py: how deformations change, as the coder knows before it has seen any.

    python results/deformation_tables.py CLIPS [--seconds 5] [--models DIR]

CLIPS: a folder of training clips, never those that anything is judged on. Their deformations are those that `compress`
makes of them for each profile that has any; to learn what bundles begin with, each is cut every 6 frames. Run it again
when fits or steps have changed, raise wire.packets.VERSION, and write the golden files anew.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))

from facewire.coding.lookahead import open_lookahead
from facewire.profiles import PROFILES
from facewire.sources import open_source
from facewire.types import Bundle, GridDeformation
from facewire.wire import deformation
from facewire.wire.adaptive import Model

OUT = Path(deformation.__file__).with_name("deformation_tables.py")
FPS = 25.0
CUT = 6
TRUST = 512
"""What the counts of a model are together: how slowly it forgets."""


def bundles(clip: Path, seconds: float, models: str) -> Iterator[list[GridDeformation]]:
    """The deformations of each bundle that `compress` makes of a clip."""
    for profile in PROFILES.values():
        if not profile.deformation:
            continue
        encoding = open_lookahead(profile, models, FPS)
        with closing(open_source(f"file:{clip}", FPS, pace=False)) as pictures:
            frames = iter(lambda: pictures.read(10.0), None)
            messages = [message for frame in islice(frames, round(seconds * FPS)) for message in encoding.push(frame)]
        for message in [*messages, *encoding.flush()]:
            if isinstance(message, Bundle):
                yield [frame.deformation for frame in message.frames if frame.deformation is not None]


class Counts:
    """How often each size and sign came, by model."""

    def __init__(self) -> None:
        sizes, signs = deformation.SIZES_FIRST, deformation.SIGNS_FIRST
        self.sizes = {begun: np.zeros((len(sizes), len(sizes[0])), np.int64) for begun in (False, True)}
        self.signs = {begun: np.zeros((len(signs), 2), np.int64) for begun in (False, True)}

    def add(self, frames: list[GridDeformation]) -> None:
        """Walk through the frames of a code."""
        walk = deformation._Walk(frames[0].shape[-1])
        for at, frame in enumerate(frames):
            for value in frame.reshape(-1).tolist():
                expected, sizes, signs, way = walk.next()
                difference = value - expected
                self.sizes[at > 0][_place(walk._sizes, sizes), min(abs(difference), deformation.ESCAPE)] += 1
                if difference:
                    self.signs[at > 0][_place(walk._signs, signs), int(difference * way < 0)] += 1
                walk.learn(value, difference)
            walk.end_frame()


def _place(models: list[Model], one: Model) -> int:
    return next(at for at, model in enumerate(models) if model is one)


def table(name: str, counts: NDArray[np.int64]) -> str:
    """A table of the module, each row scaled to TRUST."""
    rows = []
    for row in counts:
        shares = np.maximum(1, np.rint(TRUST * (row + 0.2) / (row + 0.2).sum())).astype(int)
        rows.append("    (" + ", ".join(map(str, shares)) + "),\n")
    return f"{name}: tuple[tuple[int, ...], ...] = (\n{''.join(rows)})\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--models", default="")
    told = parser.parse_args()
    clips = sorted(told.clips.glob("*.mp4"))
    if not clips:
        sys.exit(f"{told.clips}: no clips (*.mp4) in it")
    counts, frames = Counts(), 0
    for clip in clips:
        for found in bundles(clip, told.seconds, told.models):
            frames += len(found)
            if found:
                counts.add(found)
            for at in range(0, len(found), CUT):
                counts.add(found[at : at + CUT][:1])
    text = (
        f'"""Made by results/deformation_tables.py from {len(clips)} clips, {frames} frames. Meaning:\n'
        'wire.deformation. A change needs a new wire.packets.VERSION."""\n\n# fmt: off\n'
    )
    for begun, name in ((False, "_FIRST"), (True, "")):
        text += table("SIZES" + name, counts.sizes[begun]) + table("SIGNS" + name, counts.signs[begun])
    OUT.write_text(text)


if __name__ == "__main__":
    main()
