"""The RTSP server read by ffprobe and ffmpeg, as players do it, on free ports."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from facewire.errors import SinkError
from facewire.sinks import open_sink, rtsp
from facewire.sinks.rtsp import MAX_CLIENTS, RtspSink
from facewire.sinks.spec import RtspSpec

from .conftest import Projector, wait_until

pytestmark = pytest.mark.usefixtures("gst_there")
SIZE = 128


@pytest.fixture(autouse=True)
def _ffmpeg_there() -> None:
    if shutil.which("ffprobe") is None or shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed (apt install ffmpeg)")


@pytest.fixture
def served() -> Iterator[RtspSink]:
    """A server with a moving picture."""
    sink = RtspSink(RtspSpec("127.0.0.1", 0, "/live"), SIZE, 25.0)
    projector = Projector(sink, SIZE)
    yield sink
    projector.stop()
    sink.close()


def probe(address: str, transport: str) -> dict[str, Any]:
    """What ffprobe sees."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-rtsp_transport", transport, "-analyzeduration", "500000",
         "-show_streams", "-of", "json", address],
        capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout)["streams"][0])


def player(address: str, frames: int = 0) -> subprocess.Popen[bytes]:
    """An ffmpeg that plays `frames` pictures (0: for ever) and gives them raw."""
    return subprocess.Popen(
        ["ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-fflags", "nobuffer", "-analyzeduration", "100000",
         "-i", address, *(["-frames:v", str(frames)] if frames else []), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def read_frames(source: subprocess.Popen[bytes], frames: int) -> int:
    """How many whole frames come."""
    assert source.stdout is not None
    count = 0
    while count < frames and len(source.stdout.read(SIZE * SIZE * 3)) == SIZE * SIZE * 3:
        count += 1
    return count


def end(source: subprocess.Popen[bytes]) -> None:
    source.kill()
    source.wait()
    assert source.stdout is not None
    source.stdout.close()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_ffprobe_reads_it(served: RtspSink, transport: str) -> None:
    stream = probe(served.address, transport)
    assert (stream["codec_name"], stream["width"], stream["height"]) == ("h264", SIZE, SIZE)
    assert stream["pix_fmt"] == "yuv420p"
    assert stream["avg_frame_rate"] == "25/1"
    assert stream["has_b_frames"] == 0


def test_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    sink = open_sink("rtsp://[::1]:0/live", SIZE, 25.0)
    assert sink.name.startswith("rtsp://[::1]:")
    projector = Projector(sink, SIZE)
    assert probe(sink.name, "tcp")["width"] == SIZE
    projector.stop()
    sink.close()


def test_colours_arrive() -> None:
    sink = RtspSink(RtspSpec("127.0.0.1", 0, "/live"), 64, 25.0)
    picture = np.empty((64, 64, 3), np.uint8)
    picture[:] = (200, 120, 60)
    sink.show(picture)
    source = player(sink.address, 3)
    assert source.stdout is not None
    data = source.stdout.read(64 * 64 * 3)
    end(source)
    sink.close()
    mean = np.frombuffer(data, np.uint8).reshape(-1, 3).mean(axis=0)
    assert np.abs(mean - (200, 120, 60)).max() < 6


def test_one_encoder_for_all_and_none_for_nobody(served: RtspSink) -> None:
    assert wait_until(lambda: served.stats.idle > 5)
    assert served.stats.shown == 0
    first, second = player(served.address), player(served.address)
    assert read_frames(first, 10) == read_frames(second, 10) == 10
    before = served.stats
    assert before.clients == 2
    assert read_frames(first, 15) == 15
    # One encoder: pictures are counted once, whoever watches.
    assert served.stats.shown - before.shown < 28
    end(first)
    assert read_frames(second, 10) == 10
    end(second)
    assert wait_until(lambda: served.stats.clients == 0)
    assert wait_until(lambda: served._feed is None)
    idle, shown = served.stats.idle, served.stats.shown
    assert wait_until(lambda: served.stats.idle > idle + 5)
    assert served.stats.shown == shown
    again = player(served.address)
    assert read_frames(again, 5) == 5
    end(again)


def test_a_stopped_client_does_not_hold_up_the_others(served: RtspSink) -> None:
    frozen, good = player(served.address), player(served.address)
    assert read_frames(frozen, 3) == read_frames(good, 3) == 3
    frozen.send_signal(signal.SIGSTOP)
    assert read_frames(good, 50) == 50
    assert served.stats.dropped < 5
    end(frozen)
    end(good)


def test_players_live_through_silence() -> None:
    """No picture was ever shown: a player still gets an answer and a (dark) stream."""
    sink = RtspSink(RtspSpec("127.0.0.1", 0, "/live"), SIZE, 25.0)
    assert probe(sink.address, "tcp")["codec_name"] == "h264"
    sink.close()


def test_show_never_waits(served: RtspSink) -> None:
    source = player(served.address)
    assert read_frames(source, 10) == 10
    for _ in range(300):
        served.show(np.zeros((SIZE, SIZE, 3), np.uint8))
    assert served.stats.dropped > 0
    assert read_frames(source, 10) == 10
    end(source)


def test_garbage_and_crowds(served: RtspSink) -> None:
    crowd = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(MAX_CLIENTS + 10)]
    for number, one in enumerate(crowd):
        with contextlib.suppress(OSError):
            one.sendall(bytes((number * 7 + k * 31) % 256 for k in range(2000)))
    assert wait_until(lambda: served.stats.clients <= MAX_CLIENTS)
    for one in crowd:
        one.close()
    assert wait_until(lambda: served.stats.clients == 0)
    assert probe(served.address, "tcp")["codec_name"] == "h264"


def test_silent_connections_are_closed(served: RtspSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtsp, "GREETING_SECONDS", 0.5)
    watcher = player(served.address)
    with socket.create_connection(("127.0.0.1", served.port), timeout=10.0) as silent:
        assert silent.recv(1) == b""
    assert read_frames(watcher, 30) == 30
    end(watcher)


def test_a_killed_players_place_is_free_soon(served: RtspSink) -> None:
    source = player(served.address)
    assert read_frames(source, 3) == 3
    pool = served._server.get_session_pool()
    assert pool.get_n_sessions() == 1
    end(source)
    assert wait_until(lambda: pool.get_n_sessions() == 0)


def test_a_client_that_never_plays_is_no_fault(served: RtspSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtsp, "STUCK_SECONDS", 0.1)
    with socket.create_connection(("127.0.0.1", served.port), timeout=10.0) as one:
        one.sendall(f"DESCRIBE {served.address} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        assert b"200 OK" in one.recv(200)
        given = served.stats.dropped + served.stats.idle
        assert wait_until(lambda: served.stats.dropped + served.stats.idle > given + 20)
        served.show(np.zeros((SIZE, SIZE, 3), np.uint8))


def test_a_wrong_path_is_not_found(served: RtspSink) -> None:
    done = subprocess.run(
        ["ffprobe", "-v", "error", served.address + "x"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode != 0
    assert "404" in done.stderr


def test_closing_frees_the_port_and_drops_the_clients() -> None:
    sink = RtspSink(RtspSpec("127.0.0.1", 0, "/live"), SIZE, 25.0)
    projector = Projector(sink, SIZE)
    source = player(sink.address)
    assert read_frames(source, 3) == 3
    projector.stop()
    port = sink.port
    sink.close()
    sink.close()
    source.communicate(timeout=10)  # it ends by itself
    for _ in range(2):
        sink = RtspSink(RtspSpec("127.0.0.1", port, "/live"), SIZE, 25.0)
        sink.close()
    with pytest.raises(SinkError):
        sink.show(np.zeros((SIZE, SIZE, 3), np.uint8))


def test_a_failing_encoder_is_a_fault(served: RtspSink) -> None:
    source = player(served.address)
    assert read_frames(source, 3) == 3
    gst = served._gst
    feed = served._feed
    assert feed is not None
    element = feed._frames
    glib_error = element.message_full
    glib_error(
        gst.MessageType.ERROR, gst.StreamError.quark(), gst.StreamError.ENCODE, "no more bits", None, "f", "f", 1
    )
    with pytest.raises(SinkError, match="no more bits"):
        served.show(np.zeros((SIZE, SIZE, 3), np.uint8))
    end(source)


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [("127.0.0.1", -1, "in use"), ("192.0.2.7", 0, "not an address of this"), ("no.such.host", 0, "no address")],
)
def test_places_that_cannot_be_had(host: str, port: int, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SinkError, match=words) as caught:
        RtspSink(RtspSpec(host, taken.getsockname()[1] if port < 0 else port, "/live"), SIZE, 25.0)
    assert "\n" not in str(caught.value)


def test_an_unknown_encoder_is_refused() -> None:
    with pytest.raises(SinkError, match="choose one of"):
        open_sink("rtsp://127.0.0.1:0/live?encoder=h266enc", SIZE, 25.0)
