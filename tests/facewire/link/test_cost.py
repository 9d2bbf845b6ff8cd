"""What a message costs on the wire."""

from __future__ import annotations

import pytest

from facewire.link.cost import wire_bytes


@pytest.mark.parametrize(
    ("length", "curve", "expected"), [(20, False, 102), (20, True, 135), (0, False, 82), (300, False, 389)]
)
def test_wire_bytes_are_the_measured_ones(length: int, curve: bool, expected: int) -> None:
    assert wire_bytes(length, curve) == expected


def test_wire_bytes_of_a_long_message_count_each_packet() -> None:
    assert wire_bytes(4000) == 4009 + 3 * 40 + 2 * 40
