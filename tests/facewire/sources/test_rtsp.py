"""Network cameras: no answer, silence, a real server, its end; and no password in any message."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import pytest
from tests.facewire.sources.reading import read_on

from facewire.errors import SourceError
from facewire.sources import open_source
from facewire.sources.rtsp import RtspSource
from facewire.sources.video import without_password

SERVER = textwrap.dedent("""
    import gi
    gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer
    Gst.init(None)
    server = GstRtspServer.RTSPServer(service="0", address="127.0.0.1")
    factory = GstRtspServer.RTSPMediaFactory(shared=True)
    factory.set_launch("( videotestsrc is-live=true pattern=ball ! video/x-raw,width=160,height=120,framerate=25/1 !"
                       " x264enc tune=zerolatency key-int-max=10 speed-preset=ultrafast ! rtph264pay name=pay0 pt=96 )")
    server.get_mount_points().add_factory("/cam", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()
""")


@pytest.mark.parametrize(("address", "shown"), [
    ("rtsp://me:secret@cam.local:554/1?user=me&password=secret", "rtsp://cam.local:554/1"),
    ("rtsp://cam/1", "rtsp://cam/1"),
    ("rtsp://me:se@cret@cam/1", "rtsp://cam/1"),
    ("rtsp://[::1", "rtsp://?"),
])
def test_passwords_stay_inside(address: str, shown: str) -> None:
    assert without_password(address) == shown


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(SourceError, match=f"127.0.0.1:{port}/x: cannot be opened: Connection refused") as caught:
        open_source(f"rtsp://me:secret@127.0.0.1:{port}/x")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        start = time.monotonic()
        with pytest.raises(SourceError, match="cannot be opened"):
            RtspSource(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x", 25.0, timeout=0.5)
        assert time.monotonic() - start < 10


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    python = "/usr/bin/python3" if shutil.which("/usr/bin/python3") else sys.executable
    process = subprocess.Popen([python, "-c", SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.strip():
        process.wait()
        pytest.skip("gst-rtsp-server is not installed")
    yield process, int(line)
    process.kill()
    process.wait()


def test_a_real_server_and_its_end(server: tuple[subprocess.Popen[str], int]) -> None:
    process, port = server
    source = RtspSource(f"rtsp://127.0.0.1:{port}/cam", 25.0, timeout=5.0)
    assert source.live
    read = [source.read(5.0) for _ in range(10)]
    assert [frame.picture.shape for frame in read if frame] == [(120, 160, 3)] * 10
    process.kill()
    process.wait()
    with pytest.raises(SourceError):
        read_on(source, 100, 1.0)
    source.close()
