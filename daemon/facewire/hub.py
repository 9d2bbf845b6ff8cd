"""The encoder's end of the link: a ROUTER socket that any number of decoders connect to (see facewire.transport).

Each connection is watched through its kernel's counters (facewire.tcp): what it has cost, what nobody has acknowledged
yet, how long the way is. So the encoder knows what is on the way to each decoder without asking it.

Limits, for the port may be open to everybody: connections that have not proved who they are, connections from one
address, receivers, length and rate of messages. Who breaks one is disconnected, and nobody else notices.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from zmq.utils.monitor import recv_monitor_message

from facewire import tcp
from facewire.curve import ZAP_DOMAIN, ZAP_ENDPOINT, AllowList, load_pair, zap_answer
from facewire.errors import ConfigError
from facewire.transport import Traffic, check_endpoint, open_socket

log = logging.getLogger(__name__)

MAX_REPORT = 512
"""Longest message that a decoder may send; CURVE's handshake needs over 300 B."""
MAX_RECEIVERS = 16
MAX_STRANGERS = 64
"""Connections that have said nothing yet."""
MAX_STRANGERS_EACH = 24
"""... of one address: many receivers may come through one gateway, and come back together."""
HANDSHAKE_SECONDS = 30
"""How long a handshake may take: three round trips and 1.8 kB, on the slowest link 10 s when nothing is lost."""
MEET_SECONDS = 3.0
"""For so long a connection is looked at whether it is that of a known device; then it has to say so."""
SAMPLE_SECONDS = 0.25
REPORT_RATE, REPORT_BURST = 1.0, 12
"""Messages a second that one decoder may send, and how many at once; what is more is not read, and far more ends it."""
FLOOD = 200
_DRAIN = 256
_KEYS_SECONDS = 1.0


@dataclass
class Peer:
    """A decoder that has said something. name: its key's name (its address where there are no keys); key: its public
    key, "" where there are no keys. guessed: it has said nothing yet, and may have another connection."""

    identity: bytes
    fd: int
    name: str
    key: str = ""
    state: tcp.Connection | None = None
    allowance: float = REPORT_BURST
    asked: float = 0.0
    excess: int = 0
    guessed: bool = False


@dataclass
class _Wire:
    """One TCP connection: what it has cost so far."""

    fd: int
    address: str
    since: float
    sent: int = 0
    received: int = 0
    known: bool = False


@dataclass(frozen=True)
class Totals:
    """All bytes on the wire since the start: to receivers, from them, and both ways with those who never became one."""

    sent: int = 0
    received: int = 0
    strangers: int = 0


@dataclass
class HubCounters:
    """refused: connections ended because of a limit; denied: keys that are not on the list; ignored: messages above the
    rate; connections: all that came."""

    refused: int = 0
    denied: int = 0
    ignored: int = 0
    connections: int = 0


@dataclass
class Arrival:
    """A message from a decoder."""

    peer: Peer
    data: bytes = field(repr=False)


