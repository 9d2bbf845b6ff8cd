"""Both ends of the link over real sockets on this machine: who is let in, what is counted, what is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
import zmq.auth

from facewire.errors import ConfigError
from facewire.link import hub as hub_module
from facewire.link import tcp
from facewire.link.acquaintance import routing_name
from facewire.link.door import ROOM
from facewire.link.hub import FLOOD, MAX_RECEIVERS, MAX_REPORT, Hub, Peer
from facewire.link.subscriber import Subscriber
from facewire.link.wires import MAX_STRANGERS_EACH

PATIENCE = 15.0


@contextlib.contextmanager
def pair(bind: str = "tcp://127.0.0.1:*", curve: str = "") -> Iterator[tuple[Hub, Subscriber]]:
    hub = Hub(bind, curve)
    subscriber = Subscriber(hub.endpoint, curve)
    try:
        yield hub, subscriber
    finally:
        subscriber.close()
        hub.close()


def until(condition: Callable[[], object]) -> bool:
    """Whether the condition comes true in time. Polling is the caller's: put it into the condition."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False


def introduce(hub: Hub, subscriber: Subscriber, words: bytes = b"hello") -> bytes:
    """The subscriber says something; returns the identity by which the hub knows it."""
    known = set(hub.peers)
    said = False

    def met() -> bool:
        nonlocal said
        subscriber.receive(0.0)
        said = said or subscriber.send(words)
        return any(arrival.data == words for arrival in hub.poll())

    assert until(met)
    (identity,) = set(hub.peers) - known
    return identity


def arrives(hub: Hub, identity: bytes, subscriber: Subscriber, data: bytes) -> bool:
    assert hub.send(identity, data)
    return until(lambda: hub.poll() or subscriber.receive(0.01) == data)


def test_a_message_goes_each_way_and_the_kernel_counts_it() -> None:
    with pair() as (hub, subscriber):
        identity = introduce(hub, subscriber, b"y" * 10)
        assert arrives(hub, identity, subscriber, b"x" * 20)
        assert hub.traffic.messages == 1
        assert (subscriber.traffic.messages, subscriber.traffic.payload) == (2, 30)
        # A handshake takes about 700 B both ways, the two messages and their acknowledgements another 230.
        assert until(lambda: not hub.poll() and 800 < hub.totals.sent + hub.totals.received < 2000)
        assert hub.totals.sent > 300
        assert hub.totals.received > 400
        (peer,) = hub.peers.values()
        assert until(lambda: (state := hub.state(peer)) is not None and state.outstanding == 0)
        assert hub.totals.strangers == 0


def test_fast_open_is_offered_by_our_listener_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        tcp.offer_fast_open(listener.fileno(), port + 1)
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN) == 0
        tcp.offer_fast_open(listener.fileno(), port)
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN) > 0


def test_ipv6_and_ipc(tmp_path: Path) -> None:
    endpoints = [f"ipc://{tmp_path}/socket"]
    if Path("/proc/net/if_inet6").exists() and Path("/proc/net/if_inet6").read_text():
        endpoints.append("tcp://[::1]:*")
    for endpoint in endpoints:
        with pair(endpoint) as (hub, subscriber):
            assert arrives(hub, introduce(hub, subscriber), subscriber, b"hello")


def test_who_leaves_is_gone_and_the_others_stay() -> None:
    with pair() as (hub, subscriber):
        identity = introduce(hub, subscriber)
        second = Subscriber(hub.endpoint)
        other = introduce(hub, second, b"other")
        second.close()
        assert until(lambda: not hub.poll() and list(hub.peers) == [identity])
        assert not hub.send(other, b"x")
        assert arrives(hub, identity, subscriber, b"x")


