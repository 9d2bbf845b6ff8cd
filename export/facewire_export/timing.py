"""Times one thing again and again on a given number of cores."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one run."""

    min: float
    median: float
    max: float
    runs: int

    def as_json(self) -> dict[str, float]:
        """Rounded to microseconds."""
        rounded = {name: round(getattr(self, name), 3) for name in ("min", "median", "max")}
        return {**rounded, "runs": self.runs}


def measure(step: Callable[[], object], seconds: float = 2.0, at_least: int = 5, warm_up: int = 2) -> Timing:
    """Run `step` a few times unmeasured, then until `seconds` are over (`at_least` times in any case)."""
    for _ in range(warm_up):
        step()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < at_least or time.perf_counter() < end:
        started = time.perf_counter()
        step()
        times.append((time.perf_counter() - started) * 1000)
    return Timing(min(times), median(times), max(times), len(times))


def _pin(cores: int) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    # The last cores: the first one handles most interrupts.
    os.sched_setaffinity(0, allowed[-cores:])


def on_cores(cores: int, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `step` in a fresh process that may use only so many cores (all there are, if there are fewer)."""
    context: Any = get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=_pin, initargs=(cores,)) as pool:
        return pool.submit(step, *args, **kwargs).result()


def peak_memory_mb() -> float:
    """Largest resident size of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
