"""A clip's frames on disk."""

from __future__ import annotations

import contextlib
from pathlib import Path

import av
import numpy as np
import pytest
from tests.facewire_export.evaluation.made_up import clip, scene

from facewire_export.dataset import ClipEntry, DatasetError
from facewire_export.evaluation.footage import Player, open_footage, planar, shorten


def test_frames_come_as_they_are_and_smaller(tmp_path: Path) -> None:
    entry = clip(tmp_path / "a.mp4", 6, 512)
    with open_footage(entry) as footage:
        assert footage.real.shape == (6, 512, 512, 3)
        assert footage.source == entry.path
        assert footage.seconds == pytest.approx(6 / 25)
        with av.open(str(entry.path)) as container:
            for index, frame in enumerate(container.decode(video=0)):
                assert np.array_equal(footage.real[index], frame.to_ndarray(format="rgb24"))
                assert np.array_equal(footage.yuv[index], frame.to_ndarray())
        assert [planes.shape for planes in footage.coded(128, step=2)] == [(192, 128)] * 3
        folder = Path(footage.folder.name)
    assert not folder.exists()


def test_a_small_source_is_enlarged(tmp_path: Path) -> None:
    with open_footage(clip(tmp_path / "a.mp4", 2, 256)) as footage:
        assert footage.real.shape == (2, 512, 512, 3)
        assert np.array_equal(footage.yuv[1], planar(np.asarray(footage.real[1])))


def test_the_beginning_alone_is_lossless(tmp_path: Path) -> None:
    entry = clip(tmp_path / "a.mp4", 9, 512)
    with open_footage(entry, 0.16) as footage, open_footage(entry) as whole:
        assert len(footage.real) == 4
        assert footage.source != entry.path
        with av.open(str(footage.source)) as container:
            found = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert np.array_equal(np.stack(found), whole.real[:4])
    shorten(entry.path, 3, tmp_path / "short.mkv")
    with av.open(str(tmp_path / "short.mkv")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


def test_what_is_no_square_video_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video at all")
    with pytest.raises(DatasetError, match="cannot be read"):
        open_footage(ClipEntry("text", tmp_path / "text.mp4", "x", 512, True))
    with av.open(str(tmp_path / "wide.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(128, 64, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(DatasetError, match="128x64, not square"):
        open_footage(ClipEntry("wide", tmp_path / "wide.mp4", "x", 512, True))


def test_a_player_is_there_when_it_ended_well(tmp_path: Path) -> None:
    path = tmp_path / "players" / "a.mp4"
    with Player(path, 25.0) as player:
        for number in range(3):
            player.add(scene(512, number))
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3
    with contextlib.suppress(RuntimeError), Player(tmp_path / "b.mp4", 25.0) as player:
        player.add(scene(512, 0))
        raise RuntimeError("cut")
    assert not list(tmp_path.glob("b*"))
