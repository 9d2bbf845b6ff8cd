"""The encoder daemon: the outer loop around source, encoding and link. Clock, socket and threads live here.

    source (thread) --12 frames-> encoding --> sending --under the profile's ceiling--> hub
                                                  ^---------------reports--------------'

One thread does all but reading the source. With nobody listening nothing is queued; who joins is told the epoch at once
and gets the pivot's slices between the keypoints.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from facewire.coding.encoding import Encoding, open_encoding
from facewire.coding.pivots import Limits
from facewire.coding.shelf import Shelf
from facewire.config import EncoderConfig
from facewire.keeper import SourceKeeper
from facewire.ledger import Ledger
from facewire.link.acquaintance import Acquaintances
from facewire.link.cost import Traffic
from facewire.link.hub import Hub
from facewire.logs import Fault
from facewire.memory import keep_small
from facewire.outgoing.economy import Economy, still_bytes
from facewire.outgoing.sending import Link, Sending
from facewire.profiles import Profile
from facewire.record import Recorder, recorder
from facewire.service import Notifier
from facewire.status import EncoderStatus
from facewire.trace import Trace, trace
from facewire.types import Frame, Message

log = logging.getLogger(__name__)

TICK = 0.02
"""Seconds between two looks at the outbox: how late a message may be."""
STATUS_SECONDS = 10.0
FLOWING = 5.0
"""Seconds without a coded frame after which the watchdog is not fed."""
REST_SECONDS = 300.0
"""A machine that was too slow goes without deformations for so long."""
WARM_FRAMES = 100
"""Frames after which it counts when the machine does not keep up."""
SEND_BUFFER = 65_536
"""Bytes of the kernel's buffer for a connection. What is on the way lies in it as well, and a bundle of 80 bytes takes
over a kilobyte of it; where it is too small, bundles wait for acknowledgements. How much is on the way is Sending's to
say, not this buffer's."""


class Keeper(Protocol):
    """Where frames come from (keeper.SourceKeeper)."""

    trouble: str | None
    dropped: int

    @property
    def is_empty(self) -> bool: ...

    def read(self, timeout: float) -> Frame | None: ...

    def close(self) -> None: ...


