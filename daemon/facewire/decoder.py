"""The decoder daemon: the outer loop around decoding, playout and sinks. Clock, socket and threads live here.

    receive --inbox--> animate --handoff--> upscale --> playout --> main loop (25 ticks a second) --> sinks

Each arrow is bounded. The inbox drops its oldest bundle; handoff and playout make the thread before them wait, so
that a burst waits as bytes in the inbox and not as pictures in memory. Reconstruction and upscaling have a thread
each because two runs side by side use two cores better than one run that is split in two.

The screen never goes dark: each tick shows the newest picture that is due, or the last one again, or the slate.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Protocol

import cv2

from facewire.config import DecoderConfig, DecoderNetworkConfig
from facewire.incoming.inbox import Inbox
from facewire.incoming.opening import open_link
from facewire.incoming.reception import Receiver, Reception
from facewire.link.subscriber import Subscriber
from facewire.logs import Fault
from facewire.memory import keep_small
from facewire.networks import Networks, open_networks
from facewire.record import Recorder, recorder
from facewire.service import Notifier
from facewire.showing.decoding import Decoding, Rebuilt
from facewire.showing.playout import Playout
from facewire.showing.slate import slate
from facewire.sinks import SinkSet
from facewire.status import DecoderStatus
from facewire.trace import Trace, trace
from facewire.types import Picture
from facewire.wire.pivot_store import PivotCache

log = logging.getLogger(__name__)

FPS = 25.0
INBOX = 256
"""Messages; 20 s of a stream without bundles, 4 MB at worst."""
HANDOFF = 4
AHEAD = 12
LEAST_AHEAD = 2
AHEAD_BYTES = 48 << 20
"""Finished pictures that wait in the playout before upscaling pauses: half a second, less where they are large."""
HURRY = 8
"""Shown frames waiting in the inbox while the screen has stalled: interpolated frames are left out from there on."""
SLOW_SECONDS = 0.5
"""A machine that hurries for so long is too slow; behind a packet that got lost many come together, and where the delay
is long enough all of them are shown."""
SHED = 25
"""From there on a machine that is too slow drops bundles as well, the oldest first, until half as many frames wait."""
RECOVERY = 5.0
"""Seconds after that in which lateness is put down to this machine and not to the link."""
SILENCE = 10.0
"""Seconds without a message that are called a fault."""
STUCK = 20.0
"""Seconds that one step of a worker may take; the watchdog is not fed after that."""
STATUS_SECONDS = 10.0


class Shower(Protocol):
    """Where pictures go (sinks.SinkSet). Used by one thread."""

    def show(self, picture: Picture) -> None: ...

    def close(self) -> None: ...


class Decoder:
    """The daemon's parts and threads. `run` ticks until `stop` is set; everything is closed when it returns.

    Raises what a worker died of (ModelError, for example) from `run`.
    """

    def __init__(
        self,
        decoding: Decoding,
        receiver: Receiver,
        sinks: Shower,
        playout: Playout,
        notifier: Notifier,
        stop: threading.Event,
        sinks_flow: Callable[[], bool] = lambda: True,
        status_seconds: float = STATUS_SECONDS,
        name: str = "the encoder",
        record: Recorder | None = None,
        trace: Trace | None = None,
        device: bytes = b"\0\0\0\0",
    ) -> None:
        self._trace = trace
        self.status: DecoderStatus | None = None
        self._decoding, self._sinks, self._notifier = decoding, sinks, notifier
        self._playout, self._stop, self._sinks_flow, self._name = playout, stop, sinks_flow, name
        self._status_seconds, self._record = status_seconds, record
        self._ahead = max(3, min(AHEAD, AHEAD_BYTES // (3 * decoding.upscaler.size**2)))
        self._inbox = Inbox(INBOX)
        self._is_prepared = False
        self._handoff: deque[Rebuilt] = deque()
        self._room = threading.Condition()  # guards handoff and playout
        self.reception = Reception(receiver, self._inbox, decoding, playout, device, trace)
        self._hurried = 0
        self._hurry_since: float | None = None
        self._overloaded_until = float("-inf")
        self._failure: BaseException | None = None
        self._beats = dict.fromkeys(("receive", "animate", "upscale"), self.reception.heard)
        self._silent = Fault(log, "no-stream")
        self._differs = Fault(log, "networks-differ", logging.ERROR)
        self._hurries = Fault(log, "too-slow")
        self._stuck = Fault(log, "worker-stuck", logging.ERROR)

    def run(self) -> None:
        """Show pictures until `stop` is set."""
        workers = [
            # With a context of its own, so that log lines of a thread name its site.
            threading.Thread(
                target=copy_context().run, args=(self._work, name, step), name=f"facewire-{name}", daemon=True
            )
            for name, step in (("receive", self.reception.step), ("animate", self._animate), ("upscale", self._upscale))
        ]
        try:
            for worker in workers:
                worker.start()
            self._tick_until_stopped()
        finally:
            self._stop.set()
            with self._room:
                self._room.notify_all()
            for worker in workers:
                if worker.ident is not None:
                    worker.join(5.0)
            self.reception.close()
            self._sinks.close()
            if self._trace is not None:
                self._trace.books(time.monotonic(), self.books())
        if self._failure is not None:
            raise self._failure

    def _work(self, name: str, step: Callable[[], None]) -> None:
        try:
            while not self._stop.is_set():
                self._beats[name] = time.monotonic()
                step()
        except BaseException as error:
            self._failure = self._failure or error
            self._stop.set()

    def books(self) -> dict[str, int]:
        """Where keypoint frames went: received = generated + faceless + late + waiting + orphans + foreign + shed +
        inside (and what is being worked on just now). Pictures: taken = shown + skipped + dropped + cleared +
        ahead. Messages:
        unplaced, garbage."""
        inside, ahead, came = self._inbox.waiting, len(self._playout), self.reception
        done, playout = self._decoding.counters, self._playout.counters
        return {
            "received": came.frames, "generated": done.generated, "faceless": done.faceless, "late": done.late,
            "waiting": done.waiting, "orphans": done.orphans, "foreign": done.foreign,
            "shed": self._inbox.dropped_frames, "inside": inside, "unplaced": came.unplaced, "garbage": came.garbage,
            "taken": playout.taken, "shown": playout.shown, "skipped": playout.skipped, "dropped": playout.dropped,
            "cleared": playout.cleared, "ahead": ahead,
        }  # fmt: skip

    def _animate(self) -> None:
        if not self._is_prepared:
            self._is_prepared = True
            self._decoding.animator.prepare()
        if self._playout.begins:
            self._inbox.shed(1)  # what came while the pivot was being made ready is old
        message = self._inbox.get(0.25)
        if message is None:
            return
        # A stalled playout alone is a slow link, waiting bundles alone are a long buffer; both: we are slow ourselves.
        span = self._inbox.span if self._playout.stalled else 0
        hurry = span >= HURRY
        if hurry:
            now = time.monotonic()
            since = self._hurry_since = now if self._hurry_since is None else self._hurry_since
            if now - since >= SLOW_SECONDS:
                self._hurried += 1
                self._overloaded_until = now + RECOVERY
                if span >= SHED:
                    self._inbox.shed(SHED // 2)
        else:
            self._hurry_since = None
        for rebuilt in self._decoding.animator.push(message, hurry):
            with self._room:
                while len(self._handoff) >= HANDOFF and not self._stop.is_set():
                    self._beats["animate"] = time.monotonic()
                    self._room.wait(0.25)
                self._handoff.append(rebuilt)
                self._room.notify_all()
            self._beats["animate"] = time.monotonic()
            if self._stop.is_set():
                return

    def _upscale(self) -> None:
        with self._room:
            if not self._handoff or len(self._playout) >= self._ahead:
                self._room.wait(0.25)
            if not self._handoff or len(self._playout) >= self._ahead:
                return
            rebuilt = self._handoff.popleft()
            self._room.notify_all()
        frame = self._decoding.show(rebuilt)
        epoch = self._decoding.animator.epoch
        if self._record is not None and epoch is not None and self._record.wants(frame.number):
            self._record.save(epoch.stream, frame.number, frame.picture)
        waiting = self._inbox.span
        with self._room:
            # Where hardly anything is finished, what waits is this machine's fault.
            behind = waiting + len(self._handoff) if len(self._playout) >= LEAST_AHEAD else 0
            self._playout.push(frame, time.monotonic() < self._overloaded_until, behind)

    def _tick_until_stopped(self) -> None:
        picture = slate(self._decoding.upscaler.size)
        began = at = time.monotonic()
        checked = told = began
        before = self._reading(began)
        while not self._stop.is_set():
            with self._room:
                frame = self._playout.due(at)
                if frame is not None:
                    self._room.notify_all()
            if frame is not None:
                picture = frame.picture
            self._sinks.show(picture)
            epoch = self._decoding.animator.epoch
            if frame is not None and self._trace is not None and epoch is not None:
                self._trace.frame(time.monotonic(), frame.number, epoch.stream)
            self._notifier.ready()
            if at - checked >= 1.0:
                checked = at
                self._check(at)
            if at - told >= self._status_seconds:
                told = at
                before = self._tell(before, at)
            at += self._playout.period
            now = time.monotonic()
            if now - at > 0.5:
                at = now  # the machine slept; ticks are not made up for
            self._stop.wait(max(0.0, at - now))

    def _check(self, now: float) -> None:
        if now - self.reception.heard > SILENCE:
            what = "nothing that this version understands" if self.reception.talks_nonsense else "nothing"
            self._silent.begin(f"{what} comes from {self._name}; the last picture stays, connecting goes on")
        else:
            self._silent.end(f"{self._name} is heard again")
        problem = self._decoding.problem
        if problem is not None:
            self._differs.begin(problem)
        else:
            self._differs.end("the sender's networks are ours now")
        late = [name for name, beat in self._beats.items() if now - beat > STUCK]
        if late:
            self._stuck.begin(f"{late[0]} has not moved for {STUCK:.0f} s; the watchdog is not fed")
        else:
            self._stuck.end("all workers move again")
        if not late and self._sinks_flow():
            self._notifier.alive()

    def _reading(self, now: float) -> DecoderStatus:
        """All counters at this moment."""
        decoding, playout, epoch = self._decoding, self._playout, self._decoding.animator.epoch
        newest = decoding.animator.newest
        age = None if epoch is None or newest is None else max(0.0, (newest - epoch.first_frame) / epoch.fps)
        return DecoderStatus(
            time=now,
            traffic=self.reception.traffic,
            decoding=decoding.counters.copy(),
            playout=playout.counters.copy(),
            pivot_age=age,
            delay=playout.delay,
            garbage=self.reception.garbage,
            dropped=self._inbox.dropped,
            hurried=self._hurried,
        )

    def _tell(self, before: DecoderStatus, now: float) -> DecoderStatus:
        self.status = status = self._reading(now)
        text, fields = status.since(before)
        log.info("%s", text, extra={"fields": {"event": "status", **fields}})
        if self._trace is not None:
            self._trace.status(now, fields)
            self._trace.books(now, self.books())
        self._notifier.status(text)
        if status.hurried > before.hurried:
            self._hurries.begin("this machine is too slow for the stream; interpolated frames are left out at times")
        else:
            self._hurries.end("this machine keeps up again")
        return status


def open_set(config: DecoderNetworkConfig, notifier: Notifier, streams: int = 1) -> Networks:
    """The decoder's networks, for so many streams. The service manager is told when engines have to be built."""

    def say(text: str) -> None:
        log.info("%s", text)
        notifier.starting(text)

    # Two stages run side by side, so each has half of the cores.
    threads = max(1, config.threads // 2)
    return open_networks(
        config.models, threads, provider=config.provider, precision=config.precision, batch=streams, say=say
    )


def open_decoder(
    config: DecoderConfig,
    networks: Networks,
    notifier: Notifier,
    stop: threading.Event,
    link: Subscriber | None = None,
) -> Decoder:
    """A decoder with its link (None: opened here) and its sinks, ready to run. Raises ConfigError, SinkError,
    MissingDependency."""
    cache = PivotCache(config.cache_directory())
    if cache.fault:
        log.warning("pivots are kept in memory only: %s", cache.fault)
    decoding = Decoding(networks, config.size, cache)
    sinks = SinkSet(config.sinks, config.size, FPS)
    try:
        receiver = open_link(config) if link is None else link
    except BaseException:
        sinks.close()
        raise
    log.info("decoder: %s -> %s, %dx%d", config.connect, ", ".join(config.sinks), config.size, config.size)
    return Decoder(
        decoding,
        receiver,
        sinks,
        Playout(FPS, config.buffer, capacity=2 * AHEAD),
        notifier,
        stop,
        sinks_flow=lambda: any(state.open for state in sinks.states()),
        status_seconds=float(os.environ.get("FACEWIRE_STATUS_SECONDS", STATUS_SECONDS)),
        name=config.connect,
        record=recorder("shown"),
        trace=trace(),
        device=receiver.device,
    )


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def run(config: DecoderConfig, stop: threading.Event | None = None, link: Subscriber | None = None) -> int:
    """Run the daemon until SIGTERM or SIGINT (or until `stop` is set). link: its link, if that is open. Returns the
    exit code.

    Raises ModelError, ConfigError, MissingDependency for what only a person can mend.
    """
    stop = stop_on_signals() if stop is None else stop
    cv2.setNumThreads(1)  # our own threads fill the cores
    keep_small(stop)
    link = open_link(config) if link is None else link
    notifier = Notifier()
    try:
        decoder = open_decoder(config, open_set(config.network, notifier), notifier, stop, link)
    except BaseException:
        link.close()
        raise
    try:
        decoder.run()
    finally:
        notifier.stopping()
    return 0