def test_a_subscriber_finds_the_encoder_again_after_a_restart() -> None:
    first = Hub("tcp://127.0.0.1:*")
    endpoint = first.endpoint
    subscriber = Subscriber(endpoint)
    introduce(first, subscriber)
    first.close()
    assert until(lambda: not subscriber.receive(0.01) and not subscriber.connected)
    second = Hub(endpoint)
    assert until(lambda: not second.poll() and not subscriber.receive(0.01) and subscriber.connections == 2)
    assert arrives(second, introduce(second, subscriber, b"again"), subscriber, b"back")
    subscriber.close()
    second.close()


def test_a_connection_that_is_renewed_goes_on() -> None:
    with pair() as (hub, subscriber):
        introduce(hub, subscriber)
        before = subscriber.traffic.wire
        subscriber.renew()
        assert arrives(hub, introduce(hub, subscriber, b"again"), subscriber, b"x")
        assert subscriber.connections == 2
        assert until(lambda: not subscriber.receive(0.0) and subscriber.traffic.wire > before)


def test_a_flood_ends_the_connection_it_comes_from() -> None:
    with pair() as (hub, subscriber):
        identity = introduce(hub, subscriber)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        loud = context.socket(zmq.DEALER)
        loud.setsockopt(zmq.LINGER, 0)
        loud.connect(hub.endpoint)
        rng = random.Random(7)
        heard = 0

        def shouted() -> bool:
            nonlocal heard
            with contextlib.suppress(zmq.Again):
                for _ in range(50):
                    loud.send(rng.randbytes(rng.randrange(0, 200)), zmq.NOBLOCK)
            heard += len(hub.poll())
            return hub.counters.refused > 0

        assert until(shouted)
        assert heard < 60
        assert hub.counters.ignored > FLOOD
        loud.close()
        context.term()
        assert arrives(hub, identity, subscriber, b"still here")


def test_messages_that_are_too_long_end_the_connection() -> None:
    with pair() as (hub, subscriber):
        identity = introduce(hub, subscriber)
        second = Subscriber(hub.endpoint)
        introduce(hub, second, b"other")
        second.send(bytes(MAX_REPORT + 1))
        assert until(lambda: not hub.poll() and not second.receive(0.0) and list(hub.peers) == [identity])
        second.close()


def test_receivers_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MAX_RECEIVERS", 2)
    assert MAX_RECEIVERS > 2
    with pair() as (hub, subscriber):
        introduce(hub, subscriber)
        second, third = Subscriber(hub.endpoint), Subscriber(hub.endpoint)
        introduce(hub, second, b"second")
        third_said = False

        def knocks() -> bool:
            nonlocal third_said
            third.receive(0.0)
            third_said = third_said or third.send(b"third")
            return hub.poll() == [] and hub.counters.refused > 0

        assert until(knocks)
        assert len(hub.peers) == 2
        second.close()
        third.close()


def test_strangers_are_limited_and_the_good_one_does_not_notice() -> None:
    with pair() as (hub, subscriber):
        identity = introduce(hub, subscriber)
        port = int(hub.endpoint.rsplit(":", 1)[1])
        held = []
        for index in range(3 * MAX_STRANGERS_EACH):
            peer = socket.create_connection(("127.0.0.1", port), 2)
            if index % 3:
                peer.sendall(os.urandom(200) if index % 2 else b"GET / HTTP/1.1\r\n\r\n")
            held.append(peer)
            hub.poll()
        assert until(lambda: not hub.poll() and hub.counters.connections == 1 + len(held))
        assert arrives(hub, identity, subscriber, b"still here")
        assert 0 < hub.strangers <= MAX_STRANGERS_EACH
        assert until(lambda: not hub.poll() and hub.totals.strangers > 0)
        for peer in held:
            peer.close()
        assert until(lambda: not hub.poll() and hub.strangers == 0 and list(hub.peers) == [identity])


def test_a_crowd_of_strangers_is_kept_outside() -> None:
    hub = Hub("tcp://127.0.0.1:*", rate=1000.0)
    subscriber = Subscriber(hub.endpoint)
    identity = introduce(hub, subscriber)
    crowd = [socket.socket() for _ in range(10 * ROOM)]
    for one in crowd:
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", int(hub.endpoint.rsplit(":", 1)[1])))
        hub.poll()
        time.sleep(0.005)
    assert ROOM <= hub.counters.connections - 1 < len(crowd) / 2
    assert arrives(hub, identity, subscriber, b"still here")
    for one in crowd:
        one.close()
    subscriber.close()
    hub.close()


