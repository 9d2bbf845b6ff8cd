"""SPECs: what is understood, and what is said when one is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from facewire.errors import MissingDependency, SourceError
from facewire.sources import Spec, frames, open_source, parse_spec, picamera2, v4l2


@pytest.mark.parametrize(("text", "spec"), [
    ("auto", Spec("auto", "", {})),
    ("sample:", Spec("sample", "", {})),
    ("sample:?size=640&seconds=2", Spec("sample", "", {"size": "640", "seconds": "2"})),
    ("picamera2:1", Spec("picamera2", "1", {})),
    ("v4l2:/dev/video2?width=640&height=480", Spec("v4l2", "/dev/video2", {"width": "640", "height": "480"})),
    ("file:a b.mp4", Spec("file", "a b.mp4", {})),
    ("file:/x/clip.mp4?loop", Spec("file", "/x/clip.mp4", {"loop": ""})),
    ("file:what? a name.mp4", Spec("file", "what? a name.mp4", {})),
    ("rtsp://user:pw@cam/1?channel=2", Spec("rtsp", "rtsp://user:pw@cam/1?channel=2", {})),
])
def test_understood(text: str, spec: Spec) -> None:
    assert parse_spec(text) == spec


@pytest.mark.parametrize(("text", "says"), [
    ("", "use one of"), ("clip.mp4", "use one of"), ("http://x/y", "use one of"), ("camera:0", "use one of"),
    ("file:x.mp4?lop", "allowed are loop"), ("v4l2:/dev/video0?depth=3", "allowed are format, height, width"),
])
def test_not_understood(text: str, says: str) -> None:
    with pytest.raises(SourceError, match=says) as caught:
        parse_spec(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["0", "-3", "nan", "inf", "wide", ""])
def test_numbers_are_checked(value: str) -> None:
    with pytest.raises(SourceError, match="width"):
        parse_spec(f"v4l2:/dev/video0?width={value}").number("width", 1.0)


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), 1000.0])
def test_frame_rate_is_checked(fps: float) -> None:
    with pytest.raises(SourceError, match="frames a second"):
        open_source("sample:", fps)


def test_auto_takes_the_sample_where_there_is_no_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picamera2, "cameras", list)
    monkeypatch.setattr(v4l2, "cameras", list)
    source = open_source("auto", pace=False)
    assert source.name == "sample:"
    source.close()


def test_auto_passes_over_cameras_that_do_not_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(picamera2, "cameras", lambda: ["imx708"])
    monkeypatch.setattr(v4l2, "cameras", lambda: [v4l2.Camera(str(tmp_path / "video0"), "gone")])
    source = open_source("auto", pace=False)
    assert source.name == "sample:"
    source.close()


def test_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(MissingDependency, match="apt install python3-picamera2"):
        open_source("picamera2:0")
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.delitem(sys.modules, "av.error", raising=False)
    with pytest.raises(MissingDependency, match="pip install av"):
        open_source("rtsp://127.0.0.1:1/x")


def test_frames_ends_with_the_source() -> None:
    source = open_source("sample:?size=128&seconds=0.2", pace=False)
    assert len(list(frames(source))) == 5
    assert source.ended
    assert source.read(0.0) is None
