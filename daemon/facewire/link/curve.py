"""Who may listen: CURVE keys on disk (ZeroMQ RFC 26), their permissions, and the list of receivers that are let in
(ZAP, RFC 27).

A directory of keys holds, on the camera device, `encoder.key_secret` and the public key of each receiver, in
`decoder*.key`; on a showing host, `decoder.key_secret` and `encoder.key`. A receiver's key that is put there is let in
at once, one that is taken away is thrown out at once. docs/security.md has the threat model.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from facewire.errors import ConfigError

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_DOMAIN = b"facewire"
ALLOWED = "decoder*.key"
"""Public keys of receivers, beside the encoder's secret key."""
SERVERS = ("encoder.key", "encoder.next.key")
"""Public keys of the encoder that a receiver believes: today's, and the next one while keys are changed."""
MAX_ALLOWED = 256


@dataclass(frozen=True)
class KeyPair:
    """A public and a secret key, Z85."""

    public: bytes
    secret: bytes


def load_pair(path: Path) -> KeyPair:
    """The pair in a `.key_secret` file. Raises ConfigError: none there, damaged, or readable by everybody."""
    from zmq.auth import load_certificate

    try:
        public, secret = load_certificate(path)
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise _no_key(path, error) from None
    if secret is None:
        raise ConfigError(f"{path}: holds no secret key; make a pair with: facewire keygen {path.parent}")
    if mode & 0o027:
        raise ConfigError(f"{path}: others may read or change this secret key; run: chmod 600 {path} (or 640)")
    return KeyPair(public, secret)


def load_public(path: Path) -> bytes:
    """The public key in a `.key` file. Raises ConfigError."""
    from zmq.auth import load_certificate

    try:
        return load_certificate(path)[0]
    except (OSError, ValueError) as error:
        raise _no_key(path, error) from None


def load_servers(directory: Path) -> list[bytes]:
    """The encoder's keys that a receiver believes, the present one first. Raises ConfigError if there is none."""
    keys = [load_public(directory / SERVERS[0])]
    if (directory / SERVERS[1]).exists():
        keys.append(load_public(directory / SERVERS[1]))
    return keys


def _no_key(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{path}: no CURVE key ({error}); make a pair with: facewire keygen {path.parent}")


class AllowList:
    """The receivers that may come in: the public keys in `directory`, read again whenever the directory changes.

    A damaged key file lets nobody in and is named in `faults`.
    """

    def __init__(self, directory: Path) -> None:
        self.keys: dict[bytes, str] = {}
        """Z85 public key -> its file's name without `.key`."""
        self.faults: list[str] = []
        self._directory = directory
        self._stamp: object = None
        self.refresh()

    def refresh(self) -> bool:
        """Look at the directory; True if the list is another one now."""
        stamp = self._look()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        before, self.keys, self.faults = self.keys, {}, []
        for path in sorted(self._directory.glob(ALLOWED))[:MAX_ALLOWED]:
            try:
                self.keys[load_public(path)] = path.stem
            except ConfigError as error:
                self.faults.append(str(error))
        return before != self.keys

    def _look(self) -> object:
        try:
            with os.scandir(self._directory) as entries:
                return sorted(
                    (entry.name, entry.stat().st_mtime_ns, entry.stat().st_size)
                    for entry in entries
                    if entry.name.endswith(".key")
                )
        except OSError:
            return None


def zap_answer(request: list[bytes], allowed: dict[bytes, str]) -> list[bytes] | None:
    """The reply to one ZAP request (RFC 27): 200 with the key (Z85) as user id, or 400. None: it is no request."""
    from zmq.utils import z85

    if len(request) < 6 or request[0] != b"1.0":
        return None
    _, request_id, _, _, _, mechanism = request[:6]
    key = z85.encode(request[6]) if mechanism == b"CURVE" and len(request) == 7 and len(request[6]) == 32 else b""
    if key not in allowed:
        return [b"1.0", request_id, b"400", b"no access", b"", b""]
    return [b"1.0", request_id, b"200", b"OK", key, b""]