def test_a_subscriber_drops_a_peer_that_sends_too_much() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    loud = context.socket(zmq.ROUTER)
    loud.setsockopt(zmq.LINGER, 0)
    port = loud.bind_to_random_port("tcp://127.0.0.1")
    subscriber = Subscriber(f"tcp://127.0.0.1:{port}")
    assert until(lambda: not subscriber.receive(0.01) and subscriber.send(b"hello"))
    identity, _ = loud.recv_multipart()
    loud.send_multipart([identity, b"x" * 1_000_000])
    # The connection is closed; the subscriber comes back with a new one and goes on.
    assert until(lambda: not subscriber.receive(0.01) and subscriber.connections == 2)
    assert until(lambda: subscriber.send(b"again"))
    identity, _ = loud.recv_multipart()
    loud.send_multipart([identity, b"small"])
    assert until(lambda: subscriber.receive(0.01) == b"small")
    subscriber.close()
    loud.close()
    context.term()


def test_one_that_does_not_read_is_not_waited_for() -> None:
    with pair() as (hub, subscriber):
        identity = introduce(hub, subscriber)
        sent = sum(hub.send(identity, bytes(1000)) for _ in range(20_000))
        assert sent < 20_000
        received = 0
        while subscriber.receive(0.3) is not None:
            received += 1
        assert received == sent


def test_curve_keys_let_those_in_who_have_them(tmp_path: Path) -> None:
    make_keys(tmp_path, "encoder", "decoder")
    with pair(curve=str(tmp_path)) as (hub, subscriber):
        stranger = Subscriber(hub.endpoint)
        identity = introduce(hub, subscriber)
        assert hub.peers[identity].name == "decoder"
        assert arrives(hub, identity, subscriber, b"secret")
        assert stranger.receive(0.3) is None
        assert not stranger.connected
        stranger.close()


def make_keys(directory: Path, *names: str) -> None:
    for name in names:
        zmq.auth.create_certificates(directory, name)
        (directory / f"{name}.key_secret").chmod(0o600)


