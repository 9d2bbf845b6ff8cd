"""Measures what is missing: units spread over processes, records kept as they come in. Stopped at any moment, the same
command goes on from there."""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TextIO

import cv2

import facewire
from facewire.errors import FacewireError
from facewire.networks.manifest import MANIFEST, default_directory
from facewire_export.dataset import ClipEntry
from facewire_export.evaluation import codecs
from facewire_export.evaluation.footage import content
from facewire_export.evaluation.points import Codec, Ours, Point
from facewire_export.evaluation.records import Records, key_of
from facewire_export.evaluation.scoring import VERSION
from facewire_export.evaluation.work import Done, Setup, Unit, Worker, player_path
from facewire_export.machine import forbid_realtime


def code_id() -> str:
    """Start of the SHA-256 over the runtime's source: what was coded by other code is measured again."""
    digest = hashlib.sha256()
    for path in sorted(Path(facewire.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def models_id(models: str = "") -> str:
    """Start of the SHA-256 over the networks' manifest. Raises FacewireError where there is none."""
    path = default_directory(models) / MANIFEST
    if not path.is_file():
        raise FacewireError(f"no networks: {path} does not exist; give their folder by --models")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


class Keys:
    """What each record depends on, hashed. Codecs do not depend on our networks, nor on our code."""

    def __init__(self, setup: Setup, missing: Iterable[str]) -> None:
        self._common = {"version": VERSION, "seconds": setup.seconds, "missing": sorted(missing)}
        self._ours = {"models": models_id(setup.models), "code": code_id()}
        self._contents: dict[Path, str] = {}

    def describe(self) -> dict[str, str]:
        """Which networks and which code our records are of."""
        return dict(self._ours)

    def of(self, entry: ClipEntry, point: Point) -> str:
        """The key of a clip's record."""
        if entry.path not in self._contents:
            self._contents[entry.path] = content(entry.path)
        own = self._ours if isinstance(point, Ours) else {"encoder": codecs.encoder_version(point.codec)}
        return key_of(**self._common, **own, clip=self._contents[entry.path], point=point.settings())


def units(
    entries: Sequence[ClipEntry], points: Sequence[Point], records: Records, keys: Keys, setup: Setup
) -> list[Unit]:
    """What is still to be measured, clip after clip."""

    def group(point: Point) -> tuple[object, ...]:
        return ("ours", *point.stream) if isinstance(point, Ours) else (point.family, point.size)

    found = []
    for entry in entries:
        due = [point for point in points if not _is_done(entry, point, records, keys, setup)]
        for _, together in itertools.groupby(sorted(due, key=lambda p: [str(g) for g in group(p)]), group):
            found.append(Unit(entry, tuple(together)))
    return found


def _is_done(entry: ClipEntry, point: Point, records: Records, keys: Keys, setup: Setup) -> bool:
    if records.get(entry.name, point.name, keys.of(entry, point)) is None:
        return False
    shown = point.player if isinstance(point, Codec) else point.every_frame
    return not (setup.pictures and shown) or player_path(setup.out, point.name, entry.name).is_file()


def measure(
    todo: Sequence[Unit], records: Records, keys: Keys, setup: Setup, workers: int, worker: Worker | None = None
) -> dict[str, str]:
    """Do all units and keep their records; returns what failed: "clip point" -> why, which is said on stderr as well.

    worker: does them in this process, one after the other. Raises FacewireError when a process dies.
    """
    failed: dict[str, str] = {}
    with Bar(len(todo)) as bar:
        for unit, done in _serial(todo, worker) if worker else _parallel(todo, setup, workers):
            for record, features in done.records:
                point = next(p for p in unit.points if p.name == record["point"])
                records.add({"key": keys.of(unit.entry, point), **record}, features)
            for name, why in done.failed.items():
                failed[f"{unit.entry.name} {name}"] = why
                bar.say(f"{unit.entry.name} {name}: {why}")
            bar.step(f"{unit.entry.name} {unit.points[0].name}")
    return failed


def _serial(todo: Sequence[Unit], worker: Worker) -> Iterator[tuple[Unit, Done]]:
    for unit in todo:
        yield unit, worker.do(unit)


def _parallel(todo: Sequence[Unit], setup: Setup, workers: int) -> Iterator[tuple[Unit, Done]]:
    if not todo:
        return
    # Started afresh, not forked: neither MediaPipe's nor torch's threads live through a fork.
    context = multiprocessing.get_context("spawn")
    scratch = _scratch(setup)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    forbid_realtime()
    pool = ProcessPoolExecutor(min(workers, len(todo)), context, initializer=_begin, initargs=(setup,))
    try:
        waiting = {pool.submit(_do, unit): unit for unit in todo}
        for future in as_completed(waiting):
            yield waiting.pop(future), future.result()
    except BrokenProcessPool:
        raise FacewireError(
            "a worker process died (out of memory?); what is done is kept: run it again, or with --workers 1"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        shutil.rmtree(scratch, ignore_errors=True)


def _scratch(setup: Setup) -> Path:
    """Where workers unpack clips: what a killed one leaves there the next run clears away."""
    return setup.out / "scratch"


_worker: Worker | None = None


def _begin(setup: Setup) -> None:
    """A worker process: one thread, and no life after its parent's."""
    global _worker
    import torch

    tempfile.tempdir = str(_scratch(setup).resolve())
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, lambda *_: os._exit(1))
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    _worker = Worker(setup)


def _do(unit: Unit) -> Done:
    assert _worker is not None
    return _worker.do(unit)


class Bar:
    """A bar on a terminal, a line for each unit elsewhere."""

    WIDTH = 30

    def __init__(self, total: int, out: TextIO | None = None) -> None:
        self._total, self._done = total, 0
        self._out = sys.stderr if out is None else out
        self._live = self._out.isatty()
        self._began = time.monotonic()

    def step(self, what: str) -> None:
        """One unit more."""
        self._done += 1
        spent = time.monotonic() - self._began
        left = spent / self._done * (self._total - self._done)
        said = f"{self._done}/{self._total}  {_clock(spent)} spent, about {_clock(left)} left  {what}"
        if self._live:
            full = round(self.WIDTH * self._done / self._total)
            self._out.write(f"\r\x1b[K[{'#' * full}{'.' * (self.WIDTH - full)}] {said}")
        else:
            self._out.write(said + "\n")
        self._out.flush()

    def say(self, line: str) -> None:
        """A line above the bar."""
        self._out.write(("\r\x1b[K" if self._live else "") + line + "\n")

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live and self._done:
            self._out.write("\n")


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
