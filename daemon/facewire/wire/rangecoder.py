"""An arithmetic coder on integers, and the tables that it uses for keypoint differences.

A symbol of probability p should take -log2(p) bits, which is seldom a whole number. Arithmetic coding shares bits
among symbols: the message is one number in [0, 1), and each symbol narrows the interval in which it lies in proportion
to its probability (Witten, Neal, Cleary: "Arithmetic coding for data compression", CACM 30(6), 1987). Here the interval
is kept in 32 bits, and probabilities are whole shares of 65,536, so that an Arm sender and an x86 receiver agree to the
last bit.

It is our own because no well-kept library has wheels for both architectures: constriction, which would do, has none for
aarch64. All of it is integers, golden files guard it, and a frame takes a tenth of a millisecond or two.

The tables are two-sided geometric mixtures, one for each class of expected size of a difference: 9/10 of the mass
decays with the expected size, 1/10 reaches 25/7 as far, because heads jerk now and then. They are computed with
integers only; the constants were fitted to traces (results/keypoint_codec.json).
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cache

from facewire.wire.bits import BitWriter

TOTAL_BITS = 16
"""Probabilities are shares of 2^TOTAL_BITS."""
_TOP = (1 << 32) - 1
_HALF = 1 << 31
_QUARTER = 1 << 30


class RangeEncoder:
    """Narrows the interval symbol by symbol and gives out the bits that are certain."""

    def __init__(self) -> None:
        self._low, self._high = 0, _TOP
        self._pending = 0
        self._out = BitWriter()

    def put(self, start: int, size: int) -> None:
        """Code the symbol whose share is [start, start + size) of 2^16."""
        span = self._high - self._low + 1
        self._high = self._low + (span * (start + size) >> TOTAL_BITS) - 1
        self._low += span * start >> TOTAL_BITS
        while True:
            if self._high < _HALF:
                self._bit(0)
            elif self._low >= _HALF:
                self._bit(1)
                self._low -= _HALF
                self._high -= _HALF
            elif self._low >= _QUARTER and self._high < 3 * _QUARTER:
                self._pending += 1  # straddles the middle: the next certain bit decides this one too
                self._low -= _QUARTER
                self._high -= _QUARTER
            else:
                return
            self._low *= 2
            self._high = 2 * self._high + 1

    def put_plain(self, value: int, width: int) -> None:
        """Code `width` (at most 16) bits that are as likely one way as the other."""
        self.put(value << (TOTAL_BITS - width), 1 << (TOTAL_BITS - width))

    def bytes(self) -> bytes:
        """End the message. Zero bytes at the end are left out: the decoder reads zeros there."""
        self._pending += 1
        self._bit(0 if self._low < _QUARTER else 1)
        return self._out.bytes().rstrip(b"\0")

    def _bit(self, bit: int) -> None:
        others = (1 << self._pending) - 1
        self._out.put((bit << self._pending) | (0 if bit else others), self._pending + 1)
        self._pending = 0


class RangeDecoder:
    """Finds in which share the message's number lies. Never fails: any bytes are some message."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)
        self._low, self._high = 0, _TOP
        self._code = 0
        for _ in range(32):
            self._code = 2 * self._code + self._next()

    def target(self) -> int:
        """Where in 2^16 the next symbol lies."""
        span = self._high - self._low + 1
        return (((self._code - self._low + 1) << TOTAL_BITS) - 1) // span

    def take(self, start: int, size: int) -> None:
        """The symbol at `target` had this share."""
        span = self._high - self._low + 1
        self._high = self._low + (span * (start + size) >> TOTAL_BITS) - 1
        self._low += span * start >> TOTAL_BITS
        while True:
            if self._high < _HALF:
                offset = 0
            elif self._low >= _HALF:
                offset = _HALF
            elif self._low >= _QUARTER and self._high < 3 * _QUARTER:
                offset = _QUARTER
            else:
                return
            self._low = 2 * (self._low - offset)
            self._high = 2 * (self._high - offset) + 1
            self._code = 2 * (self._code - offset) + self._next()

    def get_plain(self, width: int) -> int:
        """The counterpart of put_plain."""
        value = self.target() >> (TOTAL_BITS - width)
        self.take(value << (TOTAL_BITS - width), 1 << (TOTAL_BITS - width))
        return value

    def _next(self) -> int:
        self._left -= 1
        return (self._value >> self._left) & 1 if self._left >= 0 else 0


