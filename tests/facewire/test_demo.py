from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from facewire import child, demo
from facewire.child import Child
from facewire.demo import Averages, Figures, parse_figures
from facewire.errors import FacewireError


def test_figures_are_read_from_the_decoders_status() -> None:
    status = "24.9 fps shown, 8.52 kbit/s all-in, pivot 12 s old, delay 0.40 s, 2 repeated"
    assert parse_figures(status) == Figures(24.9, 8.52, 12)
    assert parse_figures("0.0 fps shown, 0.00 kbit/s all-in, no pivot yet, delay 0.00 s") == Figures(0.0, 0.0, None)
    assert parse_figures("connecting") is None


def test_averages_are_of_all_seconds() -> None:
    averages = Averages([Figures(20.0, 10.0, 1), Figures(30.0, 20.0, 3)])
    assert str(averages) == "25.0 fps shown, 15.00 kbit/s all-in, pivot 2 s old (averages of 2 s)"
    assert str(Averages()) == "no picture was shown"


def test_a_file_is_played_for_ever(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.touch()
    for text in (str(clip), f"file:{clip}", f"file:{clip}?loop"):
        assert demo._looped(text) == f"file:{clip}?loop"
    assert demo._looped("sample:") == "sample:"
    for text in ("no.mp4", "bogus:", "sample:?speed=3"):
        with pytest.raises(FacewireError):
            demo._looped(text)


FAKE = """
import os, signal, socket, sys, time
out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def tell(text): out.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
{body}
"""


def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Child:
    """A child that runs `body` instead of a daemon."""
    script = tmp_path / "python"
    code = tmp_path / "fake.py"
    code.write_text(FAKE.format(body=body), "utf-8")
    script.write_text(f"#!/bin/sh\nexec {sys.executable} {code}\n", "utf-8")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    return Child("encoder", [], tmp_path, {})


def until_gone(process: Child) -> str:
    end = time.monotonic() + 10
    while (trouble := process.trouble()) is None and time.monotonic() < end:
        time.sleep(0.02)
    assert trouble is not None
    return trouble


def test_a_child_reports_readiness_and_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = 'tell("READY=1\\nSTATUS=first"); tell("STATUS=second"); time.sleep(30)'
    process = fake(tmp_path, monkeypatch, body)
    end = time.monotonic() + 10
    while process.status != "second" and time.monotonic() < end:
        process.listen()
        time.sleep(0.02)
    assert process.ready
    assert process.status == "second"
    assert process.trouble() is None
    process.stop()


def test_the_error_of_a_child_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = 'print("chatter", file=sys.stderr); print("facewire: no camera", file=sys.stderr); sys.exit(1)'
    process = fake(tmp_path, monkeypatch, body)
    while not process.warnings() and process.trouble() is None:
        time.sleep(0.01)
    assert until_gone(process) == "the encoder has stopped (exit code 1): no camera"
    with pytest.raises(FacewireError, match="no camera"):
        demo._wait_until_ready(process)
    process.stop()


def test_warnings_of_a_child_are_shown_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        'print("10:00:00 WARNING facewire.encoder: no face", file=sys.stderr)\n'
        'print("10:00:00 INFO    facewire.encoder: hello", file=sys.stderr); sys.stderr.flush(); time.sleep(30)'
    )
    process = fake(tmp_path, monkeypatch, body)
    found: list[str] = []
    end = time.monotonic() + 10
    while not found and time.monotonic() < end:
        found = process.warnings()
        time.sleep(0.02)
    assert found == ["no face"]
    assert process.warnings() == []
    process.stop()


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = fake(tmp_path, monkeypatch, 'signal.signal(15, signal.SIG_IGN); tell("READY=1"); time.sleep(60)')
    end = time.monotonic() + 10
    while not process.ready and time.monotonic() < end:
        process.listen()
        time.sleep(0.02)
    monkeypatch.setattr(child, "STOP_SECONDS", 0.2)
    process.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


@pytest.fixture
def _tiny(tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gi", reason="GStreamer is not installed")
    pytest.importorskip("mediapipe")
    monkeypatch.setenv("FACEWIRE_MODELS", str(tiny_models))
    monkeypatch.setenv("PYTHONPATH", str(Path(demo.__file__).parents[1]))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_tiny")
def test_the_demo_ends_with_address_figures_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.run("sample:", 4.0, 256, "lan") == 0
    said = capsys.readouterr().out
    assert (tmp_path / "demo" / "contact-sheet.png").stat().st_size > 20_000
    picture, figures, address = said.strip().splitlines()[-3:]
    assert picture.endswith("demo/contact-sheet.png")
    assert "kbit/s all-in" in figures
    assert "rtsp://127.0.0.1:" in address
    assert "Traceback" not in said


@pytest.mark.usefixtures("_tiny")
def test_ctrl_c_ends_it_cleanly(capsys: pytest.CaptureFixture[str]) -> None:
    # A shell that starts the tests in the background has SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(3.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        assert demo.run("sample:", 0.0, 128, "lan") == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert "stopped" in capsys.readouterr().out


@pytest.mark.usefixtures("_tiny")
def test_a_clip_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"nothing")
    with pytest.raises(FacewireError, match="the encoder has stopped") as caught:
        demo.run(str(tmp_path / "no.mp4"), 2.0, 128, "lan")
    assert "\n" not in str(caught.value)
