"""Devices that an encoder remembers: over restarts, bounded, and not at all where the file is damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from facewire.link import acquaintance
from facewire.link.acquaintance import MOST, MOST_PIVOTS, Acquaintances, own_device


def test_they_are_remembered_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "state" / "devices.json"
    known = Acquaintances(path)
    assert known.devices == []
    known.met(b"devA", [b"piv1", b"piv2"])
    known.met(b"devB", [])
    again = Acquaintances(path)
    assert again.devices == [b"devB", b"devA"]
    assert again.have(b"devA") == {b"piv1", b"piv2"}
    assert again.have(b"none") == set()
    written = path.stat().st_mtime_ns
    again.met(b"devB", [])  # nothing new, nothing written
    assert path.stat().st_mtime_ns == written


def test_there_are_never_too_many(tmp_path: Path) -> None:
    known = Acquaintances(tmp_path / "devices.json")
    for number in range(MOST + 10):
        known.met(number.to_bytes(4, "big"), [n.to_bytes(4, "big") for n in range(MOST_PIVOTS + 5)])
    assert len(known.devices) == len(Acquaintances(tmp_path / "devices.json").devices) == MOST
    assert len(known.have(known.devices[0])) == MOST_PIVOTS


@pytest.mark.parametrize(
    "text", ["{", "[]", '"x"', '{"zz": []}', '{"00": []}', '{"00000000": 3}', '{"00000000": ["0"]}']
)
def test_a_damaged_file_is_no_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "devices.json").write_text(text)
    assert Acquaintances(tmp_path / "devices.json").devices == []


def test_where_nothing_can_be_written_it_works_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    known = Acquaintances(tmp_path / "file" / "devices.json")
    known.met(b"devA", [])
    assert known.devices == [b"devA"]


def test_the_device_keeps_its_name(tmp_path: Path) -> None:
    name, is_new = own_device(tmp_path / "cache")
    assert (len(name), is_new) == (4, True)
    other = own_device(tmp_path / "cache")
    assert other.id != name  # it is taken: two of one name would end each other
    assert not other.is_new  # what the first one keeps is here
    os.close(acquaintance._taken[-1])
    assert own_device(tmp_path / "cache") == (name, False)
    os.close(acquaintance._taken.pop())
    (tmp_path / "cache" / "device").write_text("damaged")
    assert own_device(tmp_path / "cache").id != name
    (tmp_path / "file").write_text("")
    assert len(own_device(tmp_path / "file").id) == 4
