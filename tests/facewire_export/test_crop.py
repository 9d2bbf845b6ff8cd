"""Cropping: which stretches of a video make clips, and clips cut from a made-up video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from facewire.face.crop import FACE as SHARE
from facewire_export.crop import Box, Look, Picture, crop_folder, pictures, stretches
from facewire_export.dataset import DatasetError, decode, read_table

STEP = 0.2


def looks(boxes: Sequence[tuple[Box, ...]], cuts: tuple[int, ...] = ()) -> list[Look]:
    return [Look(i * STEP, faces, i in cuts) for i, faces in enumerate(boxes)]


FACE: Box = (500.0, 250.0, 200.0, 200.0)


def test_one_still_face_is_one_clip() -> None:
    (found,) = stretches(looks([(FACE,)] * 20), 1280, 720)
    assert found.start == 0.0
    assert found.end == pytest.approx(19 * STEP)
    assert found.side == 400
    assert (found.left, found.top) == (600 - 200, 350 - 224)


def test_cut_loss_and_jump_end_a_clip() -> None:
    assert len(stretches(looks([(FACE,)] * 40, cuts=(20,)), 1280, 720)) == 2
    lost: list[tuple[Box, ...]] = [*[(FACE,)] * 20, (), *[(FACE,)] * 20]
    assert len(stretches(looks(lost), 1280, 720)) == 2
    aside: Box = (800.0, 250.0, 200.0, 200.0)
    jumped = stretches(looks([(FACE,)] * 20 + [(aside,)] * 20), 1280, 720)
    assert [s.left for s in jumped] == [400, 700]


def test_short_crowded_small_or_cut_off_is_nothing() -> None:
    assert stretches(looks([(FACE,)] * 8), 1280, 720) == []
    other: Box = (800.0, 250.0, 150.0, 150.0)
    assert stretches(looks([(FACE, other)] * 20), 1280, 720) == []
    tiny: Box = (500.0, 250.0, 60.0, 60.0)
    assert stretches(looks([(tiny,)] * 20), 1280, 720) == []
    outside: Box = (-90.0, 250.0, 200.0, 200.0)
    assert stretches(looks([(outside,)] * 20), 1280, 720) == []
    assert stretches([], 1280, 720) == []


def test_a_small_face_behind_does_not_matter_and_crops_stay_inside() -> None:
    behind: Box = (900.0, 100.0, 60.0, 60.0)
    corner: Box = (20.0, 20.0, 200.0, 200.0)
    (found,) = stretches(looks([(corner, behind)] * 20), 1280, 720)
    assert (found.left, found.top) == (0, 0)


def test_long_stretches_are_split() -> None:
    found = stretches(looks([(FACE,)] * 200), 1280, 720, longest=15.0)
    assert len(found) == 3
    assert all(s.end - s.start <= 15.0 for s in found)


def video(path: Path, fps: int, seconds: float, size: tuple[int, int] = (640, 480)) -> None:
    """A red square (the face, to `red`) on a grey ramp; the picture turns dark in a cut at 4 s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "20", "preset": "ultrafast"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for i in range(round(fps * seconds)):
            ramp = np.linspace(90, 220, size[0]) - (80 if i / fps >= 4 else 0)
            picture = np.repeat(np.repeat(ramp[None, :, None], size[1], 0), 3, 2).astype(np.uint8)
            picture[150:330, 230 + i % 4 : 410 + i % 4] = (255, 0, 0)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def red(picture: Picture) -> list[Box]:
    mask = (picture[..., 0] > 180) & (picture[..., 1] < 90)
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    return [(float(x), float(y), float(w), float(h))] if w > 20 else []


def test_a_folder_becomes_clips_with_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    videos, out = tmp_path / "videos", tmp_path / "clips"
    (videos / "ann").mkdir(parents=True)
    video(videos / "ann" / "talk.mp4", 10, 7.0)
    (videos / "broken.mp4").write_bytes(b"not a video at all")
    assert crop_folder(videos, out, red, person_is_folder=True) == 2
    assert "broken.mp4: cannot be read" in capsys.readouterr().err
    entries = read_table(out)
    assert [e.person for e in entries] == ["ann", "ann"]
    assert [e.size for e in entries] == [256, 256]
    assert not any(e.native_25fps for e in entries)
    frames = np.stack(list(decode(entries[0].path, 64)))
    # 25 frames a second from 10, and the cut at 4 s in neither clip.
    assert 94 <= len(frames) <= 100
    assert red(cv2.resize(frames[0], (640, 640)))[0][2] == pytest.approx(SHARE * 640, rel=0.1)
    background = frames[:, 4:12, 4:12].mean((1, 2, 3))
    assert background.max() - background.min() < 12
    # Done is done: nothing is looked at again.
    assert crop_folder(videos, out, lambda _: pytest.fail("looked twice"), person_is_folder=True) == 0
    assert len(read_table(out)) == 2


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        crop_folder(tmp_path / "none", tmp_path / "out", red)
    with pytest.raises(DatasetError, match="holds no video"):
        crop_folder(tmp_path, tmp_path / "out", red)
    video(tmp_path / "a.mp4", 5, 0.4)
    with pytest.raises(DatasetError, match="lies inside"):
        crop_folder(tmp_path, tmp_path / "out", red)


def test_times_start_at_zero(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4", 10, 0.5)
    assert [round(t, 2) for t, _ in pictures(tmp_path / "a.mp4")] == [0.0, 0.1, 0.2, 0.3, 0.4]
