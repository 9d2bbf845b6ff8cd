"""The decoders that an encoder has met, and what they keep, so that one that comes back need not say it again first.

    FILE    {device: [first halves of content ids]}, the latest met last

A device's name is 4 random bytes that only it and its encoders know (it travels encrypted). It is also the name of its
connection (ROUTER, routing id), so the encoder can speak to it as soon as the handshake is done. What cannot be written
or read is as if nobody was met: then a hello comes first. Who is new has, for his first connection, one of a few names
that follow from his key: the encoder, which has just let that key in, can speak first to him as well.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

MOST = 64
"""Devices that are remembered."""
MOST_PIVOTS = 64
"""Of each."""
FIRST_NAMES = 64
"""Of a key: so many that two new devices with one key seldom have the same."""
_taken: list[int] = []
"""Open files of the devices that this process is."""


class Device(NamedTuple):
    """id: the 4 bytes by which an encoder knows a decoder again; is_new: they have just been made, so nobody has been
    met and nothing is kept."""

    id: bytes
    is_new: bool = False


def own_device(directory: Path) -> Device:
    """This decoder's; made once, or each time where nothing can be kept or a process has taken them already: two
    connections of one device would end each other. Ours until we end."""
    path = directory / "device"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise
        _taken.append(file)  # the lock goes with the process
        kept = os.read(file, 64).decode("ascii", "replace").strip()
        if re.fullmatch("[0-9a-f]{8}", kept):
            return Device(bytes.fromhex(kept))
        made = secrets.token_bytes(4)
        os.ftruncate(file, 0)
        os.pwrite(file, f"{made.hex()}\n".encode("ascii"), 0)
    except OSError:
        return Device(secrets.token_bytes(4))
    return Device(made, is_new=True)


def routing_name(device: bytes) -> bytes:
    """The name of a device's connection."""
    return b"fw" + device


@functools.lru_cache(maxsize=8)
def first_names(key: bytes) -> tuple[bytes, ...]:
    """The names of which a new device takes one for its first connection; key: its public one, Z85. Others may have the
    same key: who takes another's name ends its connection, and that one comes again by its own."""
    name = b"new" + hashlib.blake2b(key, digest_size=3).digest()
    return tuple(name + bytes([number]) for number in range(FIRST_NAMES))


class Acquaintances:
    """Devices (4 bytes each), and the first halves of the pivots that each keeps. path: where to keep it, or None."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._have: OrderedDict[bytes, list[bytes]] = OrderedDict(self._read())

    @property
    def devices(self) -> list[bytes]:
        """All of them, the latest met first."""
        return list(reversed(self._have))

    def have(self, device: bytes) -> set[bytes]:
        """What a device keeps, as far as is known."""
        return set(self._have.get(device, ()))

    def met(self, device: bytes, have: Iterable[bytes]) -> None:
        """A device has these pivots now."""
        kept = list(have)[-MOST_PIVOTS:]
        if set(kept) == self.have(device) and self.devices[:1] == [device]:
            return
        self._have[device] = kept
        self._have.move_to_end(device)
        while len(self._have) > MOST:
            self._have.popitem(last=False)
        self._write()

    def _read(self) -> dict[bytes, list[bytes]]:
        try:
            found = json.loads(self._path.read_text("utf-8")) if self._path is not None else {}
            read = {bytes.fromhex(name): [bytes.fromhex(one) for one in item] for name, item in found.items()}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return {}
        right = {name: have for name, have in read.items() if len(name) == 4 and all(len(one) == 4 for one in have)}
        return dict(list(right.items())[-MOST:])

    def _write(self) -> None:
        if self._path is None:
            return
        part = self._path.with_suffix(".part")
        text = json.dumps({name.hex(): [one.hex() for one in have] for name, have in self._have.items()})
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(text, "utf-8")
            part.replace(self._path)
        except OSError:
            return
