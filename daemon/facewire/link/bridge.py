"""A shorter handshake: a thread between libzmq and the network that knows what the other end will say first.

    libzmq --unix socket--> Bridge --TCP--> the encoder's ROUTER

ZMTP begins with greetings (ZeroMQ RFC 23, "greeting"): libzmq sends ten bytes, waits for the other's ten, sends the
rest, waits for the rest, and only then begins CURVE. At 600 ms that is 1.2 s in which nobody says anything new, for a
greeting has no secrets and no choices: 64 bytes, always the same. So the bridge says the encoder's greeting itself,
sends ours and CURVE's first command with the first packet, and takes the true greeting out of what comes. Should it be
another one, it is remembered, and the connection is made again with that. All other bytes pass as they are; what is
secret is still so, as the keys are libzmq's.

It owns the TCP socket, so it may also ask for TCP Fast Open (RFC 7413), without cookies (section 4.1.3 is about those;
facewire.link.tcp says why none): where the encoder's kernel takes it, the first packet carries all that. An attacker
may repeat that packet: it is answered as any hello is.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import socket
import struct
import threading
import time

from facewire.link import tcp

GREETING = 64
CONNECT_SECONDS = 4.0
"""Without a limit the kernel retries with growing pauses, up to two minutes after an outage."""
ANSWER_SECONDS = 10.0
"""For so long the encoder's first byte is waited for, where the first packet carried our own: at 2.4 kbit/s it takes
3 s when nothing else is on the way."""
REPEAT_SECONDS = 3.0
"""The packet is repeated meanwhile, with growing pauses up to this one. The kernel takes it for how long the next one's
answer takes at most, so it must not be shorter than that is on any link."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 1.0
"""Seconds between two attempts to connect; doubles while the encoder cannot be reached."""
PATIENT_PAUSE, PATIENT_AFTER = 5.0, 60
"""... and is this long after so many attempts: each costs 0.4 kB of a link that may be paid by the byte."""
OPENING_SECONDS = 0.5
"""For so long libzmq's greeting and first command are waited for before anything is sent."""
BUFFER = 16 * 1024
"""Bytes that wait in each direction."""
_QUICK_OPTIONS = [
    (socket.IPPROTO_TCP, tcp.FASTOPEN_NO_COOKIE, 1),
    (socket.IPPROTO_TCP, tcp.FASTOPEN_CONNECT, 1),
    (socket.IPPROTO_TCP, tcp.RTO_MAX_MS, round(REPEAT_SECONDS * 1000)),
    tcp.ACKNOWLEDGE_WITH_ANSWERS,
]


def greeting(curve: bool) -> bytes:
    """What libzmq 4.3 says first: signature, version 3.1, mechanism, role (always 0), filler."""
    mechanism = (b"CURVE" if curve else b"NULL").ljust(20, b"\0")
    return b"\xff" + bytes(7) + b"\x01\x7f\x03\x01" + mechanism + bytes(32)


