"""Data sets on disk: tables, decoding into the cache, clips that are damaged or absent."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from facewire_export.dataset import (
    LANDMARKS,
    ClipEntry,
    DatasetError,
    decode,
    load,
    prepare,
    read_table,
    save_atomically,
)


def write_video(path: Path, frames: int = 6, size: int = 64) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10", "preset": "ultrafast"})
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for i in range(frames):
            picture = np.full((size, size, 3), 40 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def test_a_folder_without_a_table(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mkv"):
        write_video(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no video")
    entries = read_table(tmp_path)
    assert [(e.name, e.person) for e in entries] == [("a", "a"), ("b", "b")]


def test_a_folder_with_a_table(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    folder.mkdir()
    write_video(folder / "x_00.mp4")
    table = tmp_path / "train.csv"
    table.write_text("id,size,seconds,person,native_25fps\nx_00,256,0.2,ann,0\n")
    (entry,) = read_table(folder)
    assert entry == ClipEntry("x_00", folder / "x_00.mp4", "ann", 256, False)
    table.write_text("id,size,person\nx_00,512,ann\n")
    assert read_table(folder)[0].native_25fps
    table.write_text("id,size,person\nx_01,512,ann\n")
    with pytest.raises(DatasetError, match=r"names x_01.*not there"):
        read_table(folder)
    table.write_text("id,size,person\nx_00,large,ann\n")
    with pytest.raises(DatasetError, match="lacks id, person or size"):
        read_table(folder)
    table.write_text("id,seconds\nx_00,1\n")
    with pytest.raises(DatasetError, match="lacks id, person or size"):
        read_table(folder)
    table.write_text("id,size,person\n../x_00,512,ann\n")
    with pytest.raises(DatasetError, match="plain name"):
        read_table(folder)


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        read_table(tmp_path / "none")
    with pytest.raises(DatasetError, match="holds no video"):
        read_table(tmp_path)


def test_decode_gives_every_frame_at_the_size(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames=7)
    frames = list(decode(tmp_path / "a.mp4", 32))
    assert len(frames) == 7
    assert all(f.shape == (32, 32, 3) and f.dtype == np.uint8 for f in frames)
    assert [round(f.mean() / 40) for f in frames[:6]] == [0, 1, 2, 3, 4, 5]


def test_prepare_once_and_load(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4")
    entry = ClipEntry("a", tmp_path / "a.mp4", "a", 64, True)
    cache = tmp_path / "cache"
    prepare(entry, cache, 32, landmarks=False)
    entry.path.unlink()
    prepare(entry, cache, 32, landmarks=False)
    clip = load(entry, cache)
    assert clip.frames.shape == (6, 32, 32, 3)
    assert clip.landmarks.shape == (6, LANDMARKS, 2)
    assert np.isnan(clip.landmarks).all()
    assert not list(cache.glob("*.partial"))


def test_landmarks_of_pictures_without_a_face_are_nan(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    write_video(tmp_path / "a.mp4", frames=2)
    entry = ClipEntry("a", tmp_path / "a.mp4", "a", 64, True)
    prepare(entry, tmp_path / "cache", 64)
    assert np.isnan(load(entry, tmp_path / "cache").landmarks).all()


def test_a_damaged_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0" * 5000)
    entry = ClipEntry("a", tmp_path / "a.mp4", "a", 64, True)
    with pytest.raises(DatasetError, match=r"a\.mp4: cannot be read"):
        prepare(entry, tmp_path / "cache", 32, landmarks=False)


def test_a_reader_never_sees_half_an_array(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    save_atomically(path, np.zeros(3))
    save_atomically(path, np.ones(5))
    assert np.load(path).tolist() == [1.0] * 5
    assert [p.name for p in tmp_path.iterdir()] == ["x.npy"]


def test_a_stride_keeps_each_nth_frame(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames=6)
    entry = ClipEntry("a", tmp_path / "a.mp4", "a", 64, True)
    prepare(entry, tmp_path / "cache", 32, landmarks=False, stride=2)
    frames = load(entry, tmp_path / "cache").frames
    assert [round(f.mean() / 40) for f in frames] == [0, 2, 4]
