"""One-way ZeroMQ between the daemons: the encoder binds an XPUB socket, any number of decoders subscribe.

Everything here is bounded: queues in messages (high-water marks), kernel buffers in bytes, incoming messages in
length. Nothing that a peer sends is trusted: what is no subscription is counted and dropped.

What a message costs on the wire (measured, IPv4, TCP with timestamps): 52 B of IP and TCP header for each packet,
2 B of ZMTP framing (9 B above 255 B), 33 B more with CURVE, and a 52 B acknowledgement coming back.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import zmq
from zmq.utils.monitor import recv_monitor_message

from facewire.errors import ConfigError

IP_TCP_HEADER = 52
"""Bytes of IPv4 (20) and TCP (20 + 12 of timestamps) in front of each segment."""
SEGMENT = 1448
"""Payload bytes of a full TCP segment on a 1500-byte link."""
CURVE_OVERHEAD = 33
MAX_MESSAGE = 64 * 1024
"""Longest message a subscriber accepts; libzmq drops the connection of a peer that sends more."""
MAX_SUBSCRIPTION = 1024
"""Longest message a publisher accepts from a subscriber; CURVE's handshake needs over 300 B."""
HEARTBEAT_SECONDS = 15
"""A PING and its PONG cost about 240 B: 0.13 kbit/s at this interval."""
_DRAIN = 4096
_GIVEN_UP_SECONDS = 3.0


@dataclass(frozen=True)
class Traffic:
    """What went through a socket: messages, their bytes, and an estimate of all bytes on the wire (both ways)."""

    messages: int = 0
    payload: int = 0
    wire: int = 0

    def plus(self, length: int, curve: bool) -> Traffic:
        """The counters after one more message of `length` bytes."""
        return Traffic(self.messages + 1, self.payload + length, self.wire + wire_bytes(length, curve))


@dataclass(frozen=True)
class Subscribers:
    """What a publisher saw of its peers: subscriptions now, subscriptions ever, messages that were neither."""

    now: int = 0
    ever: int = 0
    garbage: int = 0


