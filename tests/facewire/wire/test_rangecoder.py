from __future__ import annotations

import hashlib
import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from facewire.wire import rangecoder
from facewire.wire.rangecoder import RangeDecoder, RangeEncoder, get_difference, put_difference, size_class, table

symbols = st.lists(st.tuples(st.integers(0, 41), st.integers(-32768, 32767)), max_size=60)


def test_tables_never_drift() -> None:
    text = repr([table(kind) for kind in range(16)]).encode()
    assert hashlib.blake2b(text, digest_size=8).hexdigest() == "5dc4c9242fee7de6"


def test_tables_are_complete_and_symmetric() -> None:
    for kind in range(16):
        cumulative = table(kind)
        shares = [b - a for a, b in pairwise(cumulative)]
        assert cumulative[0] == 0
        assert cumulative[-1] == 1 << rangecoder.TOTAL_BITS
        assert min(shares) >= 1
        around = shares[:-1]
        assert around == around[::-1]
        assert around.index(max(around)) == rangecoder.REACH


def test_classes_rise_by_half_octaves() -> None:
    kinds = [size_class(expected) for expected in range(16 * 32767)]
    assert kinds == sorted(kinds)
    assert (kinds[0], kinds[1], kinds[2], kinds[3], kinds[4], kinds[6], kinds[8]) == (0, 2, 4, 5, 6, 7, 8)
    assert kinds[-1] <= 41


@given(symbols)
def test_there_and_back(values: list[tuple[int, int]]) -> None:
    out = RangeEncoder()
    for kind, value in values:
        put_difference(out, kind, value)
    source = RangeDecoder(out.bytes())
    assert [get_difference(source, kind) for kind, _ in values] == [value for _, value in values]


@given(st.binary(max_size=40), st.lists(st.integers(0, 41), max_size=60))
def test_any_bytes_are_some_message(data: bytes, kinds: list[int]) -> None:
    source = RangeDecoder(data)
    for kind in kinds:
        assert abs(get_difference(source, kind)) < (rangecoder.REACH + 1) << 13


def test_costs_what_theory_says() -> None:
    values = [0, 1, -1, 0, 0, 2, -3, 0, 1, 0] * 40
    out = RangeEncoder()
    ideal = 0.0
    for value in values:
        put_difference(out, 9, value)
        cumulative = table(9)
        at = value + rangecoder.REACH
        ideal -= math.log2((cumulative[at + 1] - cumulative[at]) / (1 << rangecoder.TOTAL_BITS))
    assert 8 * len(out.bytes()) <= ideal + 10
