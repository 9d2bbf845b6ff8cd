"""A lost pivot is asked for again, but not while one may still be on its way."""

from __future__ import annotations

from facewire.incoming.patience import ASK_SECONDS, Patience


def test_nothing_is_asked_while_pictures_come() -> None:
    patience = Patience(0.0)
    assert not any(patience.lost(float(now), generated=now, undone=now) for now in range(1, 200))


def test_silence_is_no_reason_to_ask() -> None:
    patience = Patience(0.0)
    assert not any(patience.lost(float(now), generated=0, undone=0) for now in range(200))


def test_frames_without_a_pivot_are_asked_about_once_in_a_while() -> None:
    patience = Patience(0.0)
    asked = [now for now in range(100) if patience.lost(float(now), generated=0, undone=now)]
    assert asked == [ASK_SECONDS, 2 * ASK_SECONDS, 3 * ASK_SECONDS]


def test_a_picture_in_between_starts_the_wait_anew() -> None:
    patience = Patience(0.0)
    assert not patience.lost(20.0, 0, 5)
    assert not patience.lost(25.0, 1, 5)
    assert not patience.lost(25.0 + ASK_SECONDS - 1, 1, 9)
    assert patience.lost(25.0 + ASK_SECONDS, 1, 10)
