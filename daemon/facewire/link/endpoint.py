"""Endpoints as ZeroMQ writes them: which are good, which stay on this machine."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from urllib.parse import urlsplit

from facewire.errors import ConfigError


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


def is_loopback(endpoint: str) -> bool:
    """Whether an endpoint stays on this machine."""
    host = urlsplit(endpoint).hostname or ""
    return not endpoint.startswith("tcp") or host in ("localhost", "::1") or host.startswith("127.")