def test_a_key_that_is_not_on_the_list_is_no_key(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for directory in (ours, theirs):
        directory.mkdir()
    make_keys(ours, "encoder", "decoder")
    make_keys(theirs, "decoder")
    (theirs / "encoder.key").write_bytes((ours / "encoder.key").read_bytes())
    with pair(curve=str(ours)) as (hub, subscriber):
        stranger = Subscriber(hub.endpoint, str(theirs))
        assert until(lambda: not hub.poll() and not stranger.receive(0.0) and hub.counters.denied > 0)
        assert not stranger.connected
        introduce(hub, subscriber)
        # Its key is put on the list, with nothing started again; the other one's is taken away.
        (ours / "decoder-new.key").write_bytes((theirs / "decoder.key").read_bytes())
        identity = introduce(hub, stranger, b"me")
        assert hub.peers[identity].name == "decoder-new"
        (ours / "decoder.key").unlink()
        assert until(lambda: not hub.poll() and list(hub.peers) == [identity])
        assert arrives(hub, identity, stranger, b"x")
        stranger.close()


def test_the_encoders_key_changes_without_a_pause(tmp_path: Path) -> None:
    make_keys(tmp_path, "encoder", "decoder")
    with pair(curve=str(tmp_path)) as (hub, subscriber):
        identity = introduce(hub, subscriber)
        make_keys(tmp_path, "encoder.next")
        (tmp_path / "encoder.next.key_secret").replace(tmp_path / "encoder.key_secret")
        time.sleep(1.1)
        assert arrives(hub, identity, subscriber, b"the old connection goes on")
        subscriber.renew()
        assert arrives(hub, introduce(hub, subscriber, b"again"), subscriber, b"the new one has the new key")


def test_a_known_device_is_spoken_to_before_it_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[int] = []
    monkeypatch.setattr(tcp, "cut", lambda fd, port: cut.append(fd))  # the old one would only come back
    make_keys(tmp_path, "encoder", "decoder")
    with contextlib.closing(Hub("tcp://127.0.0.1:*", str(tmp_path))) as hub:
        first = Subscriber(hub.endpoint, str(tmp_path), device=b"devA")

        def meets(subscriber: Subscriber) -> bool:
            hub.poll()
            for fd in hub.silent():
                assert hub.meet(fd, routing_name(b"devX"), b"not for you") is None
                hub.meet(fd, routing_name(b"devA"), b"welcome back")
            return subscriber.receive(0.0) == b"welcome back"

        assert until(lambda: meets(first))
        peer = hub.peers[routing_name(b"devA")]
        assert hub.silent() == []
        assert peer.key == ""
        identity = introduce_known(hub, first)
        assert hub.peers[identity].name == "decoder"  # its key has said so
        # It comes back by another way while the old one seems to be there: the new one is believed.
        third = Subscriber(hub.endpoint, str(tmp_path), device=b"devA")
        assert introduce_known(hub, third) == identity
        assert hub.peers[identity].fd != peer.fd
        assert cut == [peer.fd]  # libzmq leaves the old one open
        assert arrives(hub, identity, third, b"x")
        first.close()
        third.close()


def test_what_is_said_first_goes_with_the_handshakes_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[tuple[int, bool]] = []
    gather = tcp.gather

    def watched(fd: int, port: int, on: bool) -> None:
        held.append((fd, on))
        gather(fd, port, on)

    monkeypatch.setattr(tcp, "gather", watched)
    make_keys(tmp_path, "encoder", "decoder")
    with contextlib.ExitStack() as stack:
        hub = stack.enter_context(contextlib.closing(Hub("tcp://127.0.0.1:*", str(tmp_path))))
        known = stack.enter_context(
            contextlib.closing(Subscriber(hub.endpoint, str(tmp_path), device=b"devA"))
        )
        met: list[int] = []

        def meets() -> bool:
            hub.poll()
            for fd in hub.silent():
                if hub.meet(fd, routing_name(b"devA"), b"welcome back"):
                    assert (fd, True) in held
                    assert (fd, False) not in held
                    met.append(fd)
            hub.release()
            return known.receive(0.0) == b"welcome back"

        assert until(meets)
        assert held == [(met[0], True), (met[0], False)]
        assert arrives(hub, routing_name(b"devA"), known, b"and then at once")
        assert len(held) == 2


def test_new_devices_are_spoken_to_and_give_way_to_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facewire.link.subscriber.secrets.choice", lambda names: names[7])  # both take the same
    make_keys(tmp_path, "encoder", "decoder")
    with contextlib.closing(Hub("tcp://127.0.0.1:*", str(tmp_path))) as hub:
        assert hub.newcomers() == ()
        first = Subscriber(hub.endpoint, str(tmp_path), device=b"devA", is_new=True)

        def welcomes(subscriber: Subscriber) -> bool:
            hub.poll()
            for fd, name in itertools.product(hub.silent(), hub.newcomers()):
                hub.meet(fd, name, b"welcome")
            return subscriber.receive(0.0) == b"welcome"

        assert until(lambda: welcomes(first))
        shared = introduce_known(hub, first)
        assert shared == hub.newcomers()[7]
        second = Subscriber(hub.endpoint, str(tmp_path), device=b"devB", is_new=True)
        assert introduce_known(hub, second) == shared
        # The first one is cut off, and is there again by its own name.
        assert until(lambda: bool(hub.poll() is None or first.receive(0.0) or first.connections == 2))
        assert introduce_known(hub, first) == routing_name(b"devA")
        assert arrives(hub, shared, second, b"to the second")
        assert arrives(hub, routing_name(b"devA"), first, b"to the first")
        first.close()
        second.close()


@pytest.mark.parametrize("was_new", [False, True])
def test_a_receiver_that_fell_silent_is_followed_to_its_new_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was_new: bool
) -> None:
    """Its key is let in once more; what the kernel would repeat on the old way is in the way."""
    make_keys(tmp_path, "encoder", "decoder")
    with contextlib.closing(Hub("tcp://127.0.0.1:*", str(tmp_path))) as hub:
        first = Subscriber(hub.endpoint, str(tmp_path), device=b"devA", is_new=was_new)
        identity = introduce_known(hub, first)
        old = hub.peers[identity].fd
        really = hub.state

        def state(peer: Peer) -> tcp.Connection | None:
            found = really(peer)
            if found is None or peer.fd != old:
                return found
            return dataclasses.replace(found, outstanding=500, rtt=0.1, silence=3.0)

        monkeypatch.setattr(hub, "state", state)
        hub.poll()
        assert hub.moved() == []
        # The old one would come again by itself, and take its name back.
        monkeypatch.setattr(tcp, "cut", lambda fd, _port: cut.append(fd))
        cut: list[int] = []
        second = Subscriber(hub.endpoint, str(tmp_path), device=b"devA")
        moved: list[bytes] = []

        def follows() -> bool:
            hub.poll()
            second.receive(0.0)
            moved.extend(hub.moved())
            return bool(cut)

        assert until(follows)
        assert cut == [old]
        if was_new:  # it has another name now, by which it is met like anybody
            assert (moved, identity in hub.peers) == ([], False)
            identity = routing_name(b"devA")
            assert hub.meet(hub.silent()[0], identity, b"welcome back") is not None
        else:
            assert moved == [identity]
        assert hub.peers[identity].guessed
        assert hub.peers[identity].fd != old
        assert hub.silent() == []
        assert arrives(hub, identity, second, b"it has not said a word")
        assert introduce_known(hub, second) == identity
        assert not hub.peers[identity].guessed
        first.close()
        second.close()


