"""The decoder's end of the link, and what both ends share: endpoints, counters, what a message costs.

ZeroMQ over TCP: the encoder binds a ROUTER (facewire.hub), each decoder connects a DEALER. Down come packets
(wire.packets), up come reports (wire.returns). Everything here is bounded: queues in messages (high-water marks),
kernel buffers in bytes, incoming messages in length. Nothing that a peer sends is trusted.

What a message costs on the wire (measured, IPv4, TCP without timestamps): 40 B of IP and TCP header for each packet,
2 B of ZMTP framing (9 B above 255 B), 33 B more with CURVE, and a 40 B acknowledgement coming back.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import zmq

from facewire import tcp
from facewire.acquaintance import first_names, own_device, routing_name
from facewire.bridge import Bridge
from facewire.curve import KeyPair, load_pair, load_servers
from facewire.errors import ConfigError

if TYPE_CHECKING:
    from facewire.config import DecoderConfig

IP_TCP_HEADER = tcp.IPV4_HEADERS
CURVE_OVERHEAD = 33
MAX_MESSAGE = 64 * 1024
"""Longest message a decoder accepts; libzmq drops the connection of a peer that sends more."""
GIVE_UP_SECONDS = 90
"""A connection on which nothing was acknowledged for so long is dead, and a new one is made. Longer than most outages:
a connection that lived through one goes on without a handshake, which costs 1.8 kB and three round trips."""
SILENCE_SECONDS = 5
"""After so much silence each side of the kernel asks whether the other is still there, every two seconds."""
_TCP_OPTIONS = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENCE_SECONDS),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, GIVE_UP_SECONDS // 2),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GIVE_UP_SECONDS * 1000),
    (socket.IPPROTO_TCP, tcp.THIN_LINEAR_TIMEOUTS, 1),
]
"""Of a decoder's connection; the encoder's are set by `open_socket`."""
_GIVEN_UP_SECONDS = 3.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Traffic:
    """What went through a socket: messages and their bytes, received ones and sent ones together, and all bytes on the
    wire, both ways, headers, handshakes and repetitions included."""

    messages: int = 0
    payload: int = 0
    wire: int = 0

    def plus(self, length: int, curve: bool) -> Traffic:
        """The counters after one more message of `length` bytes."""
        return Traffic(self.messages + 1, self.payload + length, self.wire + wire_bytes(length, curve))


def wire_bytes(length: int, curve: bool = False) -> int:
    """Bytes on an IPv4 wire, both ways, that a message of `length` bytes costs one receiver.

    An upper estimate: each message in packets of its own, one acknowledgement for every two packets of a message.
    """
    body = length + (CURVE_OVERHEAD if curve else 0)
    framed = body + (2 if body <= 255 else 9)
    packets = -(-framed // tcp.SEGMENT)
    return framed + IP_TCP_HEADER * (packets + -(-packets // 2))


def check_endpoint(endpoint: str, *, bind: bool) -> str:
    """The endpoint as libzmq wants it; ConfigError if it is none. tcp (IPv4, [IPv6], names), ipc and inproc."""
    scheme = "://".join(endpoint.split("://", 1)[:1])
    hint = "write tcp://HOST:PORT, tcp://[IPV6]:PORT or ipc:///PATH"
    if scheme in ("ipc", "inproc") and len(endpoint) > len(scheme) + 3:
        return endpoint
    match = re.fullmatch(r"tcp://(\[[0-9A-Fa-f:.%\w]+\]|[^:/\[\]]+):(\*|\d{1,5})", endpoint)
    if match is None:
        raise ConfigError(f"{endpoint!r} is no endpoint: {hint}")
    host, port = match.groups()
    if host.startswith("["):
        with contextlib.suppress(ValueError):
            ipaddress.IPv6Address(host[1:-1].split("%")[0])
            host = ""
        if host:
            raise ConfigError(f"{endpoint!r}: {host} is no IPv6 address: {hint}")
    in_range = bind if port == "*" else (0 if bind else 1) <= int(port) <= 65535
    if not in_range:
        raise ConfigError(f"{endpoint!r}: port {port} is out of range: {hint}")
    return endpoint


def is_loopback(endpoint: str) -> bool:
    """Whether an endpoint stays on this machine."""
    host = urlsplit(endpoint).hostname or ""
    return not endpoint.startswith("tcp") or host in ("localhost", "::1") or host.startswith("127.")


def open_socket(context: zmq.Context[zmq.Socket[bytes]], kind: int, endpoint: str) -> zmq.Socket[bytes]:
    """A socket with what both ends want: nothing lingers, IPv6 where the endpoint is not plain IPv4."""
    opened: zmq.Socket[bytes] = context.socket(kind)
    opened.setsockopt(zmq.LINGER, 0)
    # Off for plain IPv4, where it would only turn addresses into [::ffff:127.0.0.1].
    opened.setsockopt(zmq.IPV6, not re.match(r"tcp://[\d.*]+:", endpoint))
    opened.setsockopt(zmq.TCP_MAXRT, GIVE_UP_SECONDS * 1000)
    opened.setsockopt(zmq.TCP_KEEPALIVE, 1)
    opened.setsockopt(zmq.TCP_KEEPALIVE_IDLE, SILENCE_SECONDS)
    opened.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 2)
    opened.setsockopt(zmq.TCP_KEEPALIVE_CNT, GIVE_UP_SECONDS // 2)
    return opened


def open_link(config: DecoderConfig) -> Subscriber:
    """A decoder's link. Its handshake takes three round trips, so it is best begun before anything is loaded."""
    device = own_device(config.cache_directory())
    return Subscriber(config.connect, config.curve.directory(config.connect), device=device.id, is_new=device.is_new)