class Encoder:
    """The daemon's parts. `run` works until `stop` is set or a file source has ended; everything is closed then."""

    def __init__(
        self,
        encoding: Encoding,
        source: Keeper,
        link: Link,
        profile: Profile,
        notifier: Notifier,
        stop: threading.Event,
        status_seconds: float = STATUS_SECONDS,
        record: Recorder | None = None,
        trace: Trace | None = None,
        shelf: Shelf | None = None,
        ledger: Ledger | None = None,
        interface: str = "",
        acquaintances: Acquaintances | None = None,
    ) -> None:
        self._shelf = shelf
        self._kept: set[bytes] = set()
        self._trace = trace
        self.status: EncoderStatus | None = None
        self._encoding, self._source, self._link, self._profile = encoding, source, link, profile
        self._notifier, self._stop, self._status_seconds, self._record = notifier, stop, status_seconds, record
        self._sending = Sending(link, profile, self._coded_pivot, self._on_sent, acquaintances, self._on_named)
        self._economy = Economy(encoding, self._sending, profile, ledger or Ledger(None), time.monotonic(), interface)
        self._reminded = self._coded = float("-inf")
        self._lost = Fault(log, "source-lost", logging.ERROR)
        self._faceless = Fault(log, "no-face")
        self._slow = Fault(log, "too-slow")
        self._rested = 0.0

    def run(self) -> None:
        """Send until `stop` is set."""
        self._notifier.ready()
        before = self._reading(time.monotonic())
        try:
            while not self._stop.is_set() and not self._source.is_empty:
                frame = self._source.read(TICK)
                now = time.monotonic()
                if frame is not None:
                    self._serve(now)  # coding takes a while, and who has just come is half way through his handshake
                    self._coded = now
                    self._queue(self._encoding.push(frame), now)
                    self._keep()
                    self._save(frame)
                self._serve(now)
                self._check(now)
                if now - before.time >= self._status_seconds:
                    before = self._tell(before, now)
            self._queue(self._encoding.flush(), time.monotonic())
            self._sending.drain()
        finally:
            if self._trace is not None:
                self._trace.books(time.monotonic(), self._sending.books())
            self._economy.ledger.write()
            self._source.close()
            self._link.close()

    def _serve(self, now: float) -> None:
        """Receivers and the link."""
        sending = self._sending
        sending.listen(now)
        sending.meet(self._encoding.epoch, now)
        for receiver in sending.newcomers():
            sending.greet(receiver, self._encoding.announce(), now)
        if now - self._reminded >= self._profile.announce_interval:
            self._reminded = now
            self._queue(self._encoding.announce(pivots=False), now)
        sending.pump(now)
        self._economy.look(now, time.time(), self._link.totals)
        pending = self._encoding.pending
        if pending is not None and sending.delivered(pending, everywhere=self._encoding.refining):
            self._encoding.pivot_sent(pending)

    def _queue(self, messages: list[Message], now: float) -> None:
        if not messages:
            return
        epoch, pending = self._encoding.epoch, self._encoding.pending
        current = None if epoch is None else epoch.pivot_id
        messages = self._economy.passes(messages, now)
        self._sending.offer(messages, current, [name for name in (current, pending) if name is not None], now)

    def _coded_pivot(self, pivot_id: bytes) -> bytes | None:
        return next((taken.data for taken in self._encoding.in_use if taken.pivot_id == pivot_id), None)

    def _on_sent(self, message: Message, receiver: str) -> None:
        epoch = self._encoding.epoch
        if self._trace is not None:
            self._trace.message(time.monotonic(), "sent", message, 0 if epoch is None else epoch.stream, receiver)

    def _on_named(self, before: str, device: str) -> None:
        if self._trace is not None:
            self._trace.named(time.monotonic(), before, device)

    def _keep(self) -> None:
        """Put pivots that came into use on the shelf, so that they outlive us."""
        lasting = {taken.pivot_id: taken for taken in self._encoding.lasting}
        if self._shelf is not None and set(lasting) - self._kept:
            for pivot_id in set(lasting) - self._kept:
                self._shelf.keep(lasting[pivot_id])
        self._kept = set(lasting)

    def _save(self, frame: Frame) -> None:
        epoch = self._encoding.epoch
        if self._trace is not None and epoch is not None:
            self._trace.frame(frame.time, self._encoding.number, epoch.stream)
        if self._record is None or epoch is None or not self._record.wants(self._encoding.number):
            return
        view = self._encoding.view(frame.picture)
        if view is not None:
            self._record.save(epoch.stream, self._encoding.number, view)

    def _check(self, now: float) -> None:
        trouble = self._source.trouble
        if trouble is not None:
            self._lost.begin(f"{trouble}; trying again")
        elif self._lost.active:
            self._lost.end("the source is back")
        if trouble is None and self._encoding.counters.frames:
            if self._encoding.face_seen:
                self._faceless.end("there is a face")
            else:
                self._faceless.begin("no face in the picture; receivers hold what they show")
        if now - self._coded < FLOWING:
            self._notifier.alive()

    def _reading(self, now: float) -> EncoderStatus:
        encoding, epoch = self._encoding, self._encoding.epoch
        return EncoderStatus(
            time=now,
            traffic=self._traffic(),
            encoding=encoding.counters,
            pivot_age=None if epoch is None else (encoding.number - epoch.first_frame) / epoch.fps,
            receivers=len(self._sending.receivers),
            garbage=self._sending.garbage,
            dropped=self._sending.dropped,
            missed=self._source.dropped,
            step=self._economy.step,
            words=self._economy.words(),
            today=self._economy.ledger.today,
            hour=self._economy.ledger.this_hour,
            turned_away=self._link.counters.refused + self._link.counters.denied,
        )

    def _traffic(self) -> Traffic:
        """As the kernel counted it where it did."""
        totals = self._link.totals
        return replace(self._link.traffic, wire=totals.sent + totals.received + totals.strangers)

    def _tell(self, before: EncoderStatus, now: float) -> EncoderStatus:
        self.status = status = self._reading(now)
        text, fields = status.since(before)
        log.info("%s", text, extra={"fields": {"event": "status", **fields}})
        if self._trace is not None:
            self._trace.status(now, fields)
            self._trace.books(now, self._sending.books())
        self._notifier.status(self._source.trouble or text)
        read = status.encoding.frames - before.encoding.frames
        # The first seconds load networks and code the first pivot.
        if status.missed - before.missed > max(2, read // 10) and before.encoding.frames > WARM_FRAMES:
            if self._encoding.deforming:
                self._encoding.deforming, self._rested = False, now
                log.warning("this machine is too slow for its camera: no deformations for %.0f s", REST_SECONDS)
            else:
                self._slow.begin("this machine is too slow for its camera; frames are left out")
        else:
            self._slow.end("this machine keeps up again")
            self._encoding.deforming = self._encoding.deforming or now - self._rested > REST_SECONDS
        return status


def run(config: EncoderConfig, stop: threading.Event | None = None) -> int:
    """Run the daemon until SIGTERM or SIGINT (or until `stop` is set, or a file without ?loop ends). Returns the code.

    Raises SourceError, ModelError, ConfigError, MissingDependency for what only a person can mend.
    """
    if stop is None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    import cv2

    cv2.setNumThreads(1)
    keep_small(stop)
    profile = config.link()
    rate = profile.ceiling_kbps * 1000 / 8
    link = Hub(config.bind, config.curve.directory(config.bind), send_buffer=SEND_BUFFER, rate=rate)
    background, beside = ThreadPoolExecutor(1, "finer"), ThreadPoolExecutor(1, "faces")
    notifier = Notifier()
    try:
        asked = config.pivots
        limits = Limits(asked.yaw, asked.pitch, asked.roll, asked.background, asked.unlike or float("inf"))
        with link.answering():
            encoding = open_encoding(
                profile,
                config.network.models,
                config.fps,
                config.network.threads,
                config.pivots.policy,
                limits,
                paced=True,
                background=background,
                beside=beside,
            )
            shelf = Shelf(config.cache_directory(), profile.pivot_bytes)
            encoding.recall(shelf.offer())
            source = SourceKeeper(config.source, config.fps)
    except BaseException:
        link.close()
        raise
    log.info("encoder: %s -> %s, profile %s", source.name, link.endpoint, profile.name)
    cap = round(config.budget.megabytes_per_day * 1e6)
    ledger = Ledger(config.state_directory() / "ledger.json", cap, still_bytes(profile))
    encoder = Encoder(
        encoding,
        source,
        link,
        profile,
        notifier,
        stop,
        float(os.environ.get("FACEWIRE_STATUS_SECONDS", STATUS_SECONDS)),
        recorder("real"),
        trace(),
        shelf,
        ledger,
        config.budget.interface,
        Acquaintances(config.state_directory() / "devices.json"),
    )
    try:
        encoder.run()
    finally:
        background.shutdown()
        beside.shutdown()
        notifier.stopping()
    return 0
