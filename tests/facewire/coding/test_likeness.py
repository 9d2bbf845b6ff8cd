from __future__ import annotations

import cv2
import numpy as np
import pytest

from facewire.coding.likeness import apart, look, unlike
from facewire.types import Picture, Points

RING = np.stack([np.cos(np.arange(10) * 0.63), np.sin(np.arange(10) * 0.63)], 1).astype(np.float32) * 0.3


def scene(x: float = 0.0, turn: float = 0.0, seed: int = 4, light: float = 1.0) -> tuple[Picture, Points]:
    """A textured disc (the head) before a ramp; x in units of the crop."""
    rng = np.random.default_rng(seed)
    texture = cv2.resize(rng.integers(0, 256, (12, 12, 3)).astype(np.uint8), (256, 256), interpolation=cv2.INTER_CUBIC)
    room = np.broadcast_to(np.linspace(60, 120, 256)[None, :, None], (256, 256, 3))
    matrix = cv2.getRotationMatrix2D((127.5, 127.5), -np.degrees(turn), 1.0)
    matrix[0, 2] += 128 * x
    head = cv2.warpAffine(texture, matrix, (256, 256))
    mask = cv2.warpAffine(cv2.circle(np.zeros((256, 256)), (128, 128), 70, 1.0, -1), matrix, (256, 256))[:, :, None]
    picture = np.clip((head * mask + room * (1 - mask)) * light, 0, 255).astype(np.uint8)
    rotation = np.array(((np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))))
    return picture, (RING @ rotation.T + (x, 0)).astype(np.float32)


def test_a_picture_is_like_itself_and_unlike_noise() -> None:
    picture, _ = scene()
    noise = np.random.default_rng(1).integers(0, 256, picture.shape).astype(np.uint8)
    assert unlike(picture, picture) == pytest.approx(0.0, abs=1e-6)
    assert unlike(picture, noise) > 0.8


def test_blur_and_shift_are_seen() -> None:
    picture, _ = scene()
    slight, strong = cv2.GaussianBlur(picture, (0, 0), 2), cv2.GaussianBlur(picture, (0, 0), 8)
    assert 0 < unlike(picture, slight) < unlike(picture, strong)
    assert unlike(picture, scene(0.2)[0]) > 0.02


def test_other_light_is_seen_and_a_slight_change_less() -> None:
    picture, _ = scene()
    dimmed, slightly = (scene(light=light)[0] for light in (0.6, 0.95))
    assert unlike(picture, dimmed) > 5 * unlike(picture, slightly) > 0


@pytest.mark.parametrize(("x", "turn"), [(0.2, 0.0), (0.0, 0.4), (-0.15, -0.3)])
def test_what_the_keypoints_explain_is_not_apart(x: float, turn: float) -> None:
    pivot, moved = look(*scene()), look(*scene(x, turn))
    unexplained = look(scene(x, turn)[0], scene()[1])
    assert apart(pivot, moved) < 0.02
    assert apart(pivot, unexplained) > 3 * apart(pivot, moved)


def test_a_hand_lights_and_another_person_are_apart() -> None:
    picture, points = scene()
    pivot = look(picture, points)
    hand = picture.copy()
    hand[90:200, 100:200] = (200, 150, 120)
    calm = apart(pivot, look(*scene(0.05)))
    for other in ((hand, points), scene(light=0.5), scene(seed=9)):
        assert apart(pivot, look(*other)) > max(0.03, 2 * calm)


def test_points_that_fall_together_do_no_harm() -> None:
    picture, points = scene()
    assert np.isfinite(apart(look(picture, np.zeros((10, 2), np.float32)), look(picture, points)))
