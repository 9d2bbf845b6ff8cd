"""Video files: rates, sizes, rotation, loops, pacing, damage."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import numpy as np
import pytest
from tests.facewire.sources.videos import number_of, steady, turn, write

from facewire.errors import SourceError
from facewire.sources import frames, open_source
from facewire.sources.file import FileSource


def numbers(spec: str, fps: float = 25.0) -> list[int]:
    source = open_source(spec, fps, pace=False)
    try:
        return [number_of(frame.picture) for frame in frames(source)]
    finally:
        source.close()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_25_a_second_comes_back_frame_by_frame(tmp_path: Path, suffix: str) -> None:
    clip = steady(tmp_path / f"clip{suffix}", 20)
    source = open_source(f"file:{clip}", pace=False)
    read = list(frames(source))
    assert [number_of(frame.picture) for frame in read] == list(range(20))
    assert [frame.time for frame in read] == pytest.approx([n / 25 for n in range(20)])
    assert not source.live
    assert source.ended
    assert read[0].picture.dtype == np.uint8
    source.close()
    source.close()


@pytest.mark.parametrize(("fps", "count"), [(10, 50), (12, 42), (30, 17), (50, 10), (60, 8)])
def test_other_rates(tmp_path: Path, fps: int, count: int) -> None:
    read = numbers(f"file:{steady(tmp_path / 'clip.mp4', 20, fps)}")
    assert abs(len(read) - count) <= 1
    assert read == sorted(read)


def test_variable_rate_by_its_stamps(tmp_path: Path) -> None:
    read = numbers(f"file:{write(tmp_path / 'clip.mkv', [0.0, 0.04, 0.2, 0.24])}")
    assert read[:6] == [0, 1, 1, 1, 1, 2]
    assert set(read[6:]) == {3}


def test_odd_sizes(tmp_path: Path) -> None:
    source = open_source(f"file:{steady(tmp_path / 'clip.mp4', 3, width=67, height=45)}", pace=False)
    assert [frame.picture.shape for frame in frames(source)] == [(45, 67, 3)] * 3


def test_rotation_metadata(tmp_path: Path) -> None:
    clip = turn(steady(tmp_path / "clip.mp4", 3))
    source = open_source(f"file:{clip}", pace=False)
    frame = source.read(1.0)
    assert frame is not None
    assert frame.picture.shape == (64, 48, 3)
    # The white mark was in the upper left corner; clockwise, it is in the upper right one.
    assert frame.picture[4, -4].mean() > 200
    assert frame.picture[4, 4].mean() < 100


def test_loop(tmp_path: Path) -> None:
    source = open_source(f"file:{steady(tmp_path / 'clip.mp4', 4)}?loop", pace=False)
    read = [source.read(1.0) for _ in range(10)]
    assert [number_of(frame.picture) for frame in read if frame] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert [frame.time for frame in read if frame] == pytest.approx([n / 25 for n in range(10)])
    assert not source.ended


def test_pacing(tmp_path: Path) -> None:
    clip = steady(tmp_path / "clip.mp4", 12)
    source = FileSource(str(clip), 50.0, pace=True)
    assert source.live
    start = time.monotonic()
    first = source.read(1.0)
    assert source.read(0.0) is None, "the next picture is not due yet"
    rest = list(frames(source))
    took = time.monotonic() - start
    assert first is not None
    assert len(rest) >= 10
    assert took > 0.3
    assert np.all(np.diff([frame.time for frame in (first, *rest)]) > 0.015)


def test_a_slow_reader_loses_frames(tmp_path: Path) -> None:
    source = FileSource(str(steady(tmp_path / "clip.mp4", 24)), 25.0, pace=True)
    first = source.read(1.0)
    time.sleep(0.75)
    second = source.read(1.0)
    assert first is not None
    assert second is not None
    assert number_of(second.picture) >= 2
    assert second.time - first.time == pytest.approx(number_of(second.picture) / 25)


@pytest.mark.parametrize(("name", "content", "says"), [
    ("none.mp4", None, "check the path"), ("empty.mp4", b"", "cannot be opened"),
    ("text.mp4", b"hello, this is no video\n" * 50, "cannot be opened"),
    ("noise.mp4", bytes(range(256)) * 64, "cannot be opened"),
])
def test_what_is_no_video_is_one_line(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=says) as caught:
        open_source(f"file:{path}", pace=False)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not a file"):
        open_source(f"file:{tmp_path}")


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    import wave

    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    with pytest.raises(SourceError, match="holds no video"):
        open_source(f"file:{path}")


def test_a_play_list_reaches_nothing_else(tmp_path: Path) -> None:
    steady(tmp_path / "clip.ts", 5)
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/clip.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(SourceError):
        numbers(f"file:{path}")


@pytest.mark.parametrize("keep", [0.5, 0.9, 0.99])
def test_a_cut_file_gives_what_is_whole(tmp_path: Path, keep: float) -> None:
    whole = steady(tmp_path / "clip.ts", 50)
    data = whole.read_bytes()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(data[:int(len(data) * keep)])
    read = numbers(f"file:{cut}")
    assert 5 < len(read) <= 51


def test_damage_inside_is_skipped_or_said_in_one_line(tmp_path: Path) -> None:
    clip = steady(tmp_path / "clip.mp4", 40)
    data = bytearray(clip.read_bytes())
    noise = np.random.default_rng(3)
    for round_ in range(12):
        broken = bytearray(data)
        for at in noise.integers(64, len(data), 30):
            broken[at] = int(noise.integers(256))
        path = tmp_path / f"broken{round_}.mp4"
        path.write_bytes(broken)
        with contextlib.suppress(SourceError):
            numbers(f"file:{path}")
