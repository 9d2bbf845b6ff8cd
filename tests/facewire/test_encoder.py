from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.facewire.coding.test_encoding import Bench, camera

from facewire.coding.keyframes import EncodingCounters
from facewire.config import load_encoder
from facewire.encoder import Encoder, run
from facewire.errors import ConfigError, FacewireError
from facewire.link.cost import Traffic
from facewire.link.hub import Arrival, Hub, HubCounters, Peer
from facewire.link.subscriber import Subscriber
from facewire.link.wires import Totals
from facewire.profiles import profile
from facewire.record import Recorder, recorder
from facewire.service import Notifier
from facewire.status import EncoderStatus
from facewire.types import Bundle, Epoch, Frame, Message, PivotSlice
from facewire.wire.assembler import PivotAssembler
from facewire.wire.packets import Parser
from facewire.wire.returns import Report, pack_report

LINK = replace(profile("lan"), bundle_frames=2, announce_interval=0.5)


@dataclass
class Link:
    """A link in memory; `join()` is a new receiver, `sent` what all of them got."""

    traffic: Traffic = field(default_factory=Traffic)
    totals: Totals = field(default_factory=Totals)
    peers: dict[bytes, Peer] = field(default_factory=dict)
    encrypted: bool = False
    counters: HubCounters = field(default_factory=HubCounters)
    sent: list[Message] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    closed: bool = False
    parsers: dict[bytes, Parser] = field(default_factory=dict)

    def join(self) -> None:
        peer = Peer(bytes([len(self.peers)]), 0, "there")
        self.peers[peer.identity] = peer
        device = len(self.peers).to_bytes(4, "big")
        self.arrivals.append(Arrival(peer, pack_report(Report(device, hello=True, complete=True))))

    def send(self, identity: bytes, data: bytes) -> bool:
        self.sent.append(self.parsers.setdefault(identity, Parser()).parse(data))
        self.traffic = self.traffic.plus(len(data), False)
        return True

    def poll(self) -> list[Arrival]:
        arrivals, self.arrivals = self.arrivals, []
        return arrivals

    def state(self, peer: Peer) -> None:
        return None

    def silent(self) -> list[int]:
        return []

    def moved(self) -> list[bytes]:
        return []

    def release(self) -> None:
        pass

    def newcomers(self) -> tuple[bytes, ...]:
        return ()

    def meet(self, fd: int, identity: bytes, data: bytes) -> None:
        return None

    def cut(self, peer: Peer) -> None:
        self.peers.pop(peer.identity, None)

    def close(self) -> None:
        self.closed = True


