"""The list of what is measured."""

from __future__ import annotations

import pytest

from facewire.profiles import PROFILES
from facewire_export.evaluation.points import CODECS, OURS, QUICK_CODECS, QUICK_OURS, Codec, Ours, points


def test_names_are_unique_and_every_profile_is_there() -> None:
    names = [point.name for point in points()]
    assert len(names) == len(set(names))
    assert set(PROFILES) <= set(names)


def test_every_codec_is_there_in_both_modes_and_at_the_paper_s_size() -> None:
    for codec, most in {"x264": 51, "x265": 51, "av1": 70, "vp9": 63, "vvc": 48}.items():
        for mode in ("offline", "live"):
            mine = [p for p in CODECS if p.codec == codec and p.mode == mode]
            assert any(p.half_rate for p in mine)
            assert any(p.size < 512 for p in mine)
        assert any(p.codec == codec and p.size == 512 and p.quality == most for p in CODECS)


def test_choosing() -> None:
    assert points("ours") == OURS
    assert points("codecs") == CODECS
    assert {p.codec for p in points("vp9,av1-live") if isinstance(p, Codec)} == {"vp9", "av1"}
    assert [p.name for p in points("bgan")] == ["bgan"]
    assert {p.name for p in points(quick=True)} == {*QUICK_OURS, *QUICK_CODECS}
    with pytest.raises(ValueError, match="nonsense: no such point"):
        points("bgan,nonsense")


def test_a_name_or_a_player_changes_no_settings() -> None:
    first, second = Codec("av1", "live", 256, 63), Codec("av1", "live", 256, 63, player=True)
    assert first.settings() == second.settings()
    assert Ours("a", "b").settings() == Ours("c", "d").settings()
    assert Ours("a", "b", skip=2).settings() != Ours("a", "b").settings()
