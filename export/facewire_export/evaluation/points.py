"""What is measured: our own operating points and ablations, and the codecs that a user would pick instead.

Qualities were chosen so that each codec's points reach from its floor to about 80 kbit/s all-in (eight times our `bgan`
point) on 512x512 talking heads; the floors are the encoders' own (CRF 51; 70 for SVT-AV1; 63 for
VP9). VVC, whose encoder is slow, has fewer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

SHOWN = 512
"""Side at which everything is shown and compared, as the paper counts."""


@dataclass(frozen=True)
class Ours:
    """One way of running Facewire. `show`: "network" (the shipped upscaler), "bicubic", "patch" (the upscaler's weights
    in windows of `patch` pixels), or "pivot" (the newest pivot, held still)."""

    name: str
    title: str
    profile: str = "bgan"
    skip: int = 1
    show: str = "network"
    patch: int = 0
    bare: bool = False
    """Without deformations: keypoints alone, as in the paper."""
    live: bool = False
    """Coded by the camera's steps, frame by frame; otherwise by `compress`, which looks ahead and tries pivots."""
    turn: float = 15.0
    """Live: degrees of head turn that ask for a new pivot; 0: never. The background's limit moves with it."""
    every_frame: bool = False
    """Show every frame, not only those that are scored: for the page with players."""
    watched: bool = True
    """Score what frames do that follow each other (flicker, VMAF)."""

    @property
    def stream(self) -> tuple[str, int, bool, bool, float]:
        """Points with the same stream differ only in how it is shown."""
        return (self.profile, self.skip, self.bare, self.live, self.turn)

    def settings(self) -> dict[str, Any]:
        """What the result depends on."""
        return {key: value for key, value in asdict(self).items() if key not in ("name", "title")}


@dataclass(frozen=True)
class Codec:
    """One codec at one quality. mode: "offline" (slow preset, reordering) or "live" (no reordering, no look-ahead);
    size: coded side, enlarged bicubically to SHOWN; half_rate: every second frame is coded and shown twice."""

    codec: str
    mode: str
    size: int
    quality: int
    half_rate: bool = False
    player: bool = False
    """Its pictures go onto the page with players."""

    @property
    def name(self) -> str:
        half = "-half" if self.half_rate else ""
        return f"{self.codec}-{self.mode}-{self.size}{half}-q{self.quality}"

    @property
    def family(self) -> str:
        """Codec and mode: what a user chooses first."""
        return f"{self.codec}-{self.mode}"

    @property
    def title(self) -> str:
        half = ", every 2nd frame" if self.half_rate else ""
        return f"{TITLES[self.codec]} {self.mode}, {self.size}x{self.size}{half}, q {self.quality}"

    def settings(self) -> dict[str, Any]:
        """What the result depends on."""
        return {key: value for key, value in asdict(self).items() if key != "player"}


TITLES = {"x264": "H.264 (x264)", "x265": "H.265 (x265)", "av1": "AV1 (SVT-AV1)", "vp9": "VP9", "vvc": "VVC (vvenc)"}
MAIN = "bgan"
"""The point that every comparison starts from."""

OURS = (
    Ours("iridium", "Facewire `iridium`", "iridium", every_frame=True),
    Ours("bgan", "Facewire `bgan`", every_frame=True),
    Ours("vsat", "Facewire `vsat`", "vsat", every_frame=True),
    Ours("lan", "Facewire `lan`, live", "lan", live=True),  # who has such a link needs no file
    *(Ours(f"{name}-live", f"Facewire `{name}`, live", name, live=True) for name in ("bgan", "vsat")),
    Ours("bgan-pivot", "newest pivot held still", show="pivot"),
    # Table 1: what each part brings.
    Ours("bgan-keypoints", "keypoints only", skip=0, show="bicubic", bare=True),
    Ours("bgan-interpolation", "+ interpolation", show="bicubic", bare=True),
    Ours("bgan-bare", "+ super-resolution", bare=True),
    # Table 2: interpolated frames between two keypoint frames, without deformations (1 is `bgan-bare`).
    Ours("bgan-skip0", "0 interpolated", skip=0, bare=True),
    Ours("bgan-skip2", "2 interpolated", skip=2, bare=True),
    Ours("bgan-skip3", "3 interpolated", skip=3, bare=True),
    # Table 3: side of the upscaler's window.
    Ours("bgan-bicubic", "bicubic", show="bicubic"),
    *(
        Ours(f"bgan-patch{side}", f"{side}x{side}", show="patch", patch=side, watched=False)
        for side in (16, 32, 64, 128)
    ),
    # Table 4: how far the head may turn. On `lan`, where the link does not hold pivots back (15 is `lan`).
    *(Ours(f"lan-turn{turn}", f"{turn}°" if turn else "never", "lan", live=True, turn=turn) for turn in (0, 5)),
)

_QUALITIES: dict[tuple[str, str], dict[int, tuple[int, ...]]] = {
    ("x264", "offline"): {512: (51, 38), 256: (51, 41)},
    ("x264", "live"): {512: (51, 41), 256: (51, 41)},
    ("x265", "offline"): {512: (51, 40), 256: (51, 42)},
    ("x265", "live"): {512: (51, 41), 256: (51, 42)},
    ("av1", "offline"): {512: (70, 63), 256: (70, 63)},
    ("av1", "live"): {512: (70, 63), 256: (70, 63)},
    ("vp9", "offline"): {512: (63,), 256: (63,)},
    ("vp9", "live"): {512: (63,), 256: (63,)},
    ("vvc", "offline"): {512: (48,), 256: (48,)},
    ("vvc", "live"): {256: (48,)},  # at 512 its encoder is slower than any camera
}
"""Codec and mode -> coded side -> qualities, the floor first. Few: the whole set has to be measured in an hour."""
_HALF_RATE = {"x264": 51, "x265": 51, "av1": 70, "vp9": 63, "vvc": 56}
"""The lowest rate that each can do: its floor at 128x128, every second frame."""


def _codecs() -> tuple[Codec, ...]:
    points = []
    for (codec, mode), sizes in _QUALITIES.items():
        for size, qualities in sizes.items():
            player = size == 256 and mode == "live"
            points += [Codec(codec, mode, size, q, player=player and q == qualities[0]) for q in qualities]
        points.append(Codec(codec, mode, 128, _HALF_RATE[codec], half_rate=True))
    return tuple(points)


CODECS = _codecs()

QUICK_OURS = ("bgan", "bgan-pivot", "bgan-bicubic")
QUICK_CODECS = ("x264-live-256-q51", "x265-offline-256-q51", "av1-offline-256-q70", "av1-live-128-half-q70")

Point = Ours | Codec


def points(only: str = "", quick: bool = False) -> tuple[Point, ...]:
    """The points to measure. only: "", "ours", "codecs", or names separated by commas (a codec or family counts for all
    its points); quick: a handful. Raises ValueError naming what is not known."""
    everything: tuple[Point, ...] = (*OURS, *CODECS)
    if quick:
        everything = tuple(p for p in everything if p.name in QUICK_OURS + QUICK_CODECS)
    wanted = [word for word in only.split(",") if word]
    if not wanted:
        return everything

    def words(point: Point) -> set[str]:
        if isinstance(point, Ours):
            return {"ours", point.name}
        return {"codecs", point.codec, point.family, point.name}

    known = {word for point in everything for word in words(point)}
    for word in wanted:
        if word not in known:
            raise ValueError(f"{word}: no such point; give ours, codecs, {', '.join(TITLES)}, or a point's name")
    return tuple(p for p in everything if words(p) & set(wanted))