class Hub:
    """curve: directory of keys, "" for none. send_buffer: the kernel's buffer for each connection, bytes. queue:
    messages that libzmq holds for each receiver; both are stale motion on a slow link. rate: the ceiling, bytes a
    second (0: none); what an outage makes the kernel repeat stays below it.

    Raises ConfigError: no endpoint, address in use or not ours, keys missing.
    """

    def __init__(
        self,
        bind: str,
        curve: str = "",
        *,
        queue: int = 4,
        send_buffer: int = 0,
        rate: float = 0.0,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        check_endpoint(bind, bind=True)
        self._keys = Path(curve) / "encoder.key_secret" if curve else None
        pair = load_pair(self._keys) if self._keys is not None else None
        self._allow = AllowList(Path(curve)) if curve else None
        # A context of its own: a ZAP handler serves a whole context.
        self._context = context or zmq.Context()
        self._owns_context = context is None
        self._rate = rate
        self._socket = open_socket(self._context, zmq.ROUTER, bind)
        self._zap: zmq.Socket[bytes] | None = None
        socket = self._socket
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        # A device that comes back by another way takes its name with it; names are secrets (acquaintance).
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        socket.setsockopt(zmq.SNDHWM, queue)
        socket.setsockopt(zmq.RCVHWM, 16)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_REPORT)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_SECONDS * 1000)
        if send_buffer:
            socket.setsockopt(zmq.SNDBUF, send_buffer)
        self._monitor = socket.get_monitor_socket(
            zmq.EVENT_LISTENING | zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED
            | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        )  # fmt: skip
        self._stamp = self._secret_stamp()
        self._looked_at_keys = time.monotonic()
        try:
            if pair is not None:
                self._zap = self._context.socket(zmq.REP)
                self._zap.setsockopt(zmq.LINGER, 0)
                self._zap.bind(ZAP_ENDPOINT)
                socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
                socket.setsockopt(zmq.CURVE_SERVER, 1)
                socket.setsockopt(zmq.CURVE_PUBLICKEY, pair.public)
                socket.setsockopt(zmq.CURVE_SECRETKEY, pair.secret)
            socket.bind(bind)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(f"cannot listen on {bind}: {error}; choose another address or stop who uses it") from None
        self.endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT) if bind.startswith("tcp") else bind
        self.peers: OrderedDict[bytes, Peer] = OrderedDict()
        self.counters = HubCounters()
        self.traffic = Traffic()
        """Messages sent, their bytes, and an estimate of what they cost."""
        self._port = int(self.endpoint.rsplit(":", 1)[1]) if bind.startswith("tcp") else 0
        self._wires: dict[int, _Wire] = {}
        self._totals = Totals()
        self._sampled = 0.0
        self._shaken = float("-inf")
        self._early: list[Arrival] = []
        self._quick = True

    @property
    def encrypted(self) -> bool:
        return self._keys is not None

    @property
    def totals(self) -> Totals:
        """What all connections have cost, as of the last sample."""
        known = [wire for wire in self._wires.values() if wire.known]
        others = [wire for wire in self._wires.values() if not wire.known]
        return Totals(
            self._totals.sent + sum(wire.sent for wire in known),
            self._totals.received + sum(wire.received for wire in known),
            self._totals.strangers + sum(wire.sent + wire.received for wire in others),
        )

    def close(self) -> None:
        """Close at once; what was not sent yet is lost."""
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)
        if self._zap is not None:
            self._zap.close(0)
        if self._owns_context:
            self._context.term()

    def send(self, identity: bytes, data: bytes) -> bool:
        """Hand one message to one decoder; False: it is gone, or has no room. Never blocks."""
        try:
            self._socket.send_multipart([identity, data], zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self.peers.pop(identity, None)
            return False
        self.traffic = self.traffic.plus(len(data), self.encrypted)
        return True

    def silent(self) -> list[int]:
        """Connections that have not said who they are, the latest first; none unless a handshake has just succeeded
        (libzmq does not say whose)."""
        if time.monotonic() - self._shaken > MEET_SECONDS:
            return []
        return [wire.fd for wire in reversed(self._wires.values()) if not wire.known]

    def meet(self, fd: int, identity: bytes, data: bytes) -> Peer | None:
        """Speak first to `identity`, which is likely behind connection `fd`: None if nobody of this name is there. Its
        key, and which connection it really has, is known once it speaks."""
        wire = self._wires.get(fd)
        if wire is None or identity in self.peers or len(self.peers) >= MAX_RECEIVERS:
            return None
        peer = self.peers[identity] = Peer(identity, fd, "a device met before", guessed=True)
        if not self.send(identity, data):
            self.peers.pop(identity, None)
            return None
        wire.known = True
        return peer

    def cut(self, peer: Peer) -> None:
        """End a decoder's connection."""
        self.peers.pop(peer.identity, None)
        tcp.cut(peer.fd, self._port)

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Let decoders in from another thread while this one loads networks: a handshake takes three round trips, and
        need not wait for that. What they say meanwhile comes with the next `poll`."""
        done = threading.Event()

        def answer() -> None:
            while not done.wait(0.02):
                self._early = self.poll()

        thread = threading.Thread(target=answer, name="facewire-hub", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def poll(self) -> list[Arrival]:
        """What came since the last call; lets decoders in and out. Never blocks. Call it often: handshakes wait."""
        now = time.monotonic()
        self._answer_zap()
        self._follow_connections(now)
        early, self._early = self._early, []
        arrivals = [arrival for arrival in early if arrival.peer.identity in self.peers] + self._receive(now)
        if now - self._sampled >= SAMPLE_SECONDS:
            self._sampled = now
            self._sample()
        if now - self._looked_at_keys >= _KEYS_SECONDS:
            self._looked_at_keys = now
            self._look_at_keys()
        return arrivals

    def _answer_zap(self) -> None:
        while self._zap is not None and self._allow is not None and self._zap.poll(0):
            request = self._zap.recv_multipart()
            self._allow.refresh()
            answer = zap_answer(request, self._allow.keys)
            if answer is None:
                answer = [b"1.0", request[1] if len(request) > 1 else b"", b"500", b"bad request", b"", b""]
            self.counters.denied += answer[2] != b"200"
            self._zap.send_multipart(answer)

    def _follow_connections(self, now: float) -> None:
        while self._monitor.poll(0):
            heard = recv_monitor_message(self._monitor, zmq.NOBLOCK)
            fd = int(heard["value"])
            if heard["event"] == zmq.EVENT_ACCEPTED:
                self._accept(fd, now)
            elif heard["event"] == zmq.EVENT_LISTENING:
                tcp.offer_fast_open(fd, self._port)
            elif heard["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._shaken = now
            elif heard["event"] == zmq.EVENT_DISCONNECTED or heard["event"] == zmq.EVENT_CLOSED:
                self._forget(fd)
        for wire in [wire for wire in self._wires.values() if not wire.known]:
            if now - wire.since > HANDSHAKE_SECONDS + 5:
                self._refuse(wire)

    def _accept(self, fd: int, now: float) -> None:
        self._forget(fd)  # its number was used before
        self.counters.connections += 1
        wire = self._wires[fd] = _Wire(fd, tcp.remote_address(fd), now)
        tcp.prepare(fd, self._port)
        strangers = Counter(other.address for other in self._wires.values() if not other.known)
        if sum(strangers.values()) > MAX_STRANGERS or strangers[wire.address] > MAX_STRANGERS_EACH:
            # The oldest goes: a good decoder is done within seconds.
            alike = [other for other in self._wires.values() if not other.known]
            if strangers[wire.address] > MAX_STRANGERS_EACH:
                alike = [other for other in alike if other.address == wire.address]
            self._refuse(min(alike, key=lambda other: other.since))

    def _refuse(self, wire: _Wire) -> None:
        self.counters.refused += 1
        state = tcp.look(wire.fd, self._port)
        if state is not None:
            wire.sent, wire.received = state.sent, state.received
        tcp.cut(wire.fd, self._port)
        self._forget(wire.fd)

    def _forget(self, fd: int) -> None:
        wire = self._wires.pop(fd, None)
        if wire is None:
            return
        totals = self._totals
        if wire.known:
            self._totals = Totals(totals.sent + wire.sent, totals.received + wire.received, totals.strangers)
        else:
            self._totals = Totals(totals.sent, totals.received, totals.strangers + wire.sent + wire.received)
        for identity in [peer.identity for peer in self.peers.values() if peer.fd == fd]:
            del self.peers[identity]

    def _receive(self, now: float) -> list[Arrival]:
        arrivals: list[Arrival] = []
        for _ in range(_DRAIN):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            if len(frames) != 2:
                self.counters.ignored += 1
                continue
            peer = self._peer(frames)
            if peer is not None and self._may_speak(peer, now):
                arrivals.append(Arrival(peer, bytes(frames[1].buffer)))
        return arrivals

    def _peer(self, frames: list[zmq.Frame]) -> Peer | None:
        identity = bytes(frames[0].buffer)
        peer = self.peers.get(identity)
        try:
            fd = int(frames[1].get(zmq.SRCFD))
        except zmq.ZMQError:  # its connection has ended already
            self.counters.ignored += 1
            return None
        if peer is not None and peer.fd == fd and not peer.guessed:
            return peer
        address = str(frames[1].get("Peer-Address"))
        key = str(frames[1].get("User-Id")) if self._allow is not None else ""
        name = address if self._allow is None else self._allow.keys.get(key.encode(), "?")
        if peer is not None and peer.fd != fd and not peer.guessed:
            tcp.cut(peer.fd, self._port)  # it came back by another way; libzmq leaves the old one open
        elif peer is not None and peer.fd != fd and (wrong := self._wires.get(peer.fd)) is not None:
            wrong.known = False  # it was taken for this one
        peer = Peer(identity, fd, name, key)
        if identity not in self.peers and len(self.peers) >= MAX_RECEIVERS:
            self.counters.refused += 1
            tcp.cut(fd, self._port)
            return None
        wire = self._wires.setdefault(fd, _Wire(fd, address, time.monotonic()))
        wire.known = True
        self.peers[identity] = peer
        return peer

    def _may_speak(self, peer: Peer, now: float) -> bool:
        peer.allowance = min(REPORT_BURST, peer.allowance + (now - peer.asked) * REPORT_RATE)
        peer.asked = now
        if peer.allowance >= 1.0:
            peer.allowance -= 1.0
            peer.excess = 0
            return True
        self.counters.ignored += 1
        peer.excess += 1
        if peer.excess > FLOOD:
            self.counters.refused += 1
            self.cut(peer)
        return False

    def _sample(self) -> None:
        for wire in self._wires.values():
            state = tcp.look(wire.fd, self._port)
            if state is None:
                continue
            wire.sent, wire.received = state.sent, state.received
            if state.timeouts >= 2:
                pause = (state.outstanding + tcp.IPV6_HEADERS) / (0.8 * self._rate) if self._rate else 0.0
                if not tcp.limit_backoff(wire.fd, self._port, max(1.0, 1.5 * state.rtt, pause)) and self._quick:
                    self._quick = False
                    log.info("this kernel may sleep through the link's return (Linux 6.15 and later do not)")
            for peer in self.peers.values():
                if peer.fd == wire.fd:
                    peer.state = state

    def state(self, peer: Peer) -> tcp.Connection | None:
        """The peer's connection at this moment; None where the kernel tells nothing (ipc)."""
        return tcp.look(peer.fd, self._port) if self._port else None

    def _secret_stamp(self) -> object:
        try:
            return None if self._keys is None else self._keys.stat().st_mtime_ns
        except OSError:
            return None

    def _look_at_keys(self) -> None:
        """Keys may change while we run: who lost his is thrown out; our own new one is for connections from now on."""
        if self._allow is None or self._keys is None:
            return
        if self._allow.refresh():
            for peer in [peer for peer in self.peers.values() if peer.key.encode() not in self._allow.keys]:
                self.cut(peer)
        stamp = self._secret_stamp()
        if stamp is None or stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            pair = load_pair(self._keys)
        except ConfigError:
            return  # being written; the old one stays
        self._socket.setsockopt(zmq.CURVE_PUBLICKEY, pair.public)
        self._socket.setsockopt(zmq.CURVE_SECRETKEY, pair.secret)
        self._socket.unbind(self.endpoint)
        self._bind_again()

    def _bind_again(self) -> None:
        """The listener takes a moment to let its port go."""
        for _ in range(50):
            try:
                self._socket.bind(self.endpoint)
                return
            except zmq.ZMQError:
                time.sleep(0.02)
        raise ConfigError(f"cannot listen on {self.endpoint} with the new key; start the encoder again")

