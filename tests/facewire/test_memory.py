"""Free memory goes back to the system."""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path

import numpy as np
import pytest

from facewire import memory


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_holes_in_the_heap_are_given_back() -> None:
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("this C library has no malloc_trim")
    blocks = [np.ones(60_000, np.uint8) for _ in range(1000)]
    kept = blocks[::50]  # what is between them would stay
    before = resident()
    del blocks
    assert memory.give_back()
    assert resident() < before - 40_000_000
    assert len(kept) == 20


def test_it_goes_on_until_it_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    often = threading.Semaphore(0)

    def give_back() -> bool:
        often.release()
        return True

    monkeypatch.setattr(memory, "give_back", give_back)
    stop = threading.Event()
    memory.keep_small(stop, 0.001)
    assert often.acquire(timeout=10.0)
    assert often.acquire(timeout=10.0)
    stop.set()


def test_nothing_happens_where_there_is_no_such_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not memory.give_back()
