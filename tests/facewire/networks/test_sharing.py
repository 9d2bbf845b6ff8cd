from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from tests.facewire.networks.fake_cuda import FakeCuda
from tests.facewire.networks.fake_tensorrt import VERSIONS, FakeTensorrt

from facewire.errors import ModelError
from facewire.networks import Networks, load_manifest, open_networks
from facewire.networks.cuda import Cuda
from facewire.networks.engines import Engines
from facewire.networks.gpu import Gpu
from facewire.networks.ort import OrtSession
from facewire.networks.session import Arrays, host
from facewire.networks.sharing import Shared, shared
from facewire.networks.tensorrt import TensorrtSession

PATIENCE = 20.0


@dataclass
class Slow:
    """Doubles numbers, several at once; holds each run until it is let go."""

    most: int = 4
    inputs: Mapping[str, Any] = field(default_factory=lambda: {"x": (None,)})
    outputs: Mapping[str, Any] = field(default_factory=lambda: {"y": (None,)})
    made: list[list[float]] = field(default_factory=list)
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(10**6))

    def run(self, inputs: Arrays) -> dict[str, Any]:
        return self.run_many([inputs])[0]

    def run_many(self, requests: Sequence[Arrays]) -> list[dict[str, Any]]:
        self.made.append([float(request["x"][0]) for request in requests])
        assert self.gate.acquire(timeout=PATIENCE)
        if any(request["x"][0] < 0 for request in requests):
            raise ModelError("a negative number")
        return [{"y": request["x"] * 2} for request in requests]


def ask(session: Shared, number: float) -> float:
    return float(session.run({"x": np.array([number])})["y"][0])


def wait(condition: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_what_waits_together_is_run_together_oldest_first() -> None:
    slow = Slow(gate=threading.Semaphore(0))
    session = Shared(slow)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(ask, session, 0)
        wait(lambda: slow.made)
        others = []
        for number in range(1, 7):
            others.append(pool.submit(ask, session, number))
            wait(lambda number=number: len(session._waiting) == number)
        slow.gate.release(100)
        assert [f.result(PATIENCE) for f in (first, *others)] == [2 * n for n in range(7)]
    assert slow.made[:3] == [[0], [1, 2, 3, 4], [5, 6]]
    assert (session.runs, session.requests) == (3, 7)


class Noted(deque[Any]):
    """A queue that remembers who came."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[float] = []

    def append(self, request: Any) -> None:
        self.came.append(float(request.inputs["x"][0]))
        super().append(request)


def test_no_stream_overtakes_another() -> None:
    slow, queue = Slow(most=2), Noted()
    session = Shared(slow, _waiting=queue)

    def stream(number: int) -> None:
        for _ in range(30):
            ask(session, number)

    threads = [threading.Thread(target=stream, args=(number,)) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert [number for run in slow.made for number in run] == queue.came
    assert sorted(queue.came) == sorted([float(number) for number in range(1, 6)] * 30)


def test_a_lone_stream_does_not_wait_for_others() -> None:
    now = [0.0]
    session = Shared(Slow(), clock=lambda: now[0])  # a clock that stands still: a wait would not end
    assert ask(session, 3) == 6


def test_one_streams_fault_is_its_own() -> None:
    slow = Slow(gate=threading.Semaphore(0))
    session = Shared(slow)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(ask, session, 1)
        wait(lambda: slow.made)
        bad, good = pool.submit(ask, session, -1), pool.submit(ask, session, 5)
        wait(lambda: len(session._waiting) == 2)
        slow.gate.release(100)
        assert first.result(PATIENCE) == 2
        assert good.result(PATIENCE) == 10
        with pytest.raises(ModelError, match="negative"):
            bad.result(PATIENCE)
    assert ask(session, 7) == 14


def check(session: Any, reference: Any) -> None:
    random = np.random.default_rng(0)
    several = [{"patch": random.random((count, 3, 64, 64), np.float32)} for count in (1, 2, 1)]
    for made, given in zip(session.run_many(several), several, strict=True):
        np.testing.assert_allclose(host(made["sharp"]), reference.run(given)["sharp"], atol=1e-6)


def test_runs_made_together_on_onnx_runtime(tiny_models: Path) -> None:
    manifest = load_manifest(tiny_models)
    reference = open_networks(manifest, provider="cpu")["upscaler"]
    session = OrtSession(manifest.entry("upscaler"), batch=4)
    assert session.most == 4
    assert OrtSession(manifest.entry("generator"), batch=4).most == 1
    check(session, reference)
    resident = OrtSession(manifest.entry("upscaler"), resident=True, batch=4)
    assert resident.most == 1
    given = {"patch": np.ones((2, 3, 64, 64), np.float32)}
    there, here = resident.run(given)["sharp"], reference.run(given)["sharp"]
    assert not isinstance(there, np.ndarray)
    twice = resident.run({"patch": there})["sharp"]
    np.testing.assert_array_equal(host(twice), reference.run({"patch": here})["sharp"])


def test_runs_made_together_on_tensorrt(tiny_models: Path, tmp_path: Path) -> None:
    manifest = load_manifest(tiny_models)
    trt = FakeTensorrt(VERSIONS[-1], FakeCuda())
    engines = Engines(trt, Gpu("H100", (9, 0), 1, "13.0"), tmp_path)
    cuda = Cuda(trt.cuda)
    session = TensorrtSession(trt, cuda, engines, manifest.entry("upscaler"), 4)
    assert session.most == 4
    assert TensorrtSession(trt, cuda, engines, manifest.entry("generator"), 4).most == 1
    check(session, open_networks(manifest, provider="cpu")["upscaler"])


def test_only_what_can_is_wrapped(tiny_models: Path) -> None:
    manifest = load_manifest(tiny_models)
    sessions = {name: OrtSession(manifest.entry(name), batch=3) for name in ("upscaler", "generator")}
    wrapped = shared(Networks(manifest.id, sessions))
    assert isinstance(wrapped["upscaler"], Shared)
    assert wrapped["generator"] is sessions["generator"]
    alone = open_networks(manifest, provider="cpu", batch=3)
    assert shared(alone)["upscaler"] is alone["upscaler"], "on a CPU waiting for others would bring nothing"
