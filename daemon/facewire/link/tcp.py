"""What the kernel knows of a TCP connection: bytes, segments, round trip, what nobody has acknowledged yet (tcp(7)).

libzmq owns the sockets; here they are only looked at, and told a few things that libzmq has no option for. A file
descriptor may have been closed and given to something else meanwhile, so it is believed only while it is a TCP socket
of the expected local port.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

IPV4_HEADERS, IPV6_HEADERS = 40, 60
"""Bytes of IP and TCP in front of each segment (RFC 791, RFC 8200, RFC 9293)."""
TIMESTAMPS = 12
"""What RFC 7323's timestamps add to each where both systems want them. They tell apart segments that are gigabytes
away from each other, so systemd/facewire.sysctl switches them off."""
SEGMENT = 1460
"""Payload bytes of a full TCP segment on a 1500-byte link."""
_SIOCOUTQ = 0x5411
RTO_MAX_MS, RTO_MIN_US = 44, 45
"""TCP_RTO_MAX_MS, TCP_RTO_MIN_US, Linux 6.15 and later."""
LEAST_SPARE_US = 100_000
"""What the kernel waits at least beyond the usual round trip before it repeats; by itself twice that, and nothing then
shows sooner that a repetition was lost: bundles are half a second apart."""
FASTOPEN_CONNECT, FASTOPEN_NO_COOKIE = 30, 34
"""TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE, Linux 4.11 and 4.15 and later."""
ACKNOWLEDGE_WITH_ANSWERS = (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
"""Each command of a handshake is answered at once: an acknowledgement before that is one more packet of 40 bytes."""
LONGEST_BACKOFF = 120.0
"""Seconds; where nobody has set another limit (RFC 6298 lets it be 60 or more)."""
MAX_FAST_OPEN = 8
"""First packets whose sender has not yet shown that he is where he says; more are answered as TCP always does."""
THIN_LINEAR_TIMEOUTS = 16
"""TCP_THIN_LINEAR_TIMEOUTS, Linux 2.6.34 and later."""
_INFO_LENGTH = 208
_STAMPED = 1
"""TCPI_OPT_TIMESTAMPS, of tcpi_options."""


@dataclass(frozen=True)
class Connection:
    """A connection at one moment. sent, received: all bytes on the wire, headers, handshakes, acknowledgements and
    repetitions included; outstanding: bytes handed over that nobody has acknowledged; rtt: seconds, smoothed, queues
    included; shortest_rtt: seconds, the least of the last minutes (tcp_min_rtt_wlen), so without queues; timeouts:
    retransmission timeouts in a row; silence: seconds since anything was heard."""

    sent: int
    received: int
    outstanding: int
    rtt: float
    shortest_rtt: float
    timeouts: int
    silence: float
    repeated: int
    probes: int = 0
    """Attempts in a row that came to nothing at this end: no way there, its interface is down; or the other end has no
    room."""
    arrived: float = 0.0
    """Part of what is outstanding that has arrived, behind something that got lost (RFC 2018)."""
    unsent: int = 0
    """Part of what is outstanding that the kernel has not sent yet, bytes."""
    segments: int = 0
    """Those that what is outstanding was sent in."""

    @property
    def segment(self) -> float:
        """Bytes of a segment that nobody has acknowledged, headers left out: their mean."""
        return (self.outstanding - self.unsent) / max(1, self.segments)

    @property
    def on_the_way(self) -> float:
        """Bytes handed over that have not arrived, as far as is known (RFC 6675's pipe)."""
        return self.outstanding * (1.0 - self.arrived)


@contextlib.contextmanager
def borrowed(fd: int, port: int) -> Iterator[socket.socket | None]:
    """The socket behind a descriptor, None if it is not ours any more. It is not closed afterwards."""
    try:
        borrowed = socket.socket(fileno=fd)
    except OSError:
        yield None
        return
    try:
        family = borrowed.family in (socket.AF_INET, socket.AF_INET6)
        own = family and borrowed.type == socket.SOCK_STREAM and borrowed.getsockname()[1] == port
        yield borrowed if own else None
    except OSError:
        yield None
    finally:
        borrowed.detach()


def look(fd: int, port: int) -> Connection | None:
    """The connection's state; None where it is none of ours (closed, or not TCP). port: its local port."""
    with borrowed(fd, port) as own:
        if own is None:
            return None
        try:
            info = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            queue = fcntl.ioctl(own.fileno(), _SIOCOUTQ, bytes(4))
            mapped = own.family == socket.AF_INET or own.getpeername()[0].startswith("::ffff:")
        except OSError:
            return None
        if len(info) < _INFO_LENGTH:
            return None
        # struct tcp_info, linux/tcp.h
        unacknowledged, arrived = struct.unpack_from("=II", info, 24)
        (silence_ms,) = struct.unpack_from("=I", info, 56)
        (rtt_us,) = struct.unpack_from("=I", info, 68)
        unsent, shortest_us = struct.unpack_from("=II", info, 144)
        (repeated,) = struct.unpack_from("=I", info, 100)
        (received,) = struct.unpack_from("=Q", info, 128)
        segments_out, segments_in = struct.unpack_from("=II", info, 136)
        (sent,) = struct.unpack_from("=Q", info, 200)
        stamped = TIMESTAMPS if info[5] & _STAMPED else 0
        header = (IPV4_HEADERS if mapped else IPV6_HEADERS) + stamped
        return Connection(
            sent=sent + segments_out * header,
            received=received + segments_in * header,
            outstanding=int(struct.unpack("=i", queue)[0]),
            rtt=rtt_us / 1e6,
            shortest_rtt=min(rtt_us, shortest_us) / 1e6,
            timeouts=info[2],
            probes=info[3],
            silence=silence_ms / 1e3,
            repeated=repeated,
            arrived=min(1.0, arrived / max(1, unacknowledged)),
            unsent=unsent,
            segments=unacknowledged,
        )


def limit_backoff(fd: int, port: int, seconds: float) -> bool:
    """Repeat what is lost at least every so many seconds, however often it got lost before: without this a connection
    that saw an outage of 30 s sleeps on for as long again (RFC 6298, 5.5). False where the kernel cannot."""
    with borrowed(fd, port) as own:
        if own is None:
            return False
        try:
            own.setsockopt(socket.IPPROTO_TCP, RTO_MAX_MS, round(1000 * min(LONGEST_BACKOFF, max(1.0, seconds))))
        except OSError:
            return False
        return True


def hold_on(fd: int, port: int) -> None:
    """For a connection on which nothing can be sent (Connection.probes): try now, and see to it that it lives.

    Each of the kernel's own attempts counts, and after tcp_retries2 of them (15) it gives up, whatever TCP_USER_TIMEOUT
    says; with the pauses that `limit_backoff` allows that is 18 s. So they get longer, and attempts come from here,
    uncounted."""
    with borrowed(fd, port) as own:
        if own is not None:
            with contextlib.suppress(OSError):
                own.setsockopt(socket.IPPROTO_TCP, RTO_MAX_MS, round(1000 * LONGEST_BACKOFF))
            with contextlib.suppress(OSError):
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # pushes what waits


def prepare(fd: int, port: int) -> None:
    """For a connection that carries little, of which the sender has its own idea (flow): losses in a row do not double
    its timeout at once, which is little more than a round trip where these are alike. And congestion control is BBR
    where this process may use it (else the system's): what Reno and CUBIC make of a loss in twenty is a window of one
    packet, in which bundles wait for each other."""
    with borrowed(fd, port) as own:
        if own is not None:
            with contextlib.suppress(OSError):
                own.setsockopt(socket.IPPROTO_TCP, THIN_LINEAR_TIMEOUTS, 1)
                own.setsockopt(*ACKNOWLEDGE_WITH_ANSWERS)
            with contextlib.suppress(OSError):
                own.setsockopt(socket.IPPROTO_TCP, RTO_MIN_US, LEAST_SPARE_US)
            with contextlib.suppress(OSError):
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")


def gather(fd: int, port: int, on: bool) -> None:
    """What is written from now on waits for more, for as long as the kernel lets it (0.2 s); off: it goes. Each packet
    that is saved is 40 bytes."""
    with borrowed(fd, port) as own:
        if own is not None:
            with contextlib.suppress(OSError):
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)


