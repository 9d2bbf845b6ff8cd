"""What each class of link allows. Every number that was tuned for a link stands here.

A profile's ceiling is the *all-in* rate: both directions, IP headers and acknowledgements included.
"""

from __future__ import annotations

from dataclasses import dataclass

from facewire.errors import ConfigError


@dataclass(frozen=True)
class Profile:
    """How a stream is shaped for one class of link."""

    name: str
    ceiling_kbps: float
    """All-in rate that is never exceeded over any minute, kbit/s."""
    skip: int
    """Interpolated frames between two keypoint frames, 0-3."""
    bundle_frames: int
    """Keypoint frames in one message: more save headers and cost latency (bundle_frames * (skip + 1) / fps seconds)."""
    pivot_bytes: int
    """Largest coded pivot, bytes."""
    keypoint_step: float
    """Grid on which keypoints are sent, pixels of a 256-pixel crop."""
    slice_bytes: int
    """Largest pivot slice in one message, bytes: what keypoints may have to wait behind."""
    pivot_interval: float
    """Seconds that must lie between two new pivots."""
    announce_interval: float
    """Seconds after which the running epoch is announced again."""
    deformation: int
    """Kind of the deformations (wire.deformation.KINDS) that put keypoints' movement right in files; 0: none."""
    live_deformation: int
    """The same on a link, where bundles are short, and a first pivot must get through beside them (iridium: none)."""
    deformation_bytes: float
    """Bytes that a frame's deformation may take, on average, in files."""
    live_deformation_bytes: float
    """The same on a link, where they compete with no pivot: nothing else would use what they leave."""
    finer_bytes: int
    """On a link: what a pivot that stays is coded to once more."""
    first_pivot_seconds: float = 0.0
    """File mode: seconds whose bytes a clip may take at once for its first pivot; 0: no more than it lasts."""
    finer_side: int = 256
    """Side of a finer pivot, pixels: 256, or 512 where there are bytes for more than the networks look at."""
    finest_bytes: int = 0
    """On a link: what a finer pivot that stays for longer still is coded to, at 512 pixels; 0: it stays as it is."""


# The ceilings are contracts of the links (README, "What it costs"); the rest follows from them. A message costs about
# 102 B on the wire with its acknowledgement before it carries anything, so slow links bundle: on iridium, 16 keypoint
# frames of ~8 B in one message every 1.28 s are 1.6 kbit/s, and what is left trickles the pivot.
_ALL = (
    Profile("iridium", 2.4, 1, 16, 2_500, 1.5, 200, 60.0, 60.0, 1, 0, 3.05, 0.0, 5_000, 15.0, finest_bytes=12_000),
    Profile(
        "bgan", 8.0, 1, 6, 4_000, 1.0, 300, 10.0, 30.0, 2, 2, 3.6, 9.0, 12_000, finer_side=512, finest_bytes=24_000
    ),
    Profile("vsat", 32.0, 1, 2, 8_000, 1.0, 1_200, 4.0, 10.0, 3, 2, 24.0, 24.0, 32_000, finer_side=512),
    Profile("lan", 250.0, 1, 1, 12_000, 0.5, 8_000, 1.0, 5.0, 3, 2, 32.0, 24.0, 60_000, finer_side=512),
)

PROFILES: dict[str, Profile] = {p.name: p for p in _ALL}


def profile(name: str) -> Profile:
    """The profile of that name; ConfigError names the choices."""
    try:
        return PROFILES[name]
    except KeyError:
        raise ConfigError(f"profile = {name!r}: allowed are {', '.join(PROFILES)}") from None
