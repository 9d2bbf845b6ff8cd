"""Memory that is free goes back to the system, so that a daemon does not grow over months.

Pictures of many sizes come and go in many threads, and the C library keeps what they leave in the heap of each: an
encoder goes up and down by 10 MB, and holes that nothing fits into stay. Giving each block back at once costs a fifth
of the processor time in page faults; every few seconds it takes 1 ms, and a hundredth.
"""

from __future__ import annotations

import ctypes
import threading

PAUSE_SECONDS = 10.0


def give_back() -> bool:
    """Return free pages of all heaps (malloc_trim(3)); False where the C library has no such thing."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return False
    return True


def keep_small(stop: threading.Event, pause: float = PAUSE_SECONDS) -> None:
    """Do that from now on, beside everything else, until `stop` is set."""

    def run() -> None:
        while not stop.wait(pause) and give_back():
            pass

    threading.Thread(target=run, name="facewire-memory", daemon=True).start()