class Subscriber:
    """The decoder's end. Connects, and connects again after each failure, at most 1 s later, for ever.

    `queue` messages wait here when the caller is slow; then the kernel's buffers fill and the encoder notices. Read
    promptly. curve: directory of keys, "" for none. device: 4 bytes by which encoders know us again, b"" for none; a
    newer connection of the same device ends an older one. is_new: see acquaintance.Device.

    Raises ConfigError: no endpoint, keys missing.
    """

    def __init__(
        self,
        connect: str,
        curve: str = "",
        *,
        queue: int = 256,
        device: bytes = b"",
        is_new: bool = False,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        check_endpoint(connect, bind=False)
        self.device = device
        self._is_new = is_new
        """Whether this is a new device's first connection."""
        self._keys: KeyPair | None = load_pair(Path(curve) / "decoder.key_secret") if curve else None
        self._directory = Path(curve)
        self._servers = load_servers(self._directory) if curve else []
        self._context = context or zmq.Context()
        self._owns_context = context is None
        self._queue = queue
        self.endpoint = connect
        self.connected = False
        """Whether an encoder answers, as of the last `receive`."""
        self.connections = 0
        """Handshakes that succeeded."""
        self._messages = self._payload = 0
        self._estimate = 0
        self._wire = 0
        self._looked = 0.0
        self._lost_at: float | None = None
        self._refused = 0
        self._host, self._port = "", 0
        self._bridge: Bridge | None = None
        if connect.startswith("tcp"):
            host, _, port = connect.removeprefix("tcp://").rpartition(":")
            self._host, self._port = host.strip("[]"), int(port)
            self._bridge = Bridge(self._host, self._port, bool(curve), _TCP_OPTIONS)
        self._connect()

    def _connect(self) -> None:
        opened = open_socket(self._context, zmq.DEALER, self.endpoint)
        if self.device:
            first = self._keys if self._is_new else None
            name = routing_name(self.device) if first is None else secrets.choice(first_names(first.public))
            opened.setsockopt(zmq.ROUTING_ID, name)
        opened.setsockopt(zmq.RCVHWM, self._queue)
        opened.setsockopt(zmq.SNDHWM, 4)
        # What was written for a connection that is gone is of no use to the next one.
        opened.setsockopt(zmq.IMMEDIATE, 1)
        opened.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        opened.setsockopt(zmq.RECONNECT_IVL, 100 if self._bridge is None else 10)  # the bridge has pauses of its own
        if self._keys is not None:
            opened.setsockopt(zmq.CURVE_SERVERKEY, self._servers[self._refused % len(self._servers)])
            opened.setsockopt(zmq.CURVE_PUBLICKEY, self._keys.public)
            opened.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret)
        self._socket = opened
        self._monitor = opened.get_monitor_socket(
            zmq.EVENT_CONNECTED
            | zmq.EVENT_HANDSHAKE_SUCCEEDED
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
            | zmq.EVENT_DISCONNECTED
            | zmq.EVENT_CONNECT_RETRIED
        )
        self._poller = zmq.Poller()
        self._poller.register(opened, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        try:
            opened.connect(self.endpoint if self._bridge is None else self._bridge.endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(f"cannot connect to {self.endpoint}: {error}") from None

    @property
    def traffic(self) -> Traffic:
        """Messages and bytes so far."""
        wire = self._estimate if self._bridge is None else self._wire
        return Traffic(self._messages, self._payload, wire)

    def close(self) -> None:
        """Close at once."""
        self._drop()
        if self._bridge is not None:
            self._bridge.close()
        if self._owns_context:
            self._context.term()

    def _drop(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)
        self.connected = False

    def renew(self) -> None:
        """Give the connection up and make a new one: our address has changed, or the keys have."""
        self._drop()
        if self._keys is not None:
            with contextlib.suppress(ConfigError):  # while somebody is changing them, the old ones stay
                self._keys = load_pair(self._directory / "decoder.key_secret")
                self._servers = load_servers(self._directory)
        self._lost_at, self._is_new = None, False
        self._connect()

    def _watch(self) -> None:
        """Follow the connection, and revive it where libzmq does not.

        After a broken connection libzmq connects again by itself; after a peer that breaks the protocol (garbage, a
        message too long) or does not believe our key it never does.
        """
        from zmq.utils.monitor import recv_monitor_message  # brings asyncio, for which no connection should wait

        while self._monitor.poll(0):
            heard = recv_monitor_message(self._monitor, zmq.NOBLOCK)
            event = heard["event"]
            if event == zmq.EVENT_CONNECTED:
                self._lost_at = None
            elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.connected, self._lost_at = True, None
                self.connections += 1
            elif event == zmq.EVENT_CONNECT_RETRIED:
                self.connected, self._lost_at = False, None
            else:
                refused = not self.connected and self._bridge is not None and self._bridge.reached
                lost, self.connected = self.connected, False
                self._lost_at = self._lost_at or time.monotonic()
                if refused and len(self._servers) > 1:
                    # Who does not let us in may have its other key by now.
                    self._refused += 1
                    self.renew()
                    return
                if lost and self._is_new:
                    self.renew()  # by our own name: another new device may have the same key
                    return
        now = time.monotonic()
        if self._lost_at is not None and now - self._lost_at > _GIVEN_UP_SECONDS:
            self.renew()
        elif now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._look()

    def _look(self) -> None:
        if self._bridge is None:
            return
        self._wire = self._bridge.wire
        fd, port = self._bridge.fd, self._bridge.port
        state = None if fd is None else tcp.look(fd, port)
        if fd is None or state is None:
            return
        if state.probes:
            tcp.hold_on(fd, port)
        elif state.timeouts >= 2:
            tcp.limit_backoff(fd, port, max(1.0, 1.5 * state.rtt))
        if self._has_moved(fd):
            self.renew()

    def _has_moved(self, fd: int) -> bool:
        """Whether this machine would come from another address now: what is sent to the old one never arrives."""
        found = tcp.local_address(fd)
        way = tcp.way_to(self._host, self._port) if found is not None else None
        return way is not None and found is not None and way != found[0].removeprefix("::ffff:")

    def send(self, data: bytes) -> bool:
        """Send one message to the encoder; False: there is no connection, or no room. Never blocks."""
        try:
            self._socket.send(data, zmq.NOBLOCK)
        except zmq.Again:
            return False
        self._count(data)
        return True

    def receive(self, timeout: float = 0.0) -> bytes | None:
        """The next message, or None if none came within `timeout` seconds, or something happened to the connection.
        Parts of a message count as messages."""
        self._watch()
        ready = dict(self._poller.poll(max(0, round(timeout * 1000))))
        if self._monitor in ready:
            self._watch()
        if self._socket not in ready:
            return None
        try:
            data = self._socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return None
        self._count(data)
        return data

    def _count(self, data: bytes) -> None:
        self._messages += 1
        self._payload += len(data)
        if self._bridge is None:
            self._estimate += wire_bytes(len(data), self._keys is not None)
