"""The daemon's loop with a made-up link and screen; the real ones have tests of their own."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.facewire.told import Told

from facewire.decoder import Decoder
from facewire.errors import ModelError
from facewire.link.cost import Traffic
from facewire.networks import Networks, open_networks
from facewire.showing.decoding import Decoding
from facewire.showing.playout import Playout
from facewire.showing.slate import slate
from facewire.types import Bundle, Epoch, KeypointFrame, Message, Picture, PivotSlice, ShownFrame
from facewire.wire.packets import pack
from facewire.wire.pivot import content_id, encode_pivot
from facewire.wire.returns import Report, parse_report

SIZE = 64
PIVOT = encode_pivot(np.full((256, 256, 3), 90, np.uint8), 4000)
PATIENCE = 20.0


class Link:
    """A receiver that tests write into."""

    def __init__(self) -> None:
        self.traffic = Traffic()
        self.closed = False
        self.connections = 1
        self.reports: list[Report] = []
        self._waiting: deque[bytes] = deque()

    def arrive(self, *messages: Message | bytes) -> None:
        self._waiting.extend(m if isinstance(m, bytes) else pack(m) for m in messages)

    @property
    def empty(self) -> bool:
        return not self._waiting

    def receive(self, timeout: float = 0.0) -> bytes | None:
        if not self._waiting:
            time.sleep(min(timeout, 0.01))
            return None
        data = self._waiting.popleft()
        self.traffic = self.traffic.plus(len(data), False)
        return data

    def send(self, data: bytes) -> bool:
        self.reports.append(parse_report(data))
        return True

    def close(self) -> None:
        self.closed = True


class Screen:
    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self.closed = False

    def show(self, picture: Picture) -> None:
        self.pictures.append(picture)

    @property
    def levels(self) -> list[int]:
        """Mean brightness of each different picture in a row."""
        out: list[int] = []
        for picture in list(self.pictures):
            level = round(float(picture[8:-8, 8:-8].mean()))
            if not out or out[-1] != level:
                out.append(level)
        return out

    def close(self) -> None:
        self.closed = True


class Daemon:
    """A running decoder."""

    def __init__(
        self, networks: Networks, flow: Callable[[], bool] = lambda: True, status_seconds: float = 0.5
    ) -> None:
        self.link, self.screen, self.told, self.stop = Link(), Screen(), Told(), threading.Event()
        self.decoding = Decoding(networks, SIZE)
        self.decoder = Decoder(
            self.decoding,
            self.link,
            self.screen,
            Playout(),
            self.told,
            self.stop,
            flow,
            status_seconds,
            "tcp://there:1",
        )
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.decoder.run()
        except BaseException as error:
            self.error = error

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, what
            time.sleep(0.01)

    def join(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.join()


@pytest.fixture(scope="module")
def networks(tiny_models: Path) -> Networks:
    return open_networks(tiny_models)


def epoch(networks: Networks, stream: int = 1, number: int = 0) -> Epoch:
    return Epoch(stream, number, 0, content_id(PIVOT), len(PIVOT), 256, 25.0, 1, networks.id, 1.0)


def opening(networks: Networks, stream: int = 1) -> list[Message]:
    return [epoch(networks, stream), PivotSlice(content_id(PIVOT), 0, len(PIVOT), PIVOT)]


def bundle(numbers: Iterable[int], grid: int = 0) -> Bundle:
    points = np.full((10, 2), grid, np.int16)
    return Bundle(0, tuple(KeypointFrame(number, points) for number in numbers))


def test_slate_says_that_it_waits() -> None:
    picture = slate(512)
    assert picture.shape == (512, 512, 3)
    assert 10 < picture.mean() < 30
    assert picture.max() > 100


def test_slate_first_then_pictures_then_everything_is_closed(networks: Networks) -> None:
    with Daemon(networks) as daemon:
        daemon.wait(lambda: len(daemon.screen.pictures) > 3, "slate is shown before anything came")
        assert np.array_equal(daemon.screen.pictures[0], slate(SIZE))
        assert daemon.told.said[0] == "ready"
        daemon.link.arrive(*opening(networks), bundle(range(0, 20, 2)))
        daemon.wait(lambda: daemon.decoder._playout.counters.shown == 19, "19 frames are shown")
        daemon.wait(lambda: "alive" in daemon.told.said, "the watchdog is fed")
        daemon.wait(lambda: any("fps shown" in text for text in daemon.told.said), "status is told")
    assert daemon.error is None
    assert daemon.link.closed
    assert daemon.screen.closed


def test_ten_thousand_garbage_messages_change_a_counter_only(networks: Networks) -> None:
    dice = random.Random(5)
    with Daemon(networks) as daemon:
        daemon.link.arrive(*opening(networks), bundle(range(0, 6, 2)))
        daemon.wait(lambda: daemon.decoder._playout.counters.shown == 5, "pictures before")
        for _ in range(10_000):
            daemon.link.arrive(dice.randbytes(dice.randrange(200)))
        daemon.link.arrive(bundle(range(6, 12, 2)))
        daemon.wait(lambda: daemon.decoding.counters.generated == 6, "pictures after")
        assert 9_000 < daemon.decoder.reception.garbage + daemon.decoder.reception.unplaced <= 10_000
        assert daemon.decoding.counters.streams == 1
        assert daemon.decoding.counters.bad_pivots == 0
    assert daemon.error is None


def test_bent_packets_of_ours_do_no_harm(networks: Networks) -> None:
    dice = random.Random(6)
    packets = [pack(message) for message in [*opening(networks), bundle(range(0, 6, 2), 9)]]
    with Daemon(networks) as daemon:
        daemon.link.arrive(*opening(networks), bundle(range(0, 6, 2)))
        daemon.wait(lambda: daemon.decoder._playout.counters.shown == 5, "pictures before")
        for _ in range(3_000):
            bent = bytearray(dice.choice(packets))
            for _ in range(dice.randrange(1, 4)):
                bent[dice.randrange(len(bent))] = dice.randrange(256)
            daemon.link.arrive(bytes(bent[: dice.randrange(1, len(bent) + 1)]))
        daemon.wait(lambda: daemon.link.empty, "all is read")
        daemon.link.arrive(*opening(networks, stream=2), bundle(range(0, 6, 2), 30))
        daemon.wait(lambda: daemon.decoder._playout.counters.restarts >= 1, "a new stream plays")
    assert daemon.error is None


def test_a_sender_that_starts_again_is_followed(networks: Networks) -> None:
    with Daemon(networks) as daemon:
        daemon.link.arrive(*opening(networks), bundle(range(1000, 1010, 2)))
        daemon.wait(lambda: daemon.decoder._playout.counters.shown == 9, "first stream")
        daemon.link.arrive(*opening(networks, stream=2), bundle(range(0, 10, 2), grid=20))
        daemon.wait(lambda: daemon.decoder._playout.counters.shown == 18, "second stream")
        assert len(daemon.screen.levels) == 3  # slate, first, second


def test_other_networks_hold_the_picture_and_are_logged_once(
    networks: Networks, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Daemon(networks, status_seconds=60) as daemon:
        daemon.link.arrive(*opening(networks), bundle(range(0, 6, 2)))
        daemon.wait(lambda: daemon.decoder._playout.counters.shown == 5, "pictures before")
        for number in range(3):
            daemon.link.arrive(replace(epoch(networks, 1, 1), network=b"\0\0\0\1"))
            daemon.link.arrive(Bundle(1, bundle(range(6 + 2 * number, 8 + 2 * number, 2), 90).frames))
        daemon.wait(lambda: daemon.decoding.counters.foreign == 3, "foreign frames are counted")
        daemon.wait(lambda: "install the same models" in caplog.text, "it is logged")
        shown = len(daemon.screen.pictures)
        daemon.wait(lambda: len(daemon.screen.pictures) > shown + 30, "the picture stays")
        assert len(daemon.screen.levels) == 2
    assert caplog.text.count("install the same models") == 1


def test_a_dead_worker_ends_the_daemon_with_its_error(networks: Networks) -> None:
    class Broken:
        inputs = networks["generator"].inputs
        outputs = networks["generator"].outputs

        def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
            raise ModelError("network generator: out of memory")

    broken = Networks(networks.id, {**networks.sessions, "generator": Broken()})
    daemon = Daemon(broken)
    daemon.link.arrive(*opening(networks), bundle([0]))
    daemon.join()
    assert isinstance(daemon.error, ModelError)
    assert daemon.screen.closed


def test_the_watchdog_starves_when_no_sink_takes_pictures(networks: Networks) -> None:
    with Daemon(networks, flow=lambda: False) as daemon:
        daemon.link.arrive(*opening(networks), bundle(range(0, 60, 2)))
        counters = daemon.decoder._playout.counters
        daemon.wait(lambda: counters.shown + counters.skipped == 59, "frames come due")
    assert "alive" not in daemon.told.said


def test_a_machine_that_is_too_slow_leaves_interpolated_frames_out(networks: Networks) -> None:
    class Slow:
        inputs = networks["generator"].inputs
        outputs = networks["generator"].outputs

        def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
            time.sleep(0.3)
            return networks["generator"].run(inputs)

    slow = Networks(networks.id, {**networks.sessions, "generator": Slow()})
    with Daemon(slow) as daemon:
        daemon.link.arrive(*opening(networks), bundle([0]))
        daemon.wait(lambda: daemon.decoder._playout.counters.shown > 0, "the first picture is shown")
        daemon.link.arrive(*(bundle([number]) for number in range(2, 40, 2)))
        daemon.wait(lambda: daemon.decoding.animator.newest == 38, "the newest keypoint frame is made")
        assert daemon.decoding.counters.generated < 20
        assert daemon.decoding.counters.interpolated < 12
        daemon.wait(lambda: any("too slow" in text for text in daemon.told.said), "it is told")


def test_a_burst_waits_as_bytes_not_as_pictures(networks: Networks) -> None:
    with Daemon(networks) as daemon:
        daemon.link.arrive(*opening(networks), bundle([0]))
        daemon.wait(lambda: daemon.decoder._playout.counters.shown > 0, "the first picture is shown")
        daemon.link.arrive(*(bundle(range(start, start + 16, 2)) for start in range(2, 642, 16)))
        most = 0
        for _ in range(100):
            most = max(most, len(daemon.decoder._playout) + len(daemon.decoder._handoff))
            time.sleep(0.01)
        assert 0 < most <= 17
        assert daemon.decoder._playout.counters.dropped == 0


def test_a_burst_behind_a_packet_that_got_lost_is_no_slow_machine(
    networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facewire.decoder.HANDOFF", 100)
    decoder = Decoder(Decoding(networks, SIZE), Link(), Screen(), Playout(), Told(), threading.Event())
    for number in range(2):
        decoder._playout.push(ShownFrame(number, 0.04 * number, np.zeros((1, 1, 3), np.uint8), False))
    for tick in range(10):
        decoder._playout.due(0.04 * tick)
    assert decoder._playout.stalled
    for message in (*opening(networks), *(bundle(range(start, start + 12, 2)) for start in range(2, 62, 12))):
        decoder._inbox.put(message)
    while decoder._inbox.waiting:
        decoder._animate()
    assert decoder.books()["shed"] == 0
    assert decoder._overloaded_until == float("-inf")


def test_what_came_before_the_first_picture_could_be_made_is_not_shown(networks: Networks) -> None:
    decoder = Decoder(Decoding(networks, SIZE), Link(), Screen(), Playout(), Told(), threading.Event())
    for message in (*opening(networks), *(bundle([number]) for number in range(0, 100, 2))):
        decoder._inbox.put(message)
    while decoder._inbox.waiting:
        decoder._animate()
    assert [rebuilt.number for rebuilt in decoder._handoff] == [98]
    assert decoder.books()["shed"] == 49


def test_only_garbage_is_a_fault_that_says_so(
    networks: Networks, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facewire.decoder.SILENCE", 0.5)
    with Daemon(networks) as daemon:
        daemon.link.arrive(b"another version")
        daemon.wait(lambda: "nothing that this version understands comes from tcp://there:1" in caplog.text, "logged")
        caplog.set_level(logging.INFO)
        monkeypatch.setattr("facewire.decoder.SILENCE", 60.0)
        daemon.link.arrive(*opening(networks))
        daemon.wait(lambda: "is heard again" in caplog.text, "and its end as well")


def test_a_pivot_that_never_came_is_asked_for(networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facewire.incoming.patience.ASK_SECONDS", 0.2)
    with Daemon(networks) as daemon:
        daemon.link.arrive(epoch(networks), bundle(range(0, 6, 2)))
        daemon.wait(lambda: any(report.wants for report in daemon.link.reports), "the pivot is asked for")
        daemon.link.arrive(*opening(networks), bundle(range(6, 12, 2)))
        daemon.wait(lambda: daemon.decoder._playout.counters.shown > 0, "pictures once it is there")