def offer_fast_open(fd: int, port: int) -> None:
    """For a listener: whoever comes may send with its first packet, a round trip sooner (RFC 7413; where
    net.ipv4.tcp_fastopen has the servers' bit).

    There are no cookies: they show that the sender's address is not made up, but a terminal's new address has none
    when it needs one. Made-up addresses are bounded instead: MAX_FAST_OPEN at a time, each ends by itself, and until
    the sender has answered, the kernel repeats TCP's own first answer to him and nothing else.
    """
    with borrowed(fd, port) as own:
        if own is not None:
            with contextlib.suppress(OSError):
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, MAX_FAST_OPEN)
                own.setsockopt(socket.IPPROTO_TCP, FASTOPEN_NO_COOKIE, 1)


def local_address(fd: int) -> tuple[str, int] | None:
    """Address and port of this end; None if it is no TCP socket."""
    return _name(fd, own=True)


def remote_address(fd: int) -> str:
    """Address of the other end; "" if it is no TCP socket, or gone."""
    found = _name(fd, own=False)
    return "" if found is None else found[0]


def _name(fd: int, own: bool) -> tuple[str, int] | None:
    try:
        borrowed = socket.socket(fileno=fd)
    except OSError:
        return None
    try:
        name = borrowed.getsockname() if own else borrowed.getpeername()
        return (str(name[0]), int(name[1])) if borrowed.family in (socket.AF_INET, socket.AF_INET6) else None
    except OSError:
        return None
    finally:
        borrowed.detach()


def cut(fd: int, port: int) -> None:
    """End a connection of ours, for good: what was on its way is not repeated. libzmq notices and cleans up."""
    with borrowed(fd, port) as own:
        if own is not None:
            with contextlib.suppress(OSError):
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                _disconnect(own)


def _disconnect(own: socket.socket) -> None:
    """connect(2) to no family: the connection is reset at once, and nothing of it is sent any more."""
    libc = ctypes.CDLL(None, use_errno=True)
    nobody = struct.pack("=H14x", socket.AF_UNSPEC)
    if libc.connect(own.fileno(), nobody, len(nobody)) < 0:
        raise OSError(ctypes.get_errno(), "cannot disconnect")


def way_to(host: str, port: int) -> str | None:
    """The address that this machine would use towards a numeric host now (no packet is sent); None without a way."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError:
        return None
