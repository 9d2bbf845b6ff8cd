"""How the sample's head moves: a talk that anyone can make up from sines, syllables and blinks. Pure, by frame time.

The same time gives the same expression on every machine, in any order; nothing is random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PHRASE = 4.2
"""Seconds from one phrase to the next."""
SPOKEN = 3.3
"""Seconds of a phrase that are spoken; then comes a breath and the smile of the portrait."""
SYLLABLE = 0.19
"""Seconds from one syllable to the next: about five a second, as in English speech."""
BLINK_EVERY = 3.4
BLINK = 0.28
"""Seconds from open to shut to open."""


@dataclass(frozen=True)
class Expression:
    """One moment. Angles in degrees (signs as in face.pose), moves in portrait pixels (the face is 95 wide)."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    right: float = 0.0
    down: float = 0.0
    nearer: float = 0.0
    """Relative growth of the head."""
    mouth: float = 1.0
    """Gap between the lips: 0 shut, 1 the portrait's smile, 2 wide open."""
    round: float = 0.0
    """-1 spread lips ("ee") to 1 rounded ("oo")."""
    blink: float = 0.0
    """0 open to 1 shut."""
    brows: float = 0.0
    """0 to 1 raised."""


def expression(time: float) -> Expression:
    """What the face does at `time` seconds."""
    talk = _talking(time)
    return Expression(
        yaw=6.5 * _wave(time, 6.1) + 4.0 * _wave(time, 3.7, 0.3) + 8.0 * _glance(time) + 1.2 * _wave(time, 1.31) * talk,
        pitch=2.5 * _wave(time, 4.7, 0.1) + 1.5 * talk * _wave(time, 0.93) + 4.0 * _nod(time),
        roll=3.0 * _wave(time, 7.9, 0.55) + 1.6 * _wave(time, 2.9, 0.2),
        right=3.0 * _wave(time, 8.3, 0.15) + 1.0 * _wave(time, 2.3),
        down=1.2 * _wave(time, 5.3, 0.4),
        nearer=0.015 * _wave(time, 9.7),
        mouth=_mouth(time, talk),
        round=0.8 * talk * _wave(time, 0.57, 0.2),
        blink=_blink(time),
        brows=0.7 * _bump((time % PHRASE - 0.3) / 0.9) + 0.3 * abs(_glance(time)),
    )


def _wave(time: float, period: float, shift: float = 0.0) -> float:
    return math.sin(2.0 * math.pi * (time / period + shift))


def _bump(x: float) -> float:
    """0 outside (-0.5, 0.5), 1 in the middle, smooth."""
    return 0.5 + 0.5 * math.cos(2.0 * math.pi * x) if abs(x) < 0.5 else 0.0


def _dice(number: int, what: int) -> float:
    """A fixed number in [0, 1) for each `number`: a hash, not a random generator."""
    mixed = (number * 2654435761 + what * 40503 + 12345) & 0xFFFFFFFF
    mixed ^= mixed >> 15
    mixed = mixed * 2246822519 & 0xFFFFFFFF
    mixed ^= mixed >> 13
    return mixed / 4294967296.0


def _talking(time: float) -> float:
    """1 while a phrase is spoken, 0 between phrases, smooth."""
    inside = time % PHRASE
    return min(1.0, inside / 0.25) * min(1.0, max(0.0, (SPOKEN - inside) / 0.25))


def _mouth(time: float, talk: float) -> float:
    """Syllables open the mouth, consonants between them shut it nearly; between phrases it smiles."""
    middle = round(time / SYLLABLE)
    gap = 0.15
    for syllable in (middle - 1, middle, middle + 1):
        height = 0.2 + 1.5 * _dice(syllable, 1)
        width = SYLLABLE * (1.3 + 0.6 * _dice(syllable, 2))
        gap += height * _bump((time - (syllable + 0.3 * (_dice(syllable, 3) - 0.5)) * SYLLABLE) / width)
    return (1.0 - talk) + talk * min(gap, 2.0)


def _blink(time: float) -> float:
    turn = math.floor(time / BLINK_EVERY)
    start = (turn + 0.1 + 0.7 * _dice(turn, 4)) * BLINK_EVERY
    part = (time - start) / BLINK
    if not 0.0 <= part <= 1.0:
        return 0.0
    # Lids shut faster than they open.
    return min(1.0, part / 0.32) if part < 0.45 else max(0.0, 1.0 - (part - 0.45) / 0.55)


def _glance(time: float) -> float:
    """Every eleven seconds a look to one side, then to the other."""
    turn = math.floor(time / 11.0)
    return (1.0 if turn % 2 else -1.0) * _bump((time - turn * 11.0 - 7.0) / 3.2)


def _nod(time: float) -> float:
    """Two small nods at the end of every second phrase."""
    inside = time % (2.0 * PHRASE) - PHRASE - SPOKEN + 0.5
    return -(_bump(inside / 0.5) + 0.7 * _bump((inside - 0.55) / 0.5))
