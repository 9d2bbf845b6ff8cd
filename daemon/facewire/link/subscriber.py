"""The decoder's end of the link: a DEALER that connects, and connects again.

ZeroMQ over TCP: the encoder binds a ROUTER (facewire.link.hub), each decoder connects a DEALER. Down come packets
(wire.packets), up come reports (wire.returns). Everything here is bounded: queues in messages (high-water marks),
kernel buffers in bytes, incoming messages in length. Nothing that a peer sends is trusted.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from pathlib import Path

import zmq

from facewire.errors import ConfigError
from facewire.link import tcp
from facewire.link.acquaintance import first_names, routing_name
from facewire.link.bridge import Bridge
from facewire.link.cost import Traffic, wire_bytes
from facewire.link.curve import KeyPair, load_pair, load_servers
from facewire.link.endpoint import check_endpoint
from facewire.link.sockets import GIVE_UP_SECONDS, SILENCE_SECONDS, open_socket

MAX_MESSAGE = 64 * 1024
"""Longest message a decoder accepts; libzmq drops the connection of a peer that sends more."""
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
