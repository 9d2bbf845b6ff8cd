"""Who has no business here: many connections opened and dropped, peers that never finish a handshake, that read
nothing, that send garbage. Runs in the screen's namespace, as a process of its own, so that it shares the link."""

from __future__ import annotations

import json
import subprocess
import sys

from facewire_export.rig.tunnel import Tunnel

_PROGRAM = r"""
import json, os, random, socket, sys, time, selectors
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
got = opened = refused = 0
held = []
def connect():
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.setblocking(False)
    s.connect_ex((host, port))
    return s
def read(s):
    try:
        return len(s.recv(65536))
    except OSError:
        return 0
rng = random.Random(5)
for n in range(count):
    s = connect(); opened += 1
    kind = n % 4
    held.append((s, kind))
    if len(held) > 40:
        old, kind = held.pop(0)
        try:
            if kind == 1: old.send(b"GET / HTTP/1.1\r\n\r\n")
            if kind == 2: old.send(b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48))
            if kind == 3: old.send(rng.randbytes(200))
        except OSError: refused += 1
        time.sleep(0.01)
        got += read(old)
        old.close()
    time.sleep(0.02)
slow = [s for s, _ in held[:20]]
for s, _ in held[20:]: s.close()
end = time.time() + 20
while time.time() < end:
    time.sleep(1)
got += sum(read(s) for s in slow)
print(json.dumps({"opened": opened, "could_not_send": refused, "bytes_they_got": got}), flush=True)
"""


class Strangers:
    """Starts `count` of them; `figures` is what they report once they are done (25 s for a few, 50 s for 1,000)."""

    def __init__(self, tunnel: Tunnel, host: str, port: int, count: int = 1000) -> None:
        command = tunnel.command(tunnel.screen, [sys.executable, "-c", _PROGRAM, host, str(port), str(count)])
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._said = ""

    def close(self) -> None:
        """Wait for the last of them; a process that hangs is ended."""
        try:
            self._said, _ = self._process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._said, _ = self._process.communicate()

    def figures(self) -> dict[str, int]:
        """Connections opened, and the bytes that the encoder answered them with: greetings, before any key."""
        try:
            figures: dict[str, int] = json.loads(self._said)
        except ValueError:
            return {"failed": 1}
        return figures
