"""The bridge: what it says in the encoder's place, what it leaves alone, and how it learns another greeting."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

import pytest
import zmq

from facewire.link.bridge import GREETING, Bridge, greeting
from facewire.link.subscriber import Subscriber


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5.0)
        yield listener


@pytest.fixture
def bridge(server: socket.socket) -> Iterator[Bridge]:
    made = Bridge("127.0.0.1", server.getsockname()[1], True, [])
    yield made
    made.close()


def plug(bridge: Bridge) -> socket.socket:
    """As libzmq does."""
    local = socket.socket(socket.AF_UNIX)
    local.settimeout(5.0)
    local.connect("\0" + bridge.endpoint.removeprefix("ipc://@"))
    return local


def read(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (came := sock.recv(count - len(data))):
        data += came
    return data


@pytest.mark.parametrize("curve", [False, True])
def test_the_greeting_is_what_libzmq_says(curve: bool) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        if curve:
            router.setsockopt(zmq.CURVE_SERVER, 1)
            router.setsockopt(zmq.CURVE_SECRETKEY, zmq.curve_keypair()[1])
        port = router.bind_to_random_port("tcp://127.0.0.1")
        with socket.create_connection(("127.0.0.1", port), 5.0) as client:
            client.sendall(greeting(curve))
            assert read(client, GREETING) == greeting(curve)


def test_the_first_thing_a_server_gets_is_greeting_and_hello_together(server: socket.socket) -> None:
    """It has not said a word itself; without the bridge it would get ten bytes."""
    subscriber = Subscriber(f"tcp://127.0.0.1:{server.getsockname()[1]}")
    try:
        with server.accept()[0] as remote:
            remote.settimeout(5.0)
            got = read(remote, GREETING + 2)
            assert got[:GREETING] == greeting(False)
            assert got[GREETING] == 4  # a command: READY
    finally:
        subscriber.close()


def test_greeting_and_first_command_are_one_packet(server: socket.socket, bridge: Bridge) -> None:
    """With TCP Fast Open the first packet saves a round trip; the command must be in it."""
    hello = b"\x04\xc8" + bytes(200)
    with plug(bridge) as local:
        for part in (greeting(True)[:10], greeting(True)[10:], hello[:50], hello[50:]):
            local.sendall(part)
            time.sleep(0.02)
        with server.accept()[0] as remote:
            remote.settimeout(5.0)
            assert read(remote, GREETING + len(hello)) == greeting(True) + hello
            info = remote.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            (packets_with_data,) = struct.unpack_from("=I", info, 152)
            assert packets_with_data == 1


def test_all_else_passes_as_it_is(server: socket.socket, bridge: Bridge) -> None:
    with plug(bridge) as local, server.accept()[0] as remote:
        assert read(local, GREETING) == greeting(True)
        local.sendall(b"up" * 50_000)
        remote.settimeout(5.0)
        assert read(remote, 100_000) == b"up" * 50_000
        remote.sendall(greeting(True)[:20])
        time.sleep(0.05)
        remote.sendall(greeting(True)[20:] + b"down")
        assert read(local, 4) == b"down"
        assert bridge.fd is not None
        assert bridge.reached
        assert bridge.wire > 100_000
        before = bridge.wire
        remote.close()
        assert local.recv(1) == b""
        assert bridge.wire >= before


def test_another_greeting_is_learned(server: socket.socket, bridge: Bridge) -> None:
    other = greeting(True)[:11] + b"\0" + greeting(True)[12:]  # version 3.0
    with plug(bridge) as local, server.accept()[0] as remote:
        assert read(local, GREETING) == greeting(True)
        remote.sendall(other + b"rest")
        assert local.recv(1) == b""
    with plug(bridge) as local, server.accept()[0] as remote:
        assert read(local, GREETING) == other
        remote.sendall(other + b"rest")
        assert read(local, 4) == b"rest"


def test_where_nobody_answers_the_connection_ends(server: socket.socket, bridge: Bridge) -> None:
    server.close()
    for _ in range(2):
        with plug(bridge) as local:
            assert read(local, GREETING) == greeting(True)
            assert local.recv(1) == b""
    assert not bridge.reached
    assert bridge.fd is None


def test_it_closes_at_once_whatever_it_does(server: socket.socket) -> None:
    for connect in (False, True):
        bridge = Bridge("127.0.0.1", server.getsockname()[1], True, [])
        local = plug(bridge) if connect else None
        began = time.monotonic()
        bridge.close()
        assert time.monotonic() - began < 1.5
        if local is not None:
            local.close()
