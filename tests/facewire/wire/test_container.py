from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.facewire.wire.samples import bundle, epoch, slices

from facewire.errors import ContainerError
from facewire.types import Message
from facewire.wire.container import HEAD_BYTES, MAX_LOST_BYTES, Reader, Writer, read_packets
from facewire.wire.packets import pack

MESSAGES: list[Message] = [epoch(), *slices(), *(bundle(count=3, first=1000 + 6 * i) for i in range(5))]


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    path = tmp_path / "a.fw"
    with Writer(path, shown_size=384) as out:
        for message in MESSAGES:
            record = out.write(message)
            assert record.record_bytes >= record.packet_bytes + 3
        assert out.bytes == path.stat().st_size
    return path


def packed(path: Path) -> list[bytes]:
    return [pack(message) for message in read_packets(path)]


def test_there_and_back(stream: Path) -> None:
    reader = Reader(stream)
    records = list(reader)
    assert [pack(record.message) for record in records] == [pack(message) for message in MESSAGES]
    assert reader.shown_size == 384
    assert reader.lost_bytes == 0
    assert reader.file_bytes == stream.stat().st_size == HEAD_BYTES + sum(record.record_bytes for record in records)


def test_cut_anywhere(stream: Path) -> None:
    data = stream.read_bytes()
    ends = [HEAD_BYTES]
    for record in Reader(stream):
        ends.append(ends[-1] + record.record_bytes)
    whole = packed(stream)
    for length in [*range(12), *range(12, len(data), 7), len(data) - 1]:
        stream.write_bytes(data[:length])
        if length < 5:
            with pytest.raises(ContainerError, match=r"no \.fw file"):
                packed(stream)
        else:
            assert packed(stream) == whole[: sum(end <= length for end in ends[1:])]


def test_damage_costs_only_what_it_hits(stream: Path) -> None:
    data, whole = stream.read_bytes(), packed(stream)
    dice = random.Random(2)
    for _ in range(80):
        hit = bytearray(data)
        hit[dice.randrange(HEAD_BYTES, len(data))] ^= 1 << dice.randrange(8)
        stream.write_bytes(hit)
        left = packed(stream)
        assert len(left) == len(whole) - 1
        assert set(left) <= set(whole)


def test_damaged_head_beyond_the_mark(stream: Path) -> None:
    data = bytearray(stream.read_bytes())
    data[7] ^= 1
    stream.write_bytes(data)
    assert Reader(stream).shown_size == 512
    assert len(packed(stream)) == len(MESSAGES)


@pytest.mark.parametrize(
    ("data", "says"), [(b"", "no .fw"), (b"RIFF....", "no .fw"), (b"\x89FW\r\n\x09\x02\0..", "version 9")]
)
def test_other_files(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "x.fw"
    path.write_bytes(data)
    with pytest.raises(ContainerError, match=says.replace(".", r"\.")):
        Reader(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ContainerError, match="cannot read"):
        Reader(tmp_path / "none.fw")
    with pytest.raises(ContainerError, match="cannot write"):
        Writer(tmp_path / "no" / "folder.fw")


def test_endless_rubbish_is_given_up(stream: Path) -> None:
    with stream.open("ab") as file:
        file.write(bytes(MAX_LOST_BYTES + 70_000))
    reader = Reader(stream)
    assert len(list(reader)) == len(MESSAGES)
    assert reader.lost_bytes == MAX_LOST_BYTES + 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(max_size=2000))
def test_garbage_after_the_head(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "g.fw"
    with Writer(path):
        pass
    path.write_bytes(path.read_bytes() + data)
    for message in read_packets(path):
        pack(message)
