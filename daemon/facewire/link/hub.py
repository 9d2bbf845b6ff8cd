"""The encoder's end of the link: a ROUTER socket that any number of decoders connect to (see facewire.link.subscriber).

Each connection is watched through its kernel's counters (facewire.link.tcp): what it has cost, what nobody has
acknowledged yet, how long the way is. So the encoder knows what is on the way to each decoder without asking it.

Limits, for the port may be open to everybody: connections that have not proved who they are, connections from one
address, receivers, length and rate of messages. Who breaks one is disconnected, and nobody else notices.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import zmq
from zmq.utils.monitor import recv_monitor_message

from facewire.errors import ConfigError
from facewire.link import tcp
from facewire.link.acquaintance import first_names
from facewire.link.cost import Traffic
from facewire.link.endpoint import check_endpoint
from facewire.link.flow import is_quiet
from facewire.link.gate import Gate
from facewire.link.sockets import open_socket
from facewire.link.wires import HANDSHAKE_SECONDS, Totals, Wire, Wires

log = logging.getLogger(__name__)

MAX_REPORT = 512
"""Longest message that a decoder may send; CURVE's handshake needs over 300 B."""
MAX_RECEIVERS = 16
MEET_SECONDS = 3.0
"""For so long a connection is looked at whether it is that of a known device; then it has to say so."""
LET_IN_MS = 5
"""What libzmq takes at most to finish the handshake of somebody who was let in; what he is told then need not wait for
the next look."""
WRITE_SECONDS = 0.002
"""What libzmq's thread takes at most to write what it was handed."""
SAMPLE_SECONDS = 0.1
REPORT_RATE, REPORT_BURST = 1.0, 12
"""Messages a second that one decoder may send, and how many at once; what is more is not read, and far more ends it."""
FLOOD = 200
_DRAIN = 256


