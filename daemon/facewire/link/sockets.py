"""What the sockets of both ends have in common."""

from __future__ import annotations

import re

import zmq

GIVE_UP_SECONDS = 90
"""A connection on which nothing was acknowledged for so long is dead, and a new one is made. Longer than most outages:
a connection that lived through one goes on without a handshake, which costs 1.8 kB and three round trips."""
SILENCE_SECONDS = 5
"""After so much silence each side of the kernel asks whether the other is still there, every two seconds."""


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
