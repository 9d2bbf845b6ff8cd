from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewire.wire.adaptive import MOST, Model
from facewire.wire.rangecoder import RangeDecoder, RangeEncoder


@given(st.lists(st.integers(1, MOST // 16), min_size=2, max_size=16), st.lists(st.integers(0, 15), max_size=400))
def test_what_goes_in_comes_out(counts: list[int], drawn: list[int]) -> None:
    symbols = [symbol % len(counts) for symbol in drawn]
    out, model = RangeEncoder(), Model(counts)
    for symbol in symbols:
        model.put(out, symbol)
    source, model = RangeDecoder(out.bytes()), Model(counts)
    assert [model.get(source) for _ in symbols] == symbols


def test_what_is_frequent_becomes_cheap() -> None:
    def size(symbol: int, times: int) -> int:
        out, model = RangeEncoder(), Model([300, 100, 1])
        for _ in range(times):
            model.put(out, symbol)
        return len(out.bytes())

    assert size(2, 1) == 2
    assert size(2, 400) < 20


@pytest.mark.parametrize("counts", [(1, MOST - 1), (MOST - 1, 1)])
def test_every_symbol_keeps_a_share(counts: tuple[int, int]) -> None:
    out, model = RangeEncoder(), Model(counts)
    for symbol in (0, 1) * 50 + (0,) * 500 + (1,):
        model.put(out, symbol)
        assert all(count >= 1 for count in model._counts)
        assert sum(model._counts) <= MOST
