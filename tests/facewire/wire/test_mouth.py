"""Mouths on the wire: amounts in bundles, and a place in a coded pivot."""

from __future__ import annotations

import binascii

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.facewire.wire.samples import blinking, bundle, deformed, epoch, speaking, with_a_bit_flipped
from tests.facewire.wire.test_lids import EYES, STILL

from facewire.errors import PacketError
from facewire.wire.extras import split
from facewire.wire.keypoints import encode_frames
from facewire.wire.mouth import LIMIT, OPENING, SHUTTING, Place, get_mouths, parse_place, put_mouths, stretch
from facewire.wire.packets import pack, parse
from facewire.wire.pivot import add_lids, add_mouth, decode_pivot, decode_whole
from facewire.wire.rangecoder import RangeDecoder, RangeEncoder

MOUTH = Place((100, 160), (150, 164), -3)


@given(st.lists(st.integers(-LIMIT, LIMIT), min_size=1, max_size=64))
def test_amounts_come_back(amounts: list[int]) -> None:
    out = RangeEncoder()
    put_mouths(out, amounts)
    assert get_mouths(RangeDecoder(out.bytes()), len(amounts)) == amounts


def test_a_bundle_says_how_far_lips_are_apart() -> None:
    for plain in (bundle(), blinking(deformed(bundle()))):
        spoken = speaking(plain)
        back = parse(pack(spoken))
        assert isinstance(back, type(plain))
        assert [frame.mouth for frame in back.frames] == [0, 3, 5, -4, -4, 12]
        assert len(pack(spoken)) <= len(pack(plain)) + 6


def test_lips_that_hardly_move_cost_hardly_anything() -> None:
    calm = speaking(bundle(count=16), (2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2))
    assert len(pack(calm)) <= len(pack(bundle(count=16))) + 4


@pytest.mark.parametrize("amount", [LIMIT + 1, -LIMIT - 1])
def test_beyond_the_limit_is_refused(amount: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        put_mouths(RangeEncoder(), [0, amount])


def test_an_amount_out_of_range_in_a_packet_is_refused() -> None:
    out = RangeEncoder()
    put_mouths(out, [LIMIT])
    refused = 0
    for damaged in with_a_bit_flipped(out.bytes()):
        try:
            found = get_mouths(RangeDecoder(damaged), 30)
        except PacketError:
            refused += 1
        else:
            assert max(abs(amount) for amount in found) <= LIMIT
    assert refused


def test_an_epochs_reference_does_not_speak() -> None:
    said = epoch()
    assert said.reference is not None
    code, speaking = encode_frames([said.reference]), encode_frames([said.reference], mouths=[3])
    body = pack(said)[: -len(code) - 3] + bytes([len(speaking)]) + speaking
    with pytest.raises(PacketError, match="reference"):
        parse(body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big"))


def test_a_pivot_says_where_its_mouth_is() -> None:
    data = add_mouth(STILL, MOUTH)
    assert len(data) == len(STILL) + 6
    assert decode_whole(data).mouth == MOUTH
    assert np.array_equal(decode_pivot(data), decode_pivot(STILL))
    both = add_lids(data, 70, 90, EYES, 800)
    assert both is not None
    shown = decode_whole(both)
    assert shown.mouth == MOUTH
    assert shown.shut is not None
    assert add_mouth(data, None) == STILL
    assert split(both).bytes() == both
    for length in range(len(STILL) + 1, len(both)):
        if length != len(data):
            with pytest.raises(PacketError):
                decode_whole(both[:length])


@given(st.binary(min_size=5, max_size=5))
def test_any_five_bytes_are_a_place_or_refused(data: bytes) -> None:
    try:
        place = parse_place(data)
    except PacketError:
        return
    assert place.bytes() == data


@pytest.mark.parametrize("where", [((10, 10), (14, 12)), ((0, 0), (256, 0)), ((-1, 5), (50, 5))])
def test_what_is_no_mouth_is_refused(where: tuple[tuple[int, int], tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="no mouth"):
        Place(*where)


def test_a_stretch_is_what_the_definition_says() -> None:
    (shutting,) = stretch(MOUTH, 5)
    middle, along, across = (shutting[at : at + 2] for at in (0, 2, 4))
    width = np.hypot(50, 4) / 128
    assert (middle + 1) * 128 == pytest.approx((125 + 1.5 * 4 / 50, 162 - 1.5), abs=0.02)
    assert np.linalg.norm(along) == pytest.approx(2 / width)
    assert np.linalg.norm(across) == pytest.approx(1 / (0.4 * width))
    assert along @ across == pytest.approx(0, abs=1e-4)
    assert across[1] > 0
    assert np.linalg.norm(shutting[6:8]) == pytest.approx(5 / 128)
    assert shutting[6:8] @ across > 0
    assert shutting[8] == SHUTTING
    (opening,) = stretch(MOUTH, -5)
    assert opening[8] == OPENING
    assert opening[6:8] == pytest.approx(-shutting[6:8])
    assert not stretch(MOUTH, 0).any()
    assert not stretch(None, 5).any()


@pytest.mark.parametrize("amount", range(-LIMIT, 0))
@pytest.mark.parametrize("width", [10, 30, 80])
def test_lips_that_come_apart_keep_the_order_of_places(width: int, amount: int) -> None:
    (parts,) = stretch(Place((60, 100), (60 + width, 100)), amount).astype(float)
    y = np.linspace(-1, 1, 4001)
    v = (y - parts[1]) * parts[5]
    taken = y + parts[7] * np.tanh(parts[8] * v) * np.exp(-v * v / 2)
    assert (np.diff(taken) > 0).all()
