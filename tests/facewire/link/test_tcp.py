"""What the kernel says of connections, on this machine's own TCP."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from facewire.link import tcp


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection; the second one takes little and is not read from."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        here = stack.enter_context(socket.create_connection(listener.getsockname()))
        there, _ = listener.accept()
        yield here, stack.enter_context(there)


def filled(here: socket.socket) -> int:
    """Send until nothing more is taken; how much that was."""
    sent = 0
    here.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += here.send(bytes(65536))
    here.setblocking(True)
    return sent


def test_a_connection_on_which_nothing_can_be_sent_is_held(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    fd, port = here.fileno(), here.getsockname()[1]
    tcp.limit_backoff(fd, port, 1.0)
    sent = filled(here)
    end, probes = time.monotonic() + 20, 0
    while not probes and time.monotonic() < end:
        time.sleep(0.05)
        state = tcp.look(fd, port)
        assert state is not None
        probes = state.probes
    assert probes > 0
    with contextlib.suppress(OSError):  # an older kernel
        assert here.getsockopt(socket.IPPROTO_TCP, tcp.RTO_MAX_MS) == 1000
        tcp.hold_on(fd, port)
        assert here.getsockopt(socket.IPPROTO_TCP, tcp.RTO_MAX_MS) == 1000 * tcp.LONGEST_BACKOFF
    tcp.hold_on(fd, port)
    there.settimeout(20)
    came = 0
    while came < sent:
        came += len(there.recv(1 << 20))
    assert came == sent


def test_headers_are_counted_as_they_are_sent(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    before = tcp.look(here.fileno(), here.getsockname()[1])
    here.send(b"three")
    there.recv(5)
    after = tcp.look(here.fileno(), here.getsockname()[1])
    assert before is not None
    assert after is not None
    stamped = Path("/proc/sys/net/ipv4/tcp_timestamps").read_text("ascii").strip() != "0"
    assert after.sent - before.sent == 5 + 20 + 20 + (12 if stamped else 0)


def test_small_writes_are_gathered(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    fd, port = here.fileno(), here.getsockname()[1]
    here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    before = here.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    tcp.gather(fd, port, on=True)
    for part in (b"one", b"two", b"three"):
        here.send(part)
    tcp.gather(fd, port, on=False)
    assert there.recv(100) == b"onetwothree"
    after = here.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    data_segments_out = struct.Struct("=I")  # struct tcp_info, linux/tcp.h
    assert data_segments_out.unpack_from(after, 156)[0] - data_segments_out.unpack_from(before, 156)[0] == 1


def test_what_is_none_of_ours_is_left_alone(ends: tuple[socket.socket, socket.socket]) -> None:
    here, _ = ends
    other = here.getsockname()[1] + 1
    before = here.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    tcp.hold_on(here.fileno(), other)
    assert here.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == before == 0
    assert tcp.look(here.fileno(), other) is None


def test_what_waits_is_counted_as_not_sent(ends: tuple[socket.socket, socket.socket]) -> None:
    here, _ = ends
    sent = filled(here)
    state = tcp.look(here.fileno(), here.getsockname()[1])
    assert state is not None
    assert 0 < state.unsent < state.outstanding <= sent
    assert 0 < state.segment <= state.outstanding - state.unsent


def test_a_repetition_does_not_wait_longer_than_it_must(ends: tuple[socket.socket, socket.socket]) -> None:
    here, _ = ends
    tcp.prepare(here.fileno(), here.getsockname()[1])
    try:
        least = here.getsockopt(socket.IPPROTO_TCP, tcp.RTO_MIN_US)
    except OSError:
        pytest.skip("this kernel is older than Linux 6.15")
    assert least == pytest.approx(tcp.LEAST_SPARE_US, rel=0.1)  # in the kernel's own ticks