@dataclass
class Film:
    """A source of so many frames, 25 a second by their times, given out at once or each `pause` seconds."""

    frames: int
    pause: float = 0.0
    trouble: str | None = None
    dropped: int = 0
    read_so_far: int = 0
    on_frame: dict[int, Callable[[], None]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return self.read_so_far >= self.frames

    def read(self, timeout: float) -> Frame | None:
        if self.trouble:
            time.sleep(timeout)
            return None
        time.sleep(self.pause)
        number = self.read_so_far
        self.read_so_far += 1
        self.on_frame.get(number, lambda: None)()
        return Frame(camera(number), number / 25)

    def close(self) -> None:
        self.trouble = "closed"


def daemon(film: Film, link: Link, bench: Bench | None = None, **more: object) -> Encoder:
    bench = bench or Bench(paced=True)
    record = more.get("record")
    return Encoder(
        bench.encoding,
        film,
        link,
        LINK,
        Notifier({}),
        threading.Event(),
        float(str(more.get("status_seconds", 10.0))),
        record if isinstance(record, Recorder) else None,
    )


def test_with_nobody_listening_nothing_is_sent_and_all_is_ready() -> None:
    film, link, bench = Film(60), Link(), Bench(paced=True)
    daemon(film, link, bench).run()
    assert link.sent == []
    assert link.closed
    assert bench.encoding.epoch is not None


def test_who_joins_gets_epoch_pivot_and_keypoints() -> None:
    link = Link()
    film = Film(90, pause=0.005, on_frame={20: link.join})
    daemon(film, link).run()
    assert isinstance(link.sent[0], Epoch)
    slices = [message for message in link.sent if isinstance(message, PivotSlice)]
    assembler = PivotAssembler()
    assert any(assembler.add(part) for part in slices)
    first_bundle = next(at for at, message in enumerate(link.sent) if isinstance(message, Bundle))
    assert first_bundle > link.sent.index(slices[-1])
    last = link.sent[-1]
    assert isinstance(last, Bundle)
    assert last.frames[-1].number == 89


def test_the_second_to_join_does_not_stop_the_keypoints() -> None:
    link = Link()
    film = Film(260, pause=0.005, on_frame={10: link.join, 120: link.join})
    daemon(film, link).run()
    epochs = [at for at, message in enumerate(link.sent) if isinstance(message, Epoch)]
    numbers = [frame.number for m in link.sent if isinstance(m, Bundle) for frame in m.frames]
    assert len(epochs) >= 2
    late = {number for number in numbers if 100 < number < 259}
    assert late == set(range(102, 259, 2))


def test_status_says_what_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    link = Link()
    encoder = daemon(Film(120, pause=0.005, on_frame={0: link.join}), link, status_seconds=0.2)
    with caplog.at_level(logging.INFO):
        encoder.run()
    assert encoder.status is not None
    lines = [record.getMessage() for record in caplog.records if "kbit/s all-in" in record.getMessage()]
    assert lines
    assert "1 receiver" in lines[-1]


def test_faults_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(paced=True)
    face = bench.faces.face
    link = Link()

    def hide() -> None:
        bench.faces.face = None

    def come_back() -> None:
        bench.faces.face = face

    film = Film(200, pause=0.001, on_frame={50: hide, 120: come_back})
    with caplog.at_level(logging.INFO):
        daemon(film, link, bench).run()
    texts = [record.getMessage() for record in caplog.records]
    assert sum("no face" in text for text in texts) == 1
    assert sum("there is a face" in text for text in texts) == 1


def test_a_source_that_is_gone_is_logged_and_the_watchdog_starves(caplog: pytest.LogCaptureFixture) -> None:
    film = Film(10**6, trouble="v4l2:/dev/video0: unplugged")
    encoder = daemon(film, Link())
    thread = threading.Thread(target=encoder.run)
    with caplog.at_level(logging.INFO):
        thread.start()
        time.sleep(0.3)
        encoder._stop.set()
        thread.join(5.0)
    assert sum("unplugged; trying again" in record.getMessage() for record in caplog.records) == 1


def test_the_status_line() -> None:
    before = EncoderStatus(0.0, Traffic(), EncodingCounters(), None, 0, 0, 0, 0)
    after = EncoderStatus(10.0, Traffic(10, 100, 12_500), EncodingCounters(250, 125, 1, 0, 3), 9.6, 2, 7, 1, 0)
    text, fields = after.since(before)
    assert text == (
        "25.0 fps read, 12.5 keypoint frames/s, 10.00 kbit/s all-in, pivot 10 s old, 2 receivers, "
        "3 without a face, 1 bundles dropped, 7 garbage, 0.00 MB today"
    )
    assert fields["receivers"] == 2


def test_frames_are_recorded_by_number(tmp_path: Path) -> None:
    record = recorder("real", {"FACEWIRE_RECORD": f"{tmp_path}:25"})
    assert record is not None
    daemon(Film(60), Link(), record=record).run()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["00000007-00000025-real.png", "00000007-00000050-real.png"]
    assert recorder("real", {}) is None
    assert recorder("real", {"FACEWIRE_RECORD": "/no/such/directory"}) is None


def listen(endpoint: str, seconds: float, kinds: set[str]) -> dict[str, int]:
    subscriber = Subscriber(endpoint)
    hello = pack_report(Report(secrets.token_bytes(4), hello=True, complete=True))
    said = False
    found: dict[str, int] = {}
    parser = Parser()
    end = time.monotonic() + seconds
    while time.monotonic() < end and not kinds <= set(found):
        data = subscriber.receive(0.1)
        said = said or subscriber.send(hello)
        if data is not None:
            name = type(parser.parse(data)).__name__
            found[name] = found.get(name, 0) + 1
    subscriber.close()
    return found


def test_the_real_daemon_over_tcp(tiny_models: Path) -> None:
    pytest.importorskip("mediapipe")
    probe = Hub("tcp://127.0.0.1:*")
    endpoint = probe.endpoint
    probe.close()
    overrides = {"source": "sample:", "bind": endpoint, "profile": "lan", "network.models": str(tiny_models)}
    stop = threading.Event()
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run(load_encoder(None, overrides), stop)))
    thread.start()
    try:
        wanted = {"Epoch", "PivotSlice", "Bundle"}
        assert set(listen(endpoint, 30.0, wanted)) == wanted
        assert set(listen(endpoint, 10.0, wanted)) == wanted  # one that joins late
    finally:
        stop.set()
        thread.join(10.0)
    assert codes == [0]


def test_what_cannot_start_is_one_line(tiny_models: Path, tmp_path: Path) -> None:
    blocker = Hub("tcp://127.0.0.1:*")
    with pytest.raises(ConfigError, match="cannot listen"):
        run(load_encoder(None, {"bind": blocker.endpoint}), threading.Event())
    blocker.close()
    with pytest.raises(FacewireError):
        run(
            load_encoder(None, {"source": f"file:{tmp_path}/no.mp4", "network.models": str(tiny_models)}),
            threading.Event(),
        )