def introduce_known(hub: Hub, subscriber: Subscriber) -> bytes:
    """As `introduce`, of a device that has a name already."""
    out: list[bytes] = []
    said = False

    def met() -> bool:
        nonlocal said
        subscriber.receive(0.0)
        said = said or subscriber.send(b"it is me")
        out.extend(arrival.peer.identity for arrival in hub.poll() if arrival.data == b"it is me")
        return bool(out)

    assert until(met)
    return out[-1]


def test_missing_keys_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="facewire keygen"):
        Hub("tcp://127.0.0.1:*", str(tmp_path))
    with pytest.raises(ConfigError, match="facewire keygen"):
        Subscriber("tcp://127.0.0.1:5555", str(tmp_path))


def test_secret_keys_that_others_may_read_are_refused(tmp_path: Path) -> None:
    make_keys(tmp_path, "encoder", "decoder")
    for mode in (0o644, 0o660):
        (tmp_path / "encoder.key_secret").chmod(mode)
        with pytest.raises(ConfigError, match="chmod 600"):
            Hub("tcp://127.0.0.1:*", str(tmp_path))
    (tmp_path / "encoder.key_secret").chmod(0o640)
    Hub("tcp://127.0.0.1:*", str(tmp_path)).close()


def test_an_address_in_use_is_one_line() -> None:
    with pair() as (hub, _), pytest.raises(ConfigError, match="cannot listen"):
        Hub(hub.endpoint)


def test_decoders_are_let_in_while_the_encoder_is_still_loading() -> None:
    with pair() as (hub, subscriber):
        said = False
        with hub.answering():
            end = time.monotonic() + PATIENCE
            while not said and time.monotonic() < end:
                subscriber.receive(0.01)
                said = subscriber.send(b"early")
            time.sleep(0.3)
        assert said
        assert [arrival.data for arrival in hub.poll()] == [b"early"]
