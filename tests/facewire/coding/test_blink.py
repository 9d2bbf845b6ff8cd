"""The first blink before a pivot with open eyes."""

from __future__ import annotations

import numpy as np
from tests.facewire.coding.test_encoding import face

from facewire.coding.blink import FEWEST, OVER, Blink
from facewire.coding.pivots import Scene
from facewire.face.pose import HeadPose

PICTURE = np.zeros((256, 256, 3), np.uint8)
WIDE_OPEN = Scene(HeadPose(0.0, 0.0, 0.0), face=face(0.34))


def watched(*openings: float) -> Blink:
    blink = Blink()
    for openness in openings:
        blink.look(PICTURE, face(openness), WIDE_OPEN)
    return blink


def test_the_frame_whose_eyes_are_most_shut_is_kept() -> None:
    blink = watched(0.3, 0.1, 0.05, 0.12, *[0.3] * OVER)
    (seen,) = blink.seen
    assert seen.scene.eyes is not None
    assert abs(seen.scene.eyes - 0.05) < 0.01
    assert not watched(0.3, 0.05, 0.3).seen  # it may shut further


def test_who_screws_up_his_eyes_as_a_rule_does_not_blink() -> None:
    assert watched(*[0.2] * FEWEST, 0.13, *[0.2] * OVER).seen == ()
    assert watched(*[0.3] * FEWEST, 0.13, *[0.3] * OVER).seen
    assert watched(*[0.2] * FEWEST, 0.05, *[0.2] * OVER).seen
    assert watched(*[0.2] * (FEWEST - 1)).usual == 0.0
    assert abs(watched(*[0.2] * FEWEST).usual - 0.2) < 0.01


def test_another_pivot_may_show_somebody_else() -> None:
    blink = watched(*[0.2] * FEWEST, 0.05, *[0.2] * OVER)
    blink.clear()
    assert blink.seen == ()
    assert blink.usual == 0.0