REACH = 64
"""Tables hold -REACH ... REACH; what lies further is escaped."""
_WIDEST = 15
"""Classes above it share its shape (and that of the class below it), on a coarser scale."""
_ESCAPE = 2 * REACH + 1
_ESCAPE_BITS = 16


def size_class(expected: int) -> int:
    """Class of a difference whose absolute value is expected to be `expected` sixteenths: two classes an octave."""
    if expected < 2:
        return 2 * expected
    octave = expected.bit_length()
    return 2 * octave + (expected >> (octave - 2) & 1)


@cache
def table(kind: int) -> list[int]:
    """Cumulative shares of class `kind` (0 to 15): -REACH to REACH, then the escape; starts with 0, ends with 2^16."""
    octave, half = kind >> 1, kind & 1
    quarters = 4 * octave if octave < 2 else (7 if half else 5) << (octave - 1)  # 4 * expected, mid-class
    near = 70 * quarters + 320  # mean of a difference in 1/6400: 0.7 * expected + 0.05
    far = near * 25 // 7
    one = 6400
    near_now = 9 * (one << 48) // (2 * near + one)
    far_now = (one << 48) // (2 * far + one)
    raw = []
    for _ in range(REACH + 1):
        raw.append(near_now + far_now)
        near_now = near_now * near // (near + one)
        far_now = far_now * far // (far + one)
    escape = 2 * (near_now * (near + one) + far_now * (far + one)) // one
    weights = raw[:0:-1] + raw + [escape]
    total = sum(weights)
    spare = (1 << TOTAL_BITS) - len(weights)
    shares = [1 + weight * spare // total for weight in weights]
    shares[REACH] += (1 << TOTAL_BITS) - sum(shares)
    cumulative = [0]
    for share in shares:
        cumulative.append(cumulative[-1] + share)
    return cumulative


def _scaled(kind: int) -> tuple[list[int], int]:
    """The table of a class, and how many low bits are coded plainly beside it."""
    shift = max(0, (kind - _WIDEST + 1) // 2)
    return table(kind - 2 * shift), shift


def put_difference(out: RangeEncoder, kind: int, value: int) -> None:
    """Code a difference (16 bits, signed) that is expected to be of class `kind`."""
    cumulative, shift = _scaled(kind)
    rounded = value + (1 << shift >> 1)
    index = (rounded >> shift) + REACH
    if 0 <= index < _ESCAPE:
        out.put(cumulative[index], cumulative[index + 1] - cumulative[index])
        if shift:
            out.put_plain(rounded & ((1 << shift) - 1), shift)
    else:
        out.put(cumulative[_ESCAPE], cumulative[_ESCAPE + 1] - cumulative[_ESCAPE])
        out.put_plain(value & 0xFFFF, _ESCAPE_BITS)


def get_difference(source: RangeDecoder, kind: int) -> int:
    """The counterpart of put_difference."""
    cumulative, shift = _scaled(kind)
    index = bisect_right(cumulative, source.target()) - 1
    source.take(cumulative[index], cumulative[index + 1] - cumulative[index])
    if index == _ESCAPE:
        value = source.get_plain(_ESCAPE_BITS)
        return value - 0x10000 if value & 0x8000 else value
    low = source.get_plain(shift) if shift else 0
    return ((index - REACH) << shift) + low - (1 << shift >> 1)
