"""What this machine's TCP lacks for a narrow, long link, and what that costs (docs/link.md)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from facewire.link.tcp import RTO_MAX_MS, TIMESTAMPS

_SETTINGS = Path("proc/sys/net/ipv4")
_INSTALL = "`./facewire.sh install ROLE` changes that"


def shortcomings(root: Path = Path("/"), *, sends: bool) -> Iterator[str]:
    """One line each. root: where the kernel's settings are looked up; sends: pictures leave this machine."""
    settings = root / _SETTINGS
    if _setting(settings / "tcp_timestamps") not in (None, 0):
        yield f"TCP timestamps are on, {2 * TIMESTAMPS} bytes more for each message; {_INSTALL}"
    if sends and _setting(settings / "tcp_early_retrans"):
        yield f"TCP sends tail loss probes, which hide losses on a thin stream; {_INSTALL}"
    fast = _setting(settings / "tcp_fastopen")
    if fast is not None and not fast & (2 if sends else 1):
        yield f"TCP Fast Open is off, coming back takes a round trip more; {_INSTALL}"
    with socket.socket() as probe:
        if sends and not _may(probe, socket.TCP_CONGESTION, b"bbr"):
            yield f"no BBR here, losses make gaps; {_INSTALL}"
        if not _may(probe, RTO_MAX_MS, 1000):
            yield "after an outage the link may sleep on for as long as that lasted; Linux 6.15 and later does not"


def _setting(path: Path) -> int | None:
    """None where the kernel does not have it, or does not show it."""
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None


def _may(probe: socket.socket, option: int, value: int | bytes) -> bool:
    try:
        probe.setsockopt(socket.IPPROTO_TCP, option, value)
    except OSError:
        return False
    return True
