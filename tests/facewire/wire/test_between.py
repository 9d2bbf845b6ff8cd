"""What is said of interpolated frames, as it travels."""

from __future__ import annotations

import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.facewire.wire.samples import between, blinking, bundle, deformed, epoch, speaking, with_a_bit_flipped

from facewire.errors import PacketError
from facewire.types import Between, Bundle
from facewire.wire.between import get_between, put_between
from facewire.wire.keypoints import encode_frames
from facewire.wire.mouth import LIMIT
from facewire.wire.packets import pack, parse
from facewire.wire.rangecoder import RangeDecoder, RangeEncoder


@st.composite
def told(draw: st.DrawFn) -> tuple[list[tuple[Between, ...]], list[bool]]:
    shut = draw(st.lists(st.booleans(), min_size=1, max_size=40))
    count = draw(st.integers(1, 3))
    said = []
    for before, after in zip([None, *shut], shut, strict=False):
        eyes = st.just(after) if before == after else st.booleans()
        said.append(tuple(draw(st.builds(Between, st.integers(-LIMIT, LIMIT), eyes)) for _ in range(count)))
    return said, shut


@given(told())
def test_what_is_said_comes_back(case: tuple[list[tuple[Between, ...]], list[bool]]) -> None:
    said, shut = case
    out = RangeEncoder()
    put_between(out, said, shut)
    assert get_between(RangeDecoder(out.bytes()), shut) == said


def test_a_bundle_says_it_beside_everything_else() -> None:
    plain = speaking(blinking(deformed(bundle(count=4)), (2,)), (0, 3, 3, -4))
    said = [(Between(),), (Between(-2),), (Between(0, True),), (Between(5),)]
    full = between(plain, *said)
    back = parse(pack(full))
    assert isinstance(back, Bundle)
    assert [frame.between for frame in back.frames] == said
    assert [frame.mouth for frame in back.frames] == [0, 3, 3, -4]
    assert len(pack(full)) <= len(pack(plain)) + 4


def test_frames_without_a_face_lie_among_them() -> None:
    said = [(Between(1),), (), (Between(),)]
    back = parse(pack(between(bundle(count=3, low=(1,)), *said)))
    assert isinstance(back, Bundle)
    assert [frame.between for frame in back.frames] == said


def test_nothing_costs_nothing_and_little_costs_little() -> None:
    plain = bundle(count=16)
    silent = between(plain, *[(Between(),)] * 16)
    assert len(pack(plain)) <= len(pack(silent)) <= len(pack(plain)) + 2
    some = between(plain, *[(Between(at % 5 == 0),) for at in range(16)])
    assert len(pack(some)) <= len(pack(plain)) + 4


@pytest.mark.parametrize(
    "said",
    [
        [(Between(LIMIT + 1),), (Between(),)],
        [(Between(),), ()],
        [(Between(),) * 4] * 2,
        [(Between(),), (Between(0, True),)],
    ],
)
def test_what_cannot_be_said_is_refused(said: list[tuple[Between, ...]]) -> None:
    with pytest.raises(ValueError, match=r"limit|as many"):
        put_between(RangeEncoder(), said, [False, False])


def test_damage_is_refused_or_within_the_limits() -> None:
    out = RangeEncoder()
    put_between(out, [(Between(LIMIT), Between(-3))] * 8, [False] * 8)
    refused = 0
    for damaged in with_a_bit_flipped(out.bytes()):
        try:
            found = get_between(RangeDecoder(damaged), [False] * 30)
        except PacketError:
            refused += 1
        else:
            assert all(abs(one.mouth) <= LIMIT for mine in found for one in mine)
    assert refused


def test_nothing_lies_before_an_epochs_reference() -> None:
    said = epoch()
    assert said.reference is not None
    code = encode_frames([said.reference])
    more = encode_frames([said.reference], between=[(Between(3),)])
    body = pack(said)[: -len(code) - 3] + bytes([len(more)]) + more
    with pytest.raises(PacketError, match="reference"):
        parse(body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big"))
