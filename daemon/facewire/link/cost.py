"""What went over a socket, and what a message costs on the wire.

Measured (IPv4, TCP without timestamps): 40 B of IP and TCP header for each packet,
2 B of ZMTP framing (9 B above 255 B), 33 B more with CURVE, and a 40 B acknowledgement coming back.
"""

from __future__ import annotations

from dataclasses import dataclass

from facewire.link import tcp

IP_TCP_HEADER = tcp.IPV4_HEADERS
CURVE_OVERHEAD = 33


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
