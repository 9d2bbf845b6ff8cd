"""Playing a stream: every frame once, what was lost is held."""

from __future__ import annotations

from tests.facewire_export.evaluation.made_up import networks, stream

from facewire_export.playback import play


def test_play_holds_what_was_lost() -> None:
    played = list(play(stream(11, lost=(2, 4, 6)), networks(), frames=13))
    assert [p.number for p in played] == list(range(13))
    assert [p.number for p in played if p.held] == [1, 2, 3, 4, 5, 6, 7, 11, 12]
    assert played[3].planes is played[0].planes
    assert [p.number for p in played if p.interpolated and not p.held] == [9]
    assert all(p.pivot is not None for p in played)
    assert list(play([], networks(), frames=4)) == []
