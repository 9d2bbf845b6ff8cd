"""How many strangers may come in at a time. Each costs the link an answer, a greeting and a refusal: a hundred at once
would take a narrow one for ten seconds from those who are let in.

There is room for a few; who says who he is gives his place back, and the others' are free again as fast as a tenth of
the ceiling pays for them. While there is none, the kernel drops first packets (SYN) as if they had got lost, and
answers nothing; who is in notices nothing, and an honest newcomer's system knocks again after a second.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import socket
import struct

from facewire.link import tcp

log = logging.getLogger(__name__)

ROOM = 8
"""Strangers that may come at once."""
COST = 400
"""Bytes on the wire, both ways, of one who is sent away (measured)."""
SHARE = 0.1
"""Part of the ceiling that they may cost for long."""
SAY_AGAIN = 600.0
"""Seconds between two lines about it in the log."""
_ATTACH_FILTER, _DETACH_FILTER = 26, 27
"""SO_ATTACH_FILTER, SO_DETACH_FILTER (socket(7)), Linux 2.2 and later."""
_FLAGS, _SYN = 13, 0x02
"""Where a TCP header has its flags, and one of them (RFC 9293, 3.1)."""
_NO_FIRST_PACKETS = (
    (0x30, 0, 0, _FLAGS),  # load a byte
    (0x45, 0, 1, _SYN),  # jump if any of these bits is set
    (0x06, 0, 0, 0),  # keep nothing of the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # keep all
)
"""Classic BPF, on a packet from its TCP header on. Connections inherit it from their listener, and never see a SYN."""


class Door:
    """port: that the encoder listens on (0: no TCP). rate: the ceiling, bytes a second; 0: all may come."""

    def __init__(self, port: int, rate: float) -> None:
        self._port, self._refill = port, SHARE * rate / COST
        self._listener: int | None = None
        self._level, self._looked = float(ROOM), 0.0
        self._strangers: set[int] = set()
        self._said = float("-inf")
        self.is_open = True

    def opened(self, listener: int) -> None:
        """The encoder listens by this descriptor from now on."""
        self._listener = listener
        tcp.offer_fast_open(listener, self._port)
        if not self.is_open:
            self._filter(on=True)

    def entered(self, fd: int) -> None:
        """A connection has come."""
        self._strangers.add(fd)
        self._level = max(0.0, self._level - 1.0)

    def known(self, fd: int) -> None:
        """Somebody behind it has said who he is."""
        if fd in self._strangers:
            self._strangers.discard(fd)
            self._level = min(float(ROOM), self._level + 1.0)

    def left(self, fd: int) -> None:
        """A connection has ended."""
        self._strangers.discard(fd)

    def look(self, now: float) -> None:
        """Open or shut."""
        self._level = min(float(ROOM), self._level + (now - self._looked) * self._refill)
        self._looked = now
        is_open = not self._refill or self._level >= 1.0
        if is_open == self.is_open:
            return
        self.is_open = is_open
        self._filter(on=not is_open)
        if not is_open and now - self._said > SAY_AGAIN:
            self._said = now
            log.warning("many strangers at the door: new connections wait; let a firewall pass your decoders only")

    def _filter(self, on: bool) -> None:
        if self._listener is None:
            return
        with tcp.borrowed(self._listener, self._port) as own, contextlib.suppress(OSError):
            if own is None:
                return
            if not on:
                own.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)
                return
            code = b"".join(struct.pack("=HBBI", *step) for step in _NO_FIRST_PACKETS)
            kept = ctypes.create_string_buffer(code, len(code))
            program = struct.pack("@HP", len(_NO_FIRST_PACKETS), ctypes.addressof(kept))
            own.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
