"""Shares of a few symbols that follow what was seen: a model for the arithmetic coder of wire.rangecoder.

Counts begin with what is known beforehand and grow with each symbol; all of it is integers, so both ends agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from facewire.wire.rangecoder import TOTAL_BITS, RangeDecoder, RangeEncoder

GAIN, MOST = 32, 2048
"""What a symbol's count grows by when it is seen, and the sum of counts from which on all are halved."""


class Model:
    """Symbols 0 ... n - 1. counts: as they begin, each at least 1, MOST together at most."""

    def __init__(self, counts: Sequence[int]) -> None:
        self._counts = list(counts)
        self._ends: list[int] = []

    def put(self, out: RangeEncoder, symbol: int) -> None:
        """Code a symbol, and learn it."""
        start, end = self._share(symbol)
        out.put(start, end - start)
        self._learn(symbol)

    def get(self, source: RangeDecoder) -> int:
        """The counterpart of put."""
        target = source.target()
        symbol = 0
        while target >= self._share(symbol)[1]:
            symbol += 1
        start, end = self._share(symbol)
        source.take(start, end - start)
        self._learn(symbol)
        return symbol

    def _share(self, symbol: int) -> tuple[int, int]:
        if not self._ends:
            sums = list(accumulate(self._counts))
            self._ends = [(at << TOTAL_BITS) // sums[-1] for at in sums]
        return self._ends[symbol - 1] if symbol else 0, self._ends[symbol]

    def _learn(self, symbol: int) -> None:
        self._counts[symbol] += GAIN
        if sum(self._counts) > MOST:
            self._counts = [(count + 1) >> 1 for count in self._counts]
        self._ends = []
