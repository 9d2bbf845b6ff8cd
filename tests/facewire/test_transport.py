from __future__ import annotations

import contextlib
import os
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
import zmq.auth

from facewire.errors import ConfigError
from facewire.transport import Publisher, Subscriber, Traffic, check_endpoint, is_loopback, wire_bytes


@contextlib.contextmanager
def pair(bind: str, curve: str = "") -> Iterator[tuple[Publisher, Subscriber]]:
    publisher = Publisher(bind, curve)
    subscriber = Subscriber(publisher.endpoint, curve)
    try:
        yield publisher, subscriber
    finally:
        subscriber.close()
        publisher.close()


def joined(publisher: Publisher, seconds: float = 10.0) -> int:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if new := publisher.poll(0.1):
            return new
    return 0


def test_a_message_goes_through_and_is_counted() -> None:
    with pair("tcp://127.0.0.1:*") as (publisher, subscriber):
        assert joined(publisher) == 1
        publisher.send(b"x" * 20)
        assert subscriber.receive(10.0) == b"x" * 20
        assert subscriber.receive(0.0) is None
        assert publisher.traffic == subscriber.traffic == Traffic(1, 20, 126)
        assert publisher.subscribers.now == publisher.subscribers.ever == 1


def test_ipv6_and_ipc(tmp_path: Path) -> None:
    endpoints = [f"ipc://{tmp_path}/socket"]
    if Path("/proc/net/if_inet6").exists() and Path("/proc/net/if_inet6").read_text():
        endpoints.append("tcp://[::1]:*")
    for endpoint in endpoints:
        with pair(endpoint) as (publisher, subscriber):
            assert joined(publisher) == 1
            publisher.send(b"hello")
            assert subscriber.receive(10.0) == b"hello"


def test_each_new_subscriber_is_told_and_each_leaving_one_is_counted() -> None:
    with pair("tcp://127.0.0.1:*") as (publisher, _):
        assert joined(publisher) == 1
        second = Subscriber(publisher.endpoint)
        assert joined(publisher) == 1
        second.close()
        end = time.monotonic() + 10
        while publisher.subscribers.now != 1 and time.monotonic() < end:
            publisher.poll(0.1)
        assert (publisher.subscribers.now, publisher.subscribers.ever) == (1, 2)


def test_a_subscriber_finds_the_publisher_again_after_a_restart() -> None:
    first = Publisher("tcp://127.0.0.1:*")
    endpoint = first.endpoint
    subscriber = Subscriber(endpoint)
    assert joined(first) == 1
    first.close()
    second = Publisher(endpoint)
    got = None
    end = time.monotonic() + 10
    # The subscriber must be reading: libzmq subscribes again from within the socket's calls.
    while got is None and time.monotonic() < end:
        second.poll()
        second.send(b"back")
        got = subscriber.receive(0.1)
    assert got == b"back"
    subscriber.close()
    second.close()


def test_ten_thousand_random_messages_change_nothing_but_a_counter() -> None:
    rng = random.Random(7)
    with pair("tcp://127.0.0.1:*") as (publisher, subscriber):
        assert joined(publisher) == 1
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        peer = context.socket(zmq.XSUB)
        peer.setsockopt(zmq.LINGER, 5000)
        peer.setsockopt(zmq.SNDHWM, 0)
        peer.connect(publisher.endpoint)
        for _ in range(10_000):
            # First byte 2 and up: 0 and 1 would be subscriptions, which libzmq swallows or deduplicates.
            peer.send(bytes([rng.randrange(2, 256)]) + rng.randbytes(rng.randrange(0, 200)))
        end = time.monotonic() + 20
        while publisher.subscribers.garbage < 10_000 and time.monotonic() < end:
            publisher.poll(0.1)
        peer.close()
        context.term()
        assert publisher.subscribers.garbage == 10_000
        publisher.send(b"still here")
        assert subscriber.receive(10.0) == b"still here"


