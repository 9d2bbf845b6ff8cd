"""The encoder's gate: its own CURVE keys, and which receivers' keys are let in. libzmq asks it by ZAP (ZeroMQ RFC 27).

Keys may change while we run: who lost his is told of (`thrown_out`), and a new own key is for connections from now on.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import zmq

from facewire.errors import ConfigError
from facewire.link.curve import ZAP_DOMAIN, ZAP_ENDPOINT, AllowList, load_pair, zap_answer

LOOK_SECONDS = 1.0
"""Seconds between two looks at the keys on disk."""


class Gate:
    """directory: of keys (facewire.link.curve). Raises ConfigError: no keys there."""

    def __init__(self, directory: Path) -> None:
        self.denied = 0
        """Keys that were not let in."""
        self.admitted = ""
        """The key (Z85) that was let in last."""
        self._path = directory / "encoder.key_secret"
        self._pair = load_pair(self._path)
        self._stamp = self._look()
        self._allow = AllowList(directory)
        self._zap: zmq.Socket[bytes] | None = None
        self._looked = float("-inf")

    def guard(self, socket: zmq.Socket[bytes], context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """From now on this socket, of a context of its own, lets in only whose key is on the list. Raises ZMQError."""
        # A ZAP handler serves a whole context.
        self._zap = context.socket(zmq.REP)
        self._zap.setsockopt(zmq.LINGER, 0)
        self._zap.bind(ZAP_ENDPOINT)
        socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        self.arm(socket)

    def arm(self, socket: zmq.Socket[bytes]) -> None:
        """Give a socket our keys; they hold for what it binds from now on."""
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self._pair.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._pair.secret)

    def close(self) -> None:
        """Answer nothing any more."""
        if self._zap is not None:
            self._zap.close(0)

    @property
    def is_asked(self) -> bool:
        """Whether libzmq waits for an answer."""
        return self._zap is not None and bool(self._zap.poll(0))

    def answer(self) -> bool:
        """Answer what libzmq asks; returns whether somebody was let in. Never blocks."""
        let_in = False
        while self._zap is not None and self._zap.poll(0):
            request = self._zap.recv_multipart()
            self._allow.refresh()
            answer = zap_answer(request, self._allow.keys)
            if answer is None:
                answer = [b"1.0", request[1] if len(request) > 1 else b"", b"500", b"bad request", b"", b""]
            self.denied += answer[2] != b"200"
            if answer[2] == b"200":
                self.admitted, let_in = answer[4].decode(), True
            self._zap.send_multipart(answer)
        return let_in

    def name(self, key: str) -> str:
        """What a receiver with this public key (Z85) is called."""
        return self._allow.keys.get(key.encode(), "?")

    def is_due(self, now: float) -> bool:
        """Whether it is time to look at the keys on disk; that is done then."""
        if now - self._looked < LOOK_SECONDS:
            return False
        self._looked = now
        return True

    def thrown_out(self, keys: Iterable[str]) -> set[str]:
        """Those of these keys that are not on the list any more; "" (a receiver that has not spoken yet) is no key."""
        self._allow.refresh()
        return {key for key in keys if key and key.encode() not in self._allow.keys}

    def has_new_keys(self) -> bool:
        """Whether our own are others than before; `arm` gives them out."""
        stamp = self._look()
        if stamp is None or stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            before, self._pair = self._pair, load_pair(self._path)
        except ConfigError:
            return False  # being written; the old ones stay
        return self._pair != before

    def _look(self) -> int | None:
        try:
            return self._path.stat().st_mtime_ns
        except OSError:
            return None