def wire_bytes(length: int, curve: bool = False) -> int:
    """Bytes on an IPv4 wire, both ways, that a message of `length` bytes costs one receiver.

    An upper estimate: each message in packets of its own, one acknowledgement for every two packets of a message.
    """
    body = length + (CURVE_OVERHEAD if curve else 0)
    framed = body + (2 if body <= 255 else 9)
    packets = -(-framed // SEGMENT)
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


def _load_keys(directory: Path, name: str) -> tuple[bytes, bytes | None]:
    from zmq.auth import load_certificate

    path = directory / name
    try:
        return load_certificate(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: no CURVE key ({error}); make a pair with: facewire keygen {directory}") from None


class _Socket:
    """What both ends share: context, options, clean closing."""

    def __init__(
        self, kind: int, endpoint: str, curve: str, context: zmq.Context[zmq.Socket[bytes]] | None
    ) -> None:
        self._context = context or zmq.Context()
        self._owns_context = context is None
        self._socket: zmq.Socket[bytes] = self._context.socket(kind)
        self._socket.setsockopt(zmq.LINGER, 0)
        # Off for plain IPv4, where it would only turn addresses into [::ffff:127.0.0.1].
        self._socket.setsockopt(zmq.IPV6, not re.match(r"tcp://[\d.*]+:", endpoint))
        self._curve = bool(curve)
        self.traffic = Traffic()

    def close(self) -> None:
        """Close at once; what was not sent yet is lost."""
        self._socket.close(0)
        if self._owns_context:
            self._context.term()


class Publisher(_Socket):
    """The encoder's end.

    `send_buffer` is the kernel's buffer in bytes and `queue` the messages that libzmq holds for each subscriber:
    both are seconds of stale motion on a slow link, so the caller sizes them by its rate. A subscriber that cannot
    keep up loses messages, and nobody waits for it.

    Raises ConfigError: no endpoint, address in use or not ours, keys missing.
    """

    def __init__(
        self,
        bind: str,
        curve: str = "",
        *,
        queue: int = 16,
        send_buffer: int = 0,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        check_endpoint(bind, bind=True)
        keys = _load_keys(Path(curve), "encoder.key_secret") if curve else None
        super().__init__(zmq.XPUB, bind, curve, context)
        socket = self._socket
        # Each new subscription is told to us, also the second one of the same topic: it wants the pivot.
        socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        socket.setsockopt(zmq.SNDHWM, queue)
        socket.setsockopt(zmq.RCVHWM, 64)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION)
        # A connection whose data nobody acknowledges for this long is dead; the peer comes back with a new one.
        socket.setsockopt(zmq.TCP_MAXRT, 20_000)
        if send_buffer:
            socket.setsockopt(zmq.SNDBUF, send_buffer)
        if keys is not None:
            socket.setsockopt(zmq.CURVE_SERVER, 1)
            socket.setsockopt(zmq.CURVE_PUBLICKEY, keys[0])
            socket.setsockopt(zmq.CURVE_SECRETKEY, keys[1] or b"")
        try:
            socket.bind(bind)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(f"cannot listen on {bind}: {error}; choose another address or stop who uses it") from None
        self.endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT) if bind.startswith("tcp") else bind
        self.subscribers = Subscribers()

    def send(self, data: bytes) -> None:
        """Hand one message to every subscriber; never blocks. The counters count what one subscriber costs."""
        try:
            self._socket.send(data, zmq.NOBLOCK)
        except zmq.Again:
            return
        if self.subscribers.now:
            self.traffic = self.traffic.plus(len(data), self._curve)

    def poll(self, timeout: float = 0.0) -> int:
        """Wait up to `timeout` seconds for peers; returns how many new subscriptions came (they want the pivot)."""
        if not self._socket.poll(max(0, round(timeout * 1000))):
            return 0
        new = 0
        for _ in range(_DRAIN):
            try:
                message = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            seen = self.subscribers
            if message == b"\x01":
                new += 1
                self.subscribers = replace(seen, now=seen.now + 1, ever=seen.ever + 1)
            elif message == b"\x00":
                self.subscribers = replace(seen, now=max(0, seen.now - 1))
            else:
                self.subscribers = replace(seen, garbage=seen.garbage + 1)
        return new


class Subscriber(_Socket):
    """The decoder's end. Connects, and connects again after each failure, at most 2 s later, for ever.

    `queue` messages wait here when the caller is slow; then the encoder's end drops what is new. Read promptly.

    Raises ConfigError: no endpoint, keys missing.
    """

    def __init__(
        self,
        connect: str,
        curve: str = "",
        *,
        queue: int = 256,
        heartbeat: float = HEARTBEAT_SECONDS,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        check_endpoint(connect, bind=False)
        keys = _load_keys(Path(curve), "decoder.key_secret") if curve else None
        server = _load_keys(Path(curve), "encoder.key")[0] if curve else b""
        super().__init__(zmq.SUB, connect, curve, context)
        socket = self._socket
        socket.setsockopt(zmq.RCVHWM, queue)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        socket.setsockopt(zmq.RECONNECT_IVL, 250)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
        # Without a limit the kernel retries with growing pauses, up to two minutes after an outage.
        socket.setsockopt(zmq.CONNECT_TIMEOUT, 6000)
        # One side's heartbeats are enough: the PING's time-to-live makes the publisher drop us as well.
        beat = round(heartbeat * 1000)
        socket.setsockopt(zmq.HEARTBEAT_IVL, beat)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, beat)
        socket.setsockopt(zmq.HEARTBEAT_TTL, 2 * beat)
        if keys is not None:
            socket.setsockopt(zmq.CURVE_SERVERKEY, server)
            socket.setsockopt(zmq.CURVE_PUBLICKEY, keys[0])
            socket.setsockopt(zmq.CURVE_SECRETKEY, keys[1] or b"")
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        try:
            socket.connect(connect)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(f"cannot connect to {connect}: {error}") from None
        self.endpoint = connect
        self.connected = False
        """Whether a publisher answers, as of the last `receive`."""
        self._lost_at: float | None = None
        self._monitor = socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECT_RETRIED
        )

    def _watch(self) -> None:
        """Follow the connection, and revive it where libzmq does not.

        After a broken connection libzmq connects again by itself; after a peer that breaks the protocol (garbage, a
        message too long) it never does.
        """
        while self._monitor.poll(0):
            event = recv_monitor_message(self._monitor, zmq.NOBLOCK)["event"]
            self.connected = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
            self._lost_at = time.monotonic() if event == zmq.EVENT_DISCONNECTED else None
        if self._lost_at is not None and time.monotonic() - self._lost_at > _GIVEN_UP_SECONDS:
            self._lost_at = time.monotonic()
            with contextlib.suppress(zmq.ZMQError):
                self._socket.disconnect(self.endpoint)
            self._socket.connect(self.endpoint)

    def close(self) -> None:
        """Close at once."""
        if hasattr(self, "_monitor"):
            self._socket.disable_monitor()
            self._monitor.close(0)
        super().close()

    def ask(self) -> None:
        """Ask the encoder to announce itself again, with its pivot: subscribe anew. For one whose pivot got lost."""
        self._socket.setsockopt(zmq.UNSUBSCRIBE, b"")
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")

    def receive(self, timeout: float = 0.0) -> bytes | None:
        """The next message, or None if none came within `timeout` seconds. Parts of a message count as messages."""
        self._watch()
        if not self._socket.poll(max(0, round(timeout * 1000))):
            return None
        try:
            data = self._socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return None
        self.traffic = self.traffic.plus(len(data), self._curve)
        return data


def is_loopback(endpoint: str) -> bool:
    """Whether an endpoint stays on this machine."""
    host = urlsplit(endpoint).hostname or ""
    return not endpoint.startswith("tcp") or host in ("localhost", "::1") or host.startswith("127.")
