from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.facewire.wire.samples import bundle, epoch, slices

from facewire.errors import ContainerError, PacketError
from facewire.types import Bundle, Epoch, Message
from facewire.wire.container import HEAD_BYTES, MAX_LOST_BYTES, Reader, Writer, read_packets
from facewire.wire.index import Index, parse_index
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
    assert reader.file_bytes == stream.stat().st_size
    index_bytes = reader.file_bytes - HEAD_BYTES - sum(record.record_bytes for record in records)
    assert 0 < index_bytes <= 24


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
        reader = Reader(stream)
        left = [pack(record.message) for record in reader]
        assert set(left) <= set(whole)
        lost = [at for at, packet in enumerate(whole) if packet not in left]
        # The epoch and the first, long bundle take the short ones with them; the index holds no message.
        assert len(lost) <= 1 or lost[0] in (0, 4)
        assert reader.lost_bytes > 0


def test_damaged_head_beyond_the_mark(stream: Path) -> None:
    data = bytearray(stream.read_bytes())
    data[7] ^= 1
    stream.write_bytes(data)
    assert Reader(stream).shown_size == 512
    assert len(packed(stream)) == len(MESSAGES)


@pytest.mark.parametrize(
    ("data", "says"), [(b"", "no .fw"), (b"RIFF....", "no .fw"), (b"\x89FW\r\n\x0a\x02\0..", "version 10")]
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


def long_stream(path: Path, epochs: int = 3, bundles: int = 42) -> list[Message]:
    """Epochs of `bundles` bundles of 12 frames; the middle one goes back to the first one's pivot."""
    messages: list[Message] = []
    for number in range(epochs):
        first = number * bundles * 12
        if number == 0:
            messages += slices()
        messages.append(replace(epoch(number=number), first_frame=first))
        messages += [replace(bundle(first=first + 12 * index), epoch=number) for index in range(bundles)]
    with Writer(path) as out:
        for message in messages:
            out.write(message)
    return messages


@pytest.mark.parametrize("frame", [0, 503, 504, 900, 99_999])
def test_reading_begins_where_it_is_asked_to(tmp_path: Path, frame: int) -> None:
    path = tmp_path / "s.fw"
    whole = long_stream(path)
    got = [record.message for record in Reader(path).since(frame)]
    assert [pack(message) for message in got[:3]] == [pack(message) for message in whole[:3]]
    announced = got[3]
    assert isinstance(announced, Epoch)
    assert announced.first_frame == min(frame, 1511) // 504 * 504
    first = got[4]
    assert isinstance(first, Bundle)
    assert first.frames[0].number <= max(0, min(frame, 1511)) <= first.frames[0].number + 2 * 250
    assert [pack(message) for message in got[4:]] == [pack(message) for message in whole[-len(got[4:]) :]]


def test_without_an_index_reading_begins_at_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "s.fw"
    whole = long_stream(path)
    path.write_bytes(path.read_bytes()[:-1])
    assert [pack(record.message) for record in Reader(path).since(1200)] == [pack(message) for message in whole]


@pytest.mark.parametrize("cut", [0, 1, 300])
def test_appending(tmp_path: Path, cut: int) -> None:
    """To a whole file, and to one whose end was cut: what is there stays, the index leads to old and new."""
    path = tmp_path / "s.fw"
    long_stream(path, epochs=2)
    old = path.read_bytes()[: -cut or None]
    path.write_bytes(old)
    before = packed(path)
    with Writer(path, append=True) as out:
        start = out.next_frame
        assert start > 960 if cut < 300 else start > 800
        for message in (replace(epoch(number=9), first_frame=start), replace(bundle(first=start), epoch=9)):
            out.write(message)
        assert out.bytes == path.stat().st_size
    assert path.read_bytes().startswith(old)
    reader = Reader(path)
    after = [pack(record.message) for record in reader]
    assert after[:-2] == before
    assert (reader.lost_bytes > 0) == (cut > 0)
    for frame, number in ((0, 0), (600, 1), (start + 3, 9)):
        announced = next(r.message for r in Reader(path).since(frame) if isinstance(r.message, Epoch))
        assert announced.number == number


def test_appending_to_nothing_is_writing(tmp_path: Path) -> None:
    with Writer(tmp_path / "n.fw", append=True) as out:
        out.write(epoch())
    assert len(packed(tmp_path / "n.fw")) == 1
    (tmp_path / "other").write_bytes(b"hello, world")
    with pytest.raises(ContainerError, match=r"no \.fw file"):
        Writer(tmp_path / "other", append=True)


def test_long_files_have_several_indexes(tmp_path: Path) -> None:
    path = tmp_path / "l.fw"
    still = bundle(count=1)
    with Writer(path) as out:
        for number in range(700):
            out.write(replace(epoch(with_reference=False, number=number % 256), first_frame=number * 4))
            out.write(replace(still, epoch=number % 256, frames=(replace(still.frames[0], number=number * 4),)))
    announced = next(r.message for r in Reader(path).since(401) if isinstance(r.message, Epoch))
    assert announced.first_frame == 400
    assert sum(isinstance(record, Index) for _, record in Reader(path).walk()) == 3


@settings(max_examples=100)
@given(st.binary(max_size=400), st.integers(0, 1 << 20))
def test_any_index_is_refused_or_leads_into_its_file(data: bytes, offset: int) -> None:
    try:
        index = parse_index(bytes([0x2F]) + data, offset)
    except PacketError:
        return
    assert all(0 <= place.pivot <= place.offset < offset for place in index.epochs)
    assert all(place.offset < offset for place in index.places)
    assert 0 <= index.previous <= offset
