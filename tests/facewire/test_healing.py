"""Both daemons as processes, a real socket between them, and one of them killed without warning."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import facewire

PATIENCE = 60.0
"""Generous, because tests share the machine: the daemons themselves need about 2 s."""
SHOWN = re.compile(r"([\d.]+) fps shown")


@contextmanager
def daemon(role: str, log: Path, models: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    environ = {
        **os.environ,
        "PYTHONPATH": str(Path(facewire.__file__).parents[1]),
        "FACEWIRE_MODELS": str(models),
        "FACEWIRE_STATUS_SECONDS": "0.5",
        "XDG_CACHE_HOME": str(log.parent),
    }
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "facewire", role, *arguments], stderr=out, env=environ)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_pictures(log: Path, *alive: subprocess.Popen[bytes]) -> float:
    """Seconds until the decoder's log tells of three more half seconds with moving pictures."""
    began, past = time.monotonic(), len(SHOWN.findall(log.read_text()))
    while True:
        assert [process.poll() for process in alive] == [None] * len(alive), log.read_text()
        rates = SHOWN.findall(log.read_text())[past:]
        if sum(float(rate) > 0 for rate in rates[-3:]) == 3:
            return time.monotonic() - began
        assert time.monotonic() - began < PATIENCE, log.read_text()
        time.sleep(0.1)


def test_either_daemon_may_be_killed_and_started_again(tiny_models: Path, tmp_path: Path) -> None:
    pytest.importorskip("mediapipe", reason="the encoder needs mediapipe")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    first, second, sender = tmp_path / "decoder.log", tmp_path / "again.log", tmp_path / "encoder.log"
    to_encode = ("--source", "sample:", "--bind", endpoint, "--profile", "lan")
    to_decode = ("--connect", endpoint, "--sink", "null:", "--size", "64")
    with daemon("decoder", first, tiny_models, *to_decode) as decoder:
        with daemon("encoder", sender, tiny_models, *to_encode) as encoder:
            wait_for_pictures(first, decoder, encoder)
            os.kill(encoder.pid, signal.SIGKILL)
        with daemon("encoder", sender, tiny_models, *to_encode) as encoder:
            wait_for_pictures(first, decoder, encoder)
            os.kill(decoder.pid, signal.SIGKILL)
            decoder.wait()
            with daemon("decoder", second, tiny_models, *to_decode) as again:
                wait_for_pictures(second, again, encoder)
                again.send_signal(signal.SIGTERM)
                assert again.wait(PATIENCE) == 0
            encoder.send_signal(signal.SIGTERM)
            assert encoder.wait(PATIENCE) == 0
    for log in (first, second, sender):
        assert "Traceback" not in log.read_text()