@dataclass
class Peer:
    """A decoder that has said something. name: its key's name (its address where there are no keys); key: its public
    key, "" where there are no keys. guessed: it has said nothing yet, and may have another connection."""

    identity: bytes
    fd: int
    name: str
    key: str = ""
    allowance: float = REPORT_BURST
    asked: float = 0.0
    excess: int = 0
    guessed: bool = False


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
        self._gate = Gate(Path(curve)) if curve else None
        self._context = context or zmq.Context()
        self._owns_context = context is None
        self._socket = open_socket(self._context, zmq.ROUTER, bind)
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
        try:
            if self._gate is not None:
                self._gate.guard(socket, self._context)
            socket.bind(bind)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(f"cannot listen on {bind}: {error}; choose another address or stop who uses it") from None
        self.endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT) if bind.startswith("tcp") else bind
        self.peers: OrderedDict[bytes, Peer] = OrderedDict()
        self._counters = HubCounters()
        self.traffic = Traffic()
        """Messages sent, their bytes, and an estimate of what they cost."""
        self._port = int(self.endpoint.rsplit(":", 1)[1]) if bind.startswith("tcp") else 0
        self._wires = Wires(self._port, rate, self._leave)
        self._sampled = 0.0
        self._shaken = float("-inf")
        self._early: list[Arrival] = []
        self._gathered: list[int] = []
        """Connections that hold back what is written, see `release`."""
        self._moved: list[bytes] = []

    @property
    def encrypted(self) -> bool:
        return self._gate is not None

    @property
    def totals(self) -> Totals:
        """What all connections have cost, as of the last sample."""
        return self._wires.totals

    @property
    def strangers(self) -> int:
        """Connections that have said nothing yet."""
        return len(self._wires.strangers)

    @property
    def counters(self) -> HubCounters:
        """What happened since the start."""
        own, wires = self._counters, self._wires
        denied = 0 if self._gate is None else self._gate.denied
        return replace(own, refused=own.refused + wires.refused, denied=denied, connections=wires.accepted)

    def close(self) -> None:
        """Close at once; what was not sent yet is lost."""
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)
        if self._gate is not None:
            self._gate.close()
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
        return [wire.fd for wire in reversed(self._wires.strangers)]

    def meet(self, fd: int, identity: bytes, data: bytes) -> Peer | None:
        """Speak first to `identity`, which is likely behind connection `fd`: None if nobody of this name is there. Its
        key, and which connection it really has, is known once it speaks."""
        wire = self._wires.get(fd)
        if wire is None or identity in self.peers or len(self.peers) >= MAX_RECEIVERS:
            return None
        who = "a new device" if identity in self.newcomers() else "a device met before"
        peer = self.peers[identity] = Peer(identity, fd, who, guessed=True)
        if not self.send(identity, data):
            self.peers.pop(identity, None)
            return None
        wire.known = True
        return peer

    def newcomers(self) -> tuple[bytes, ...]:
        """The names of which he whose key was let in last has one if he is new (acquaintance.first_names); none without
        keys."""
        key = "" if self._gate is None else self._gate.admitted
        return first_names(key.encode()) if key else ()

    def moved(self) -> list[bytes]:
        """Who seems to have come by another way since the last call: the old one had fallen silent."""
        moved, self._moved = self._moved, []
        return moved

    def cut(self, peer: Peer) -> None:
        """End a decoder's connection."""
        self.peers.pop(peer.identity, None)
        self._wires.cut(peer.fd)

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Let decoders in from another thread while this one loads networks: a handshake takes three round trips, and
        need not wait for that. What they say meanwhile comes with the next `poll`."""
        done = threading.Event()

        def answer() -> None:
            while not done.wait(0.02):
                self._early = self.poll()
                self.release()

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
        self.release()
        self._follow_connections(now)
        if self._gate is not None and self._gate.is_asked:
            self._gather()
            if self._gate.answer() and self._monitor.poll(LET_IN_MS):
                self._follow_connections(now)
        early, self._early = self._early, []
        arrivals = [arrival for arrival in early if arrival.peer.identity in self.peers] + self._receive(now)
        if now - self._sampled >= SAMPLE_SECONDS:
            self._sampled = now
            self._wires.sample(now)
        if self._gate is not None and self._gate.is_due(now):
            self._look_at_keys(self._gate)
        return arrivals

    def release(self) -> None:
        """What was told to somebody whose handshake has just ended goes out, in one packet with that."""
        if self._gathered:
            time.sleep(WRITE_SECONDS)
        for fd in self._gathered:
            tcp.gather(fd, self._port, on=False)
        self._gathered = []

    def _gather(self) -> None:
        """A handshake is about to end, of one of those who have not said who they are."""
        self._gathered = [wire.fd for wire in self._wires.strangers]
        for fd in self._gathered:
            tcp.gather(fd, self._port, on=True)

    def _follow_connections(self, now: float) -> None:
        while self._monitor.poll(0):
            heard = recv_monitor_message(self._monitor, zmq.NOBLOCK)
            fd = int(heard["value"])
            if heard["event"] == zmq.EVENT_ACCEPTED:
                self._wires.accept(fd, now)
            elif heard["event"] == zmq.EVENT_LISTENING:
                self._wires.listens(fd)
            elif heard["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._shaken = now
                self._follow(self._wires.strangers)
            elif heard["event"] == zmq.EVENT_DISCONNECTED or heard["event"] == zmq.EVENT_CLOSED:
                self._wires.end(fd)
        self._wires.guard(now)

    def _follow(self, strangers: list[Wire]) -> None:
        """Somebody's handshake is done. If his key is that of a receiver that fell silent, this is most likely he: what
        the kernel would repeat on the old way only takes room on the link. Who was new then comes by his own name now,
        and is met like anybody."""
        key = "" if self._gate is None else self._gate.admitted
        known = [peer for peer in self.peers.values() if peer.key and peer.key == key]
        if not strangers or len(known) != 1:
            return
        peer, state = known[0], self.state(known[0])
        if state is None or is_quiet(state):
            self._wires.cut(peer.fd)
            if peer.identity in self.newcomers():
                del self.peers[peer.identity]
                return
            peer.fd, peer.guessed, strangers[-1].known = strangers[-1].fd, True, True
            self._moved.append(peer.identity)

    def _leave(self, fd: int) -> None:
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
                self._counters.ignored += 1
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
            self._counters.ignored += 1
            return None
        if peer is not None and peer.fd == fd and not peer.guessed:
            return peer
        address = str(frames[1].get("Peer-Address"))
        key = str(frames[1].get("User-Id")) if self._gate is not None else ""
        name = address if self._gate is None else self._gate.name(key)
        if peer is not None and peer.fd != fd and not peer.guessed:
            self._wires.cut(peer.fd)  # it came back by another way; libzmq leaves the old one open
        elif peer is not None and peer.fd != fd and (wrong := self._wires.get(peer.fd)) is not None:
            wrong.known = False  # it was taken for this one
        peer = Peer(identity, fd, name, key)
        if identity not in self.peers and len(self.peers) >= MAX_RECEIVERS:
            self._counters.refused += 1
            self._wires.cut(fd)
            return None
        self._wires.know(fd, address, time.monotonic())
        self.peers[identity] = peer
        return peer

    def _may_speak(self, peer: Peer, now: float) -> bool:
        peer.allowance = min(REPORT_BURST, peer.allowance + (now - peer.asked) * REPORT_RATE)
        peer.asked = now
        if peer.allowance >= 1.0:
            peer.allowance -= 1.0
            peer.excess = 0
            return True
        self._counters.ignored += 1
        peer.excess += 1
        if peer.excess > FLOOD:
            self._counters.refused += 1
            self.cut(peer)
        return False

    def state(self, peer: Peer) -> tcp.Connection | None:
        """The peer's connection at this moment; None where the kernel tells nothing (ipc)."""
        return self._wires.state(peer.fd)

    def _look_at_keys(self, gate: Gate) -> None:
        """Keys may change while we run."""
        for key in gate.thrown_out([peer.key for peer in self.peers.values()]):
            for peer in [peer for peer in self.peers.values() if peer.key == key]:
                self.cut(peer)
        if not gate.has_new_keys():
            return
        gate.arm(self._socket)
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
