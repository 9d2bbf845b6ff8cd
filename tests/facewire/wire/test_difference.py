"""A pivot that goes on finer behind the bytes of a coarse one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.facewire.wire.test_pivot import picture, psnr

from facewire.errors import PacketError
from facewire.wire import difference, extras
from facewire.wire.mouth import Place
from facewire.wire.pivot import (
    HIGHEST_GAIN,
    add_difference,
    add_lids,
    add_mouth,
    beginnings,
    coarsest,
    content_id,
    decode_pivot,
    decode_whole,
    encode_pivot,
)

PLACE = Place((100, 170), (150, 172), 3)
COARSE = add_mouth(encode_pivot(picture(), 2000), PLACE)
FINER = add_difference(COARSE, picture(), 6000)
LARGE = add_difference(COARSE, picture(512), 9000)
LARGE_SHOWN = decode_whole(LARGE).large.picture  # type: ignore[union-attr]
PATCH = np.full((40, 100, 3), 200, np.uint8)


def with_lids(data: bytes) -> bytes:
    both = add_lids(data, 70, 90, PATCH, 800)
    assert both is not None
    return both


def test_it_is_finer_and_no_longer_than_it_may_be() -> None:
    assert FINER.startswith(COARSE)
    assert 5000 < len(FINER) <= 6000
    assert psnr(decode_pivot(FINER), picture()) > psnr(decode_pivot(COARSE), picture()) + 4
    assert decode_whole(FINER).mouth == PLACE


def test_it_is_worth_what_is_sent_anew() -> None:
    """For fewer bytes behind the coarse one it is as good as that many at once."""
    anew = encode_pivot(picture(), len(FINER) - len(COARSE))
    assert psnr(decode_pivot(FINER), picture()) > psnr(decode_pivot(anew), picture())


@given(st.integers(0, 255), st.integers(0, 255), st.integers(1, difference.MOST_GAIN))
def test_a_difference_leads_to_the_fine_picture(coarse: int, fine: int, gain: int) -> None:
    a, b = (np.full((1, 1, 3), level, np.uint8) for level in (coarse, fine))
    reach = 127 // gain
    expected = max(coarse - 128 // gain, fine) if fine < coarse else min(coarse + reach, fine)
    assert abs(int(difference.added(a, difference.of(a, b, gain), gain)[0, 0, 0]) - expected) <= 1
    if abs(fine - coarse) <= reach:
        assert difference.added(a, difference.of(a, b, gain), gain)[0, 0, 0] == fine


def test_rounding_is_as_written() -> None:
    shown = difference.added(np.full((1, 5, 3), 100, np.uint8), np.array([[[122], [125], [126], [130], [131]]] * 1), 4)
    assert shown[0, :, 0].tolist() == [99, 99, 100, 101, 101]


def test_shut_eyes_lie_over_what_is_finer() -> None:
    both = decode_whole(with_lids(FINER))
    assert both.shut is not None
    assert np.array_equal(both.picture, decode_pivot(FINER))
    assert np.array_equal(both.shut[:90], both.picture[:90])
    assert np.abs(both.shut[100:120, 80:160].astype(int) - 200).max() <= 3


def test_it_may_be_twice_as_large_and_is_then_there_in_both_sizes() -> None:
    assert len(COARSE) < len(LARGE) <= 9000
    shown = decode_whole(LARGE)
    assert shown.large is not None
    assert shown.large.shut is None
    enlarged = difference.enlarged(decode_pivot(COARSE), 512)
    assert psnr(shown.large.picture, picture(512)) > psnr(enlarged, picture(512)) + 4
    assert np.array_equal(shown.picture, difference.halved(shown.large.picture))
    assert decode_whole(FINER).large is None


def test_shut_eyes_lie_over_both_sizes() -> None:
    shown = decode_whole(with_lids(LARGE))
    assert shown.shut is not None
    assert shown.large is not None
    assert shown.large.shut is not None
    assert np.array_equal(shown.large.shut[:180], shown.large.picture[:180])
    assert np.abs(shown.large.shut[200:240, 160:320].astype(int) - 200).max() <= 4
    assert np.abs(shown.shut[100:120, 80:160].astype(int) - 200).max() <= 3


def test_halving_is_as_written() -> None:
    four = np.array([[[0], [1]], [[1], [0]]], np.uint8).repeat(3, 2)
    assert difference.halved(four).tolist() == [[[1, 1, 1]]]
    assert difference.halved(np.full((4, 4, 3), 255, np.uint8)).max() == 255


@pytest.mark.parametrize(
    ("data", "shorter"),
    [
        (COARSE, []), (FINER, [COARSE]), (with_lids(COARSE), [COARSE]), (with_lids(FINER), [FINER, COARSE]),
        (LARGE, [COARSE]), (with_lids(LARGE), [LARGE, COARSE]),
    ],
)  # fmt: skip
def test_how_it_begins(data: bytes, shorter: list[bytes]) -> None:
    assert beginnings(data) == [(content_id(one), len(one)) for one in shorter]
    assert coarsest(data) == COARSE
    assert all(data.startswith(one) for one in shorter)


def test_a_second_one_takes_the_first_ones_place() -> None:
    assert add_difference(with_lids(FINER), picture(), 6000) == with_lids(FINER)


@pytest.mark.parametrize("gain", [0, difference.MOST_GAIN + 1, 255])
def test_gains_out_of_range_are_refused(gain: int) -> None:
    at = len(COARSE) + 1
    assert 1 < FINER[at] <= HIGHEST_GAIN
    with pytest.raises(PacketError, match="difference"):
        decode_pivot(FINER[:at] + bytes([gain]) + FINER[at + 1 :])


@pytest.mark.parametrize("side", [128, 500, 1024])
def test_a_difference_of_another_size_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    parts = extras.split(FINER)
    other = parts._replace(difference=bytes([4]) + encode_pivot(picture(side), 2000)).bytes()
    monkeypatch.setattr("PIL.Image.open", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(PacketError, match="difference"):
        decode_pivot(other)


@pytest.mark.parametrize("end", [1, 2, 3, 40])
def test_what_is_cut_is_refused(end: int) -> None:
    with pytest.raises(PacketError):
        decode_pivot(FINER[: len(COARSE) + end])
    with pytest.raises(PacketError):
        decode_pivot(FINER + FINER[len(COARSE) :])


def test_a_golden_finer_pivot_is_still_read() -> None:
    """Written once as FINER is: a newer Pillow may write others, but must read this one."""
    golden = (Path(__file__).parent / "golden" / "pivot_finer.av1").read_bytes()
    assert psnr(decode_pivot(golden), picture()) > psnr(decode_pivot(coarsest(golden)), picture()) + 4


def test_a_golden_large_pivot_is_still_read() -> None:
    """Written once as LARGE is."""
    shown = decode_whole((Path(__file__).parent / "golden" / "pivot_large.av1").read_bytes())
    assert shown.large is not None
    assert psnr(shown.large.picture, picture(512)) > 0.9 * psnr(LARGE_SHOWN, picture(512))
