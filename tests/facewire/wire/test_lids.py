"""Shut eyes on the wire: flags in bundles, and a second picture in a coded pivot."""

from __future__ import annotations

import binascii
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.facewire.wire.samples import blinking, bundle, deformed, epoch

from facewire.errors import PacketError
from facewire.types import Picture
from facewire.wire import avif, lids
from facewire.wire.keypoints import encode_frames
from facewire.wire.packets import pack, parse
from facewire.wire.pivot import add_lids, decode_pivot, decode_whole, encode_pivot
from facewire.wire.rangecoder import RangeDecoder, RangeEncoder


def grey(level: int, height: int = 256, width: int = 256) -> Picture:
    return np.full((height, width, 3), level, np.uint8)


STILL = encode_pivot(grey(60), 2000)
EYES = grey(200, 40, 100)


def both(left: int = 70, top: int = 90, patch: Picture = EYES) -> bytes:
    data = add_lids(STILL, left, top, patch, 800)
    assert data is not None
    return data


@given(st.lists(st.booleans(), min_size=1, max_size=64))
def test_flags_come_back(shut: list[bool]) -> None:
    out = RangeEncoder()
    lids.put_lids(out, shut)
    assert lids.get_lids(RangeDecoder(out.bytes()), len(shut)) == shut


def test_a_bundle_says_whose_eyes_are_shut() -> None:
    for plain in (bundle(), deformed(bundle())):
        shut = blinking(plain)
        back = parse(pack(shut))
        assert pack(back) == pack(shut)
        assert isinstance(back, type(plain))
        assert [frame.shut for frame in back.frames] == [at in (2, 3) for at in range(6)]
        assert len(pack(shut)) <= len(pack(plain)) + 2


def test_an_epochs_reference_does_not_blink() -> None:
    said = epoch()
    assert said.reference is not None
    code, winking = encode_frames([said.reference]), encode_frames([said.reference], shut=[True])
    body = pack(said)[: -len(code) - 3] + bytes([len(winking)]) + winking
    with pytest.raises(PacketError, match="reference"):
        parse(body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big"))


def test_the_second_picture_lies_in_the_first_one() -> None:
    opened, shut, *_ = decode_whole(both())
    assert shut is not None
    assert np.array_equal(opened, decode_pivot(STILL))
    assert np.array_equal(decode_pivot(both()), opened)
    changed = (shut != opened).any(2)
    assert not changed[:90].any()
    assert not changed[130:].any()
    assert not changed[:, :70].any()
    assert not changed[:, 170:].any()
    assert np.abs(shut[100:120, 80:160].astype(int) - 200).max() <= 3
    assert 60 < shut[110, 71].mean() < shut[110, 73].mean() < 200  # it fades out


def test_a_pivot_of_another_side_has_its_eyes_in_proportion() -> None:
    data = add_lids(encode_pivot(grey(60, 512, 512), 2000), 70, 90, EYES, 800)
    assert data is not None
    _, shut, *_ = decode_whole(data)
    assert shut is not None
    assert shut[200, 190].mean() == pytest.approx(200, abs=3)
    assert shut[170, 190].mean() == pytest.approx(60, abs=3)


def test_a_golden_pivot_with_shut_eyes_is_still_read() -> None:
    """Written once by both(): a newer Pillow may write others, but must read this one."""
    opened, shut, *_ = decode_whole((Path(__file__).parent / "golden" / "pivot_lids.av1").read_bytes())
    assert shut is not None
    assert np.abs(opened.astype(int) - 60).max() <= 3
    assert np.abs(shut[100:120, 80:160].astype(int) - 200).max() <= 3


def test_without_a_second_picture_there_is_none() -> None:
    assert decode_whole(STILL).shut is None
    assert add_lids(STILL, 70, 90, EYES, 20) is None


@pytest.mark.parametrize(
    ("left", "top", "patch"),
    [(200, 90, EYES), (70, 230, EYES), (70, 90, grey(9, 6, 20)), (0, 0, grey(9, 20, 160))],
)
def test_what_does_not_lie_in_the_pivot_is_refused(left: int, top: int, patch: Picture) -> None:
    with pytest.raises(ValueError, match="second picture"):
        add_lids(STILL, left, top, patch, 5000)
    coded = avif.unwrap(_file(patch))
    with pytest.raises(PacketError):
        decode_whole(STILL + bytes([1, left, top]) + coded)


@given(st.binary(min_size=1, max_size=60).filter(lambda rest: rest[0] != 2 or len(rest) != 6))  # else a mouth
def test_anything_else_behind_a_pivot_is_refused(rest: bytes) -> None:
    with pytest.raises(PacketError):
        decode_whole(STILL + rest)


def test_a_cut_second_picture_is_refused() -> None:
    data = both()
    for length in range(len(STILL) + 1, len(data)):
        with pytest.raises(PacketError):
            decode_whole(data[:length])


def _file(picture: Picture) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "AVIF", quality=50, subsampling="4:2:0")
    return out.getvalue()