class Bridge:
    """Listens at `endpoint` for this process alone, connects to host and port for each connection there.

    options: (level, name, value) for the TCP socket. fd, port: the present TCP socket and its local port, None and 0
    without one; libzmq's own events say whether it talks.
    """

    def __init__(self, host: str, port: int, curve: bool, options: list[tuple[int, int, int]]) -> None:
        self.fd: int | None = None
        self.port = 0
        self.reached = False
        """Whether somebody was there at the last attempt, even if he ended the connection at once."""
        self._host, self._remote_port, self._options = host, port, options
        self._expected = greeting(curve)
        self._closed_wire = 0
        self._room = memoryview(bytearray(BUFFER))
        self._attempts = self._failures = 0
        self._listener = socket.socket(socket.AF_UNIX)
        name = f"facewire-{secrets.token_hex(16)}"
        self._listener.bind(f"\0{name}")
        self._listener.listen(4)
        self.endpoint = f"ipc://@{name}"
        self._woken, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="facewire-bridge", daemon=True)
        self._thread.start()

    @property
    def wire(self) -> int:
        """All bytes on the wire so far, both ways, as the kernel counted them."""
        fd, closed = self.fd, self._closed_wire
        state = tcp.look(fd, self.port) if fd is not None else None
        return closed + (0 if state is None else state.sent + state.received)

    def close(self) -> None:
        """Close at once."""
        self._wake.close()
        self._thread.join(2.0)
        self._listener.close()
        self._woken.close()

    def _run(self) -> None:
        while self._listens(self._listener):
            local, _ = self._listener.accept()
            with local, contextlib.suppress(OSError):  # a connection may be over at any time, whoever ended it
                if _is_own(local):
                    self._serve(local)

    def _listens(self, *others: socket.socket, seconds: float | None = None) -> bool:
        """Wait until one of the others can be read (or some seconds); False: we are closing."""
        readable, _, _ = select.select([self._woken, *others], [], [], seconds)
        return self._woken not in readable

    def _serve(self, local: socket.socket) -> None:
        local.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        local.setblocking(False)
        local.send(self._expected)
        opening = self._opening(local)
        if opening is None:
            return
        if self._failures and not self._listens(seconds=_pause(self._failures)):
            return
        self._failures += 1
        self.reached = False
        remote = self._dial(_QUICK_OPTIONS if opening else [])
        if remote is None:
            return
        self.port, self.fd = remote.getsockname()[1], remote.fileno()
        try:
            self._pump(local, remote, opening)
        except (ConnectionResetError, BrokenPipeError):
            self.reached = True
        finally:
            wire, self.fd = self.wire, None
            self._closed_wire = wire
            remote.close()

    def _opening(self, local: socket.socket) -> bytearray | None:
        """What libzmq says first, so that it goes with the first packet as a whole; None: it is gone, or we are."""
        said, until = bytearray(), time.monotonic() + OPENING_SECONDS
        while not _is_opening(said) and (left := until - time.monotonic()) > 0:
            readable, _, _ = select.select([self._woken, local], [], [], left)
            if self._woken in readable:
                return None
            if local in readable:
                came = self._take(local)
                if not came:
                    return None
                said += came
        return said

    def _dial(self, more: list[tuple[int, int, int]]) -> socket.socket | None:
        remote: socket.socket | None = None
        try:
            found = socket.getaddrinfo(self._host, self._remote_port, type=socket.SOCK_STREAM)
            family, kind, protocol, _, address = found[self._attempts % len(found)]
            self._attempts += 1
            remote = socket.socket(family, kind, protocol)
            remote.setblocking(False)
            remote.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for option in [*self._options, *more]:
                with contextlib.suppress(OSError):
                    remote.setsockopt(*option)
            remote.connect_ex(address)
            _, writable, _ = select.select([self._woken], [remote], [], CONNECT_SECONDS)
            if writable and not remote.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                return remote
        except OSError:
            pass  # no such name, no way there: as if nobody answered
        if remote is not None:
            remote.close()
        return None

    def _take(self, end: socket.socket) -> bytes:
        """What has come, b"" at the end. Not by `recv`: that asks for a block of BUFFER each time and gives most of it
        back, and the small ones that stay between such blocks made the heap grow by 1.3 MB an hour."""
        return bytes(self._room[: end.recv_into(self._room)])

    def _pump(self, local: socket.socket, remote: socket.socket, opening: bytearray) -> None:
        """Both ways, until one side ends. Raises OSError where it broke."""
        up, down, first = opening, bytearray(), bytearray()
        until = time.monotonic() + ANSWER_SECONDS
        while True:
            reading = [self._woken]
            reading += [local] if len(up) < BUFFER else []
            reading += [remote] if len(down) < BUFFER else []
            writing = ([remote] if up else []) + ([local] if down else [])
            left = None if self.reached else max(0.0, until - time.monotonic())
            readable, writable, _ = select.select(reading, writing, [], left)
            if self._woken in readable or not (readable or writable):
                return
            if local in readable:
                came = self._take(local)
                if not came:
                    return
                up += came
            if remote in readable:
                came = self._take(remote)
                self.reached = True
                if not came:
                    return
                self._failures = 0
                if not first:
                    tcp.limit_backoff(remote.fileno(), self.port, tcp.LONGEST_BACKOFF)
                    # The first answer made the kernel forget it, and CURVE's next command is about to be answered.
                    with contextlib.suppress(OSError):
                        remote.setsockopt(*tcp.ACKNOWLEDGE_WITH_ANSWERS)
                if len(first) < GREETING:
                    missing = GREETING - len(first)
                    first += came[:missing]
                    came = came[missing:]
                    if len(first) == GREETING and first != self._expected:
                        self._expected = bytes(first)
                        return
                down += came
            if up and remote in writable:
                del up[: remote.send(up)]
            if down and local in writable:
                del down[: local.send(down)]


def _pause(failures: int) -> float:
    """Seconds until the next attempt."""
    return PATIENT_PAUSE if failures > PATIENT_AFTER else min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 8))


def _is_opening(said: bytearray) -> bool:
    """Whether it is a greeting and a whole command (flags, length, body: ZeroMQ RFC 23)."""
    return len(said) >= GREETING + 2 and len(said) >= GREETING + 2 + said[GREETING + 1]


def _is_own(local: socket.socket) -> bool:
    """Whether this process is at the other end: others on the machine may know the name."""
    pid, _, _ = struct.unpack("iII", local.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(pid == os.getpid())
