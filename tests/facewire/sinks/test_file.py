from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import facewire
from facewire.errors import SinkError
from facewire.sinks import file as file_module
from facewire.sinks import open_sink
from facewire.sinks.file import FileSink, unused
from facewire.types import Picture

av: Any = pytest.importorskip("av", reason="PyAV is not installed")


def bars(number: int, size: int = 128) -> Picture:
    """A picture whose brightness tells its number."""
    return np.full((size, size, 3), 20 + number * 4 % 200, np.uint8)


def read(path: Path) -> tuple[list[Fraction], list[float]]:
    """Times and mean brightness of all frames."""
    times, means = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            times.append(Fraction(frame.pts) * frame.time_base)
            means.append(float(frame.to_ndarray(format="rgb24").mean()))
    return times, means


def settle(sink: FileSink, pictures: int) -> None:
    """Wait until the encoder's thread has taken them all."""
    end = time.monotonic() + 20.0
    while sink.stats.shown + sink.stats.dropped < pictures and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_steady_rate_and_the_right_pictures(tmp_path: Path, ending: str) -> None:
    sink = FileSink(str(tmp_path / f"out.{ending}"), 128, 25.0)
    for number in range(40):
        sink.show(bars(number))
        settle(sink, number - 5)
    sink.close()
    assert sink.stats.shown == 40
    times, means = read(tmp_path / f"out.{ending}")
    assert times == [Fraction(n, 25) for n in range(40)]
    assert all(abs(mean - (20 + n * 4)) < 4 for n, mean in enumerate(means))


def test_odd_sizes_and_pictures_that_do_not_fit(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "out.mp4"), 65, 25.0)
    for size in (65, 64, 200, 33):
        sink.show(bars(3, size))
    sink.close()
    assert len(read(tmp_path / "out.mp4")[0]) == 4


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_plays_after_kill(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out.{ending}"
    script = (
        "import sys, time, numpy as np\n"
        "from facewire.sinks import open_sink\n"
        "sink = open_sink(sys.argv[1], 128, 25.0)\n"
        "for n in range(100):\n"
        "    sink.show(np.full((128, 128, 3), n, np.uint8))\n"
        "    time.sleep(0.001)\n"
        "while sink.stats.shown < 100: time.sleep(0.01)\n"
        "print('all', flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(facewire.__file__).parents[1])}
    child = subprocess.Popen(
        [sys.executable, "-c", script, f"file:{path}"], stdout=subprocess.PIPE, env=environment, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "all\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    times, _ = read(path)
    assert len(times) >= 75
    assert times == [Fraction(n, 25) for n in range(len(times))]


def test_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    assert unused(path) == path
    path.write_bytes(b"")
    assert unused(path) == path
    path.write_bytes(b"a recording")
    sink = open_sink(f"file:{path}", 64, 25.0)
    assert sink.name == f"file:{tmp_path / 'out-1.mp4'}"
    sink.show(bars(1, 64))
    sink.close()
    assert path.read_bytes() == b"a recording"


def test_drops_the_oldest_and_leaves_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "QUEUE_BYTES", 1)
    sink = FileSink(str(tmp_path / "out.mkv"), 64, 25.0)
    for number in range(300):
        sink.show(bars(number, 64))
    sink.close()
    assert sink.stats.dropped > 0
    assert sink.stats.shown + sink.stats.dropped == 300
    times, _ = read(tmp_path / "out.mkv")
    assert times[-1] == Fraction(299, 25)


def test_faults_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.mp4").mkdir()
    for path in (tmp_path / "missing" / "out.mp4", Path("/proc/out.mp4")):
        with pytest.raises(SinkError) as caught:
            FileSink(str(path), 64, 25.0)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    monkeypatch.setattr(file_module, "FREE_BYTES", 1 << 60)
    with pytest.raises(SinkError, match="make room"):
        FileSink(str(tmp_path / "out.mp4"), 64, 25.0)
    assert not (tmp_path / "out.mp4").exists()


def test_a_disk_that_fills_up_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = FileSink(str(tmp_path / "out.mp4"), 64, 25.0)
    sink.show(bars(0, 64))
    settle(sink, 1)
    monkeypatch.setattr(file_module, "FREE_BYTES", 1 << 60)
    fault = ""
    for number in range(200):
        try:
            sink.show(bars(number, 64))
        except SinkError as error:
            fault = str(error)
            break
        time.sleep(0.005)
    assert "make room" in fault
    sink.close()
    assert read(tmp_path / "out.mp4")[0]
    with pytest.raises(SinkError):
        sink.show(bars(0, 64))
