"""What displays the kernel sees: /sys/class/drm, and three questions to /dev/dri/cardN.

kmssink wants a connector's number and the driver's name. Newer kernels (6.5) show the number in sysfs; older ones
(Jetson's 5.15) must be asked: DRM_IOCTL_MODE_GETRESOURCES and GETCONNECTOR, as in the kernel's uapi/drm/drm_mode.h.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SYS = Path("/sys/class/drm")
DEV = Path("/dev/dri")

_VERSION = 0xC0406400
_GETRESOURCES = 0xC04064A0
_GETCONNECTOR = 0xC05064A7
_TYPES = (
    "Unknown", "VGA", "DVI-I", "DVI-D", "DVI-A", "Composite", "SVIDEO", "LVDS", "Component", "DIN", "DP", "HDMI-A",
    "HDMI-B", "TV", "eDP", "Virtual", "DSI", "DPI", "Writeback", "SPI", "USB",
)  # fmt: skip
"""Names by connector type number, as the kernel's drm_connector.c has them."""


@dataclass(frozen=True)
class Connector:
    """A plug on a graphics card."""

    card: str
    """"card0"."""
    name: str
    """"HDMI-A-1"."""
    connected: bool
    mode: tuple[int, int] | None
    """Width and height of the display's preferred mode; None while none is known."""
    number: int | None
    """The kernel's object id, when sysfs shows it."""
    status_file: Path


def connectors(sys: Path = SYS) -> tuple[Connector, ...]:
    """All connectors of all cards, in the kernel's order, without the ones that write back to memory."""
    found = []
    for folder in sorted(sys.glob("card*-*")):
        card, _, name = folder.name.partition("-")
        if name.startswith("Writeback"):
            continue
        number = _read(folder / "connector_id")
        found.append(
            Connector(
                card,
                name,
                _read(folder / "status") == "connected",
                _mode(_read(folder / "modes")),
                int(number) if number.isdecimal() else None,
                folder / "status",
            )
        )
    return tuple(found)


def is_connected(connector: Connector) -> bool:
    """Whether a display is plugged in now."""
    return _read(connector.status_file) == "connected"


def driver_name(card: str, dev: Path = DEV) -> str:
    """The name that the card's driver gives itself ("vc4", "nvidia-drm", "i915"); "" when it cannot be asked."""
    with contextlib.suppress(OSError), _opened(dev / card) as fd:
        name = array.array("B", bytes(64))
        request = bytearray(struct.pack("=iii4xQQQQQQ", 0, 0, 0, 64, name.buffer_info()[0], 0, 0, 0, 0))
        fcntl.ioctl(fd, _VERSION, request)
        length = min(struct.unpack_from("=Q", request, 16)[0], 64)
        return name.tobytes()[:length].decode("ascii", "replace")
    return ""


def connector_number(connector: Connector, dev: Path = DEV) -> int | None:
    """The kernel's object id of a connector, from sysfs or else by asking the card; None when neither knows."""
    if connector.number is not None:
        return connector.number
    with contextlib.suppress(OSError), _opened(dev / connector.card) as fd:
        for number in _numbers(fd):
            request = bytearray(80)
            # count_modes = 1 with a place for it: zero would make the kernel probe the cable, which takes long.
            place = array.array("B", bytes(68))
            struct.pack_into("=Q", request, 8, place.buffer_info()[0])
            struct.pack_into("=I", request, 32, 1)
            struct.pack_into("=I", request, 48, number)
            fcntl.ioctl(fd, _GETCONNECTOR, request)
            kind, index = struct.unpack_from("=II", request, 52)
            if f"{_TYPES[kind] if kind < len(_TYPES) else 'Unknown'}-{index}" == connector.name:
                return int(number)
    return None


def _numbers(fd: int) -> list[int]:
    request = bytearray(64)
    fcntl.ioctl(fd, _GETRESOURCES, request)
    count = min(struct.unpack_from("=I", request, 40)[0], 64)
    ids = array.array("I", [0] * max(count, 1))
    request = bytearray(64)
    struct.pack_into("=Q", request, 16, ids.buffer_info()[0])
    struct.pack_into("=I", request, 40, count)
    fcntl.ioctl(fd, _GETRESOURCES, request)
    return list(ids[:count])


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""


def _mode(modes: str) -> tuple[int, int] | None:
    width, _, height = modes.split("\n")[0].partition("x")
    height = height.rstrip("i")
    return (int(width), int(height)) if width.isdecimal() and height.isdecimal() else None