def test_a_publisher_survives_peers_that_speak_no_zmtp() -> None:
    with pair("tcp://127.0.0.1:*") as (publisher, subscriber):
        assert joined(publisher) == 1
        port = int(publisher.endpoint.rsplit(":", 1)[1])
        for index in range(20):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as peer:
                peer.sendall(os.urandom(200) if index % 2 else b"GET / HTTP/1.1\r\n\r\n")
        publisher.poll(0.2)
        publisher.send(b"still here")
        assert subscriber.receive(10.0) == b"still here"


def test_a_subscriber_can_ask_again() -> None:
    with pair("tcp://127.0.0.1:*") as (publisher, subscriber):
        assert joined(publisher) == 1
        subscriber.ask()
        assert joined(publisher) == 1
        assert publisher.subscribers.now == 1


def test_a_subscriber_drops_a_peer_that_sends_too_much() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    loud = context.socket(zmq.XPUB)
    loud.setsockopt(zmq.LINGER, 0)
    port = loud.bind_to_random_port("tcp://127.0.0.1")
    subscriber = Subscriber(f"tcp://127.0.0.1:{port}")
    assert loud.poll(10_000)
    assert loud.recv() == b"\x01"
    loud.send(b"x" * 1_000_000)
    # The connection is closed; the subscriber comes back with a new one and goes on.
    assert subscriber.receive(0.5) is None
    end = time.monotonic() + 10
    got = None
    while got is None and time.monotonic() < end:
        loud.send(b"small")
        got = subscriber.receive(0.2)
    assert got == b"small"
    subscriber.close()
    loud.close()
    context.term()


def test_a_slow_subscriber_holds_nobody_up_and_memory_is_bounded() -> None:
    with pair("tcp://127.0.0.1:*") as (publisher, subscriber):
        assert joined(publisher) == 1
        for _ in range(20_000):
            publisher.send(bytes(1000))
        received = 0
        while subscriber.receive(0.3) is not None:
            received += 1
        assert 0 < received < 20_000


def test_curve_keys_let_those_in_who_have_them(tmp_path: Path) -> None:
    zmq.auth.create_certificates(tmp_path, "encoder")
    zmq.auth.create_certificates(tmp_path, "decoder")
    with pair("tcp://127.0.0.1:*", str(tmp_path)) as (publisher, subscriber):
        stranger = Subscriber(publisher.endpoint)
        assert joined(publisher) == 1
        publisher.send(b"secret")
        assert subscriber.receive(10.0) == b"secret"
        assert stranger.receive(0.3) is None
        assert publisher.traffic.wire == wire_bytes(6, True)
        stranger.close()


def test_missing_keys_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="facewire keygen"):
        Publisher("tcp://127.0.0.1:*", str(tmp_path))
    with pytest.raises(ConfigError, match="facewire keygen"):
        Subscriber("tcp://127.0.0.1:5555", str(tmp_path))


def test_an_address_in_use_is_one_line() -> None:
    with pair("tcp://127.0.0.1:*") as (publisher, _), pytest.raises(ConfigError, match="cannot listen"):
        Publisher(publisher.endpoint)


@pytest.mark.parametrize(
    ("length", "curve", "expected"), [(20, False, 126), (20, True, 159), (0, False, 106), (300, False, 413)]
)
def test_wire_bytes_are_the_measured_ones(length: int, curve: bool, expected: int) -> None:
    assert wire_bytes(length, curve) == expected


def test_wire_bytes_of_a_long_message_count_each_packet() -> None:
    assert wire_bytes(4000) == 4009 + 3 * 52 + 2 * 52


@pytest.mark.parametrize(
    "endpoint",
    ["", "5555", "tcp://", "tcp://host", "tcp://host:70000", "udp://h:1", "tcp://::1:5555", "tcp://[zz]:1", "ipc://"],
)
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError):
        check_endpoint(endpoint, bind=True)
    with pytest.raises(ConfigError):
        check_endpoint("tcp://127.0.0.1:*", bind=False)


def test_loopback() -> None:
    local = ("tcp://127.0.0.1:5555", "tcp://[::1]:5555", "ipc:///run/x")
    outside = ("tcp://0.0.0.0:5555", "tcp://[2001:db8::1]:5555")
    assert [is_loopback(endpoint) for endpoint in local + outside] == [True] * 3 + [False] * 2
