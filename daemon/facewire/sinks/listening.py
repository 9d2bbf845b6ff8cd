"""Addresses to listen on, and what a player types to reach them."""

from __future__ import annotations

import errno
import os
import socket

from facewire.errors import SinkError


def reachable(host: str) -> str:
    """The host part for a player on this network: "every address" becomes one that can be typed."""
    if host == "0.0.0.0":
        return _own_address() or "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host


def _own_address() -> str:
    """This machine's address towards the default route; "" without one. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return ""


def check_free(host: str, port: int) -> None:
    """gst-rtsp-server does not say why it cannot listen, so ask the kernel first. Raises SinkError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise SinkError(f"rtsp: {host} is no address: {error.strerror}; 0.0.0.0 listens on every one") from None
    try:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        why = {
            errno.EADDRINUSE: f"port {port} is in use by another program; stop it or choose another port",
            errno.EACCES: f"port {port} is reserved for root; choose one above 1023",
            errno.EADDRNOTAVAIL: f"{host} is not an address of this machine; 0.0.0.0 listens on every one",
        }.get(error.errno or 0, os.strerror(error.errno or 0))
        raise SinkError(f"rtsp: cannot listen on {host} port {port}: {why}") from None
