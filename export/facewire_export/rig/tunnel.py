"""Two network namespaces joined by a TUN pair, with a shaper for each direction. Linux, root.

A TUN device hands each IP packet that is sent into it to this process, and takes those that are to arrive; so what is
counted here is what an interface counts: whole IP packets, headers included, whether they arrive or not.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import json
import os
import select
import struct
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facewire.errors import FacewireError
from facewire_export.rig.shaper import Shape, Shaper

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_SIDES = ("camera", "screen")
SETTINGS = {"tcp_fastopen": 3, "tcp_timestamps": 0, "tcp_early_retrans": 0}
"""Of both ends' net.ipv4, as systemd/facewire.sysctl, which `./facewire.sh install` puts in place."""


def unavailable() -> str | None:
    """Why no tunnel can be made here, None if one can."""
    if os.geteuid() != 0:
        return "namespaces need root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    name = f"fw{os.getpid()}probe"
    try:
        done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the ip tool does not run ({error})"
    if done.returncode:
        return f"no network namespaces: {done.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return None


@dataclass(frozen=True)
class Passed:
    """One IP packet that an end sent: when (monotonic seconds), bytes, and whether it came from the camera's side."""

    time: float
    length: int
    from_camera: bool


class Tunnel:
    """The link. `camera` and `screen` are the namespaces' names; `packets` grows by each packet that either end sends.

    ip: 4 or 6. The camera's side has `address(0)`, the other one `address(1)`, and `address(2)` after `readdress`.
    """

    def __init__(self, shape: Shape, ip: int = 4, seed: int = 1, tag: str = "") -> None:
        self.packets: list[Passed] = []
        self._ip = ip
        name = f"fw{os.getpid()}{tag}"
        self.camera, self.screen = (f"{name}{side[0]}" for side in _SIDES)
        self._shapers = [Shaper(shape, seed), Shaper(shape, seed + 1)]
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._screen_address = 1
        self._files: list[int] = []
        try:
            for side, namespace in enumerate((self.camera, self.screen)):
                self._files.append(self._side(side, namespace))
        except BaseException:
            self.close()
            raise
        self._thread = threading.Thread(target=self._forward, name="facewire-link", daemon=True)
        self._thread.start()

    def address(self, index: int) -> str:
        """An address of the link's network; brackets around IPv6 are the caller's."""
        return f"10.77.0.{index + 1}" if self._ip == 4 else f"fd77::{index + 1:x}"

    def command(self, namespace: str, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` in one of the namespaces."""
        return ["ip", "netns", "exec", namespace, *command]

    def outage(self, seconds: float) -> None:
        """Both directions fall silent now, for so long."""
        now = time.monotonic()
        with self._lock:
            for shaper in self._shapers:
                shaper.outage(now, seconds)

    def readdress(self) -> None:
        """The screen's side gets another address and loses its old one, as after a modem's restart."""
        old = self._screen_address
        self._screen_address = 2 if old == 1 else 1
        # The old one first: the kernel takes all addresses of a network away with the first of them.
        _ip("-n", self.screen, "addr", "del", f"{self.address(old)}/{self._mask}", "dev", "link0")
        self._assign(self.screen, self._screen_address)

    def counters(self) -> dict[str, int]:
        """Bytes that the two interfaces say they sent: {"camera": ..., "screen": ...}."""
        out = {}
        for side, namespace in zip(_SIDES, (self.camera, self.screen), strict=True):
            text = _ip("-n", namespace, "-s", "-j", "link", "show", "link0")
            out[side] = int(json.loads(text)[0]["stats64"]["tx"]["bytes"])
        return out

    @property
    def lost(self) -> int:
        """Packets that did not arrive, both directions."""
        return sum(shaper.lost for shaper in self._shapers)

    def close(self) -> None:
        """Take it all down."""
        self._stop.set()
        if hasattr(self, "_thread"):
            self._thread.join(2.0)
        for file in self._files:
            os.close(file)
        self._files = []
        for namespace in (self.camera, self.screen):
            with contextlib.suppress(FacewireError):
                _ip("netns", "del", namespace)

    @property
    def _mask(self) -> int:
        return 24 if self._ip == 4 else 64

    def _side(self, index: int, namespace: str) -> int:
        _ip("netns", "add", namespace)
        name = f"{namespace}t"
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
        _ip("link", "set", name, "netns", namespace)
        _ip("-n", namespace, "link", "set", name, "name", "link0")
        # No router solicitations or the like: what is counted is what the daemons send.
        _ip("-n", namespace, "link", "set", "link0", "addrgenmode", "none")
        _ip("-n", namespace, "link", "set", "lo", "up")
        for name, value in SETTINGS.items():
            with contextlib.suppress(FacewireError):  # some containers may not; all works, in a few bytes more
                _ip("netns", "exec", namespace, "sh", "-c", f"echo {value} > /proc/sys/net/ipv4/{name}")
        _ip("-n", namespace, "link", "set", "link0", "up", "mtu", "1500")
        self._assign(namespace, index)
        return file

    def _assign(self, namespace: str, index: int) -> None:
        more = ("nodad",) if self._ip == 6 else ()
        _ip("-n", namespace, "addr", "add", f"{self.address(index)}/{self._mask}", "dev", "link0", *more)

    def _forward(self) -> None:
        """Read packets as they are sent, write them when they are due. Arrivals never overtake each other."""
        due: list[tuple[float, int, int, bytes]] = []
        count = 0
        while not self._stop.is_set():
            wait = min(0.2, max(0.0, due[0][0] - time.monotonic())) if due else 0.2
            readable, _, _ = select.select(self._files, [], [], wait)
            now = time.monotonic()
            for file in readable:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        packet = os.read(file, 65536)
                        side = self._files.index(file)
                        self.packets.append(Passed(now, len(packet), side == 0))
                        with self._lock:
                            arrival = self._shapers[side].offer(now, len(packet))
                        if arrival is not None:
                            count += 1
                            heapq.heappush(due, (arrival, count, 1 - side, packet))
            while due and due[0][0] <= time.monotonic():
                _, _, side, packet = heapq.heappop(due)
                with contextlib.suppress(OSError):
                    os.write(self._files[side], packet)


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=10, check=False)
    if done.returncode:
        raise FacewireError(f"ip {' '.join(words)}: {done.stderr.strip()}; the rig needs root and iproute2")
    return done.stdout
