"""The rig: its arithmetic exactly, and the whole of it in short form where namespaces can be made."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facewire.config import load_encoder
from facewire.errors import ConfigError
from facewire.profiles import PROFILES
from facewire_export.rig import measure
from facewire_export.rig.command import ended_by_sigterm
from facewire_export.rig.daemons import encryption
from facewire_export.rig.measure import Recorded, Shown
from facewire_export.rig.scenario import DEEDS, load
from facewire_export.rig.shaper import Shape, Shaper
from facewire_export.rig.tunnel import SETTINGS, Passed, unavailable


def test_a_packet_waits_its_turn_and_its_way() -> None:
    shaper = Shaper(Shape(rate_kbps=8.0, delay=0.3, queue=2.0))
    assert shaper.offer(0.0, 500) == pytest.approx(0.5 + 0.3)
    assert shaper.offer(0.1, 500) == pytest.approx(1.0 + 0.3)
    assert shaper.offer(0.1, 1500) == pytest.approx(2.5 + 0.3)
    assert shaper.offer(0.2, 10) is None  # the queue is longer than two seconds
    assert shaper.offer(10.0, 500) == pytest.approx(10.5 + 0.3)
    assert shaper.lost == 1


def test_loss_is_random_and_repeatable() -> None:
    def passed(seed: int) -> list[bool]:
        shaper = Shaper(Shape(loss=0.05), seed)
        return [shaper.offer(float(n), 100) is not None for n in range(4000)]

    assert passed(1) == passed(1) != passed(2)
    assert 120 < passed(1).count(False) < 280


def test_nothing_passes_in_an_outage_not_even_what_was_on_its_way() -> None:
    shaper = Shaper(Shape(delay=1.0))
    shaper.outage(10.0, 30.0)
    passed = [shaper.offer(at, 100) is not None for at in (8.9, 9.1, 10.0, 39.9, 40.0)]
    assert passed == [True, False, False, False, True]


def packets(rate_kbps: float, seconds: float, begin: float = 0.0) -> list[Passed]:
    """Ten packets a second."""
    length = round(rate_kbps * 1000 / 8 / 10)
    return [Passed(begin + n / 10, length, n % 2 == 0) for n in range(round(seconds * 10))]


def test_rates_are_the_worst_window_and_the_mean() -> None:
    run = packets(8.0, 100) + packets(16.0, 30, 100.0) + packets(8.0, 170, 130.0)
    found = measure.rates(run, 0.0, 300.0, 60.0)
    assert found["window_s"] == 60.0
    assert found["max_kbps"] == pytest.approx(12.0, rel=0.01)
    assert found["windows"] == 181
    short = measure.rates(packets(8.0, 20), 0.0, 20.0, 60.0)
    assert (short["window_s"], short["windows"]) == (20.0, 1)
    assert short["max_kbps"] == pytest.approx(8.0, rel=0.02)
    assert sum(map(sum, measure.each_second(run, 0.0, 300.0))) == sum(packet.length for packet in run)


def still(begin: float, end: float, age: float = 0.3) -> list[Shown]:
    return [Shown(begin + n * 0.04, age) for n in range(round((end - begin) / 0.04))]


def test_recovery_is_when_the_picture_is_live_again_and_stays_so() -> None:
    frames = [*still(0, 100), Shown(131.0, 30.0), *still(132.5, 200)]
    assert measure.recovery(frames, 130.0, 0.3, 200.0) == pytest.approx(2.5, abs=0.11)
    assert measure.recovery(still(0, 200), 130.0, 0.3, 200.0) == 0.0
    assert measure.recovery(still(0, 100), 130.0, 0.3, 200.0) is None
    flicker = still(0, 100) + still(131, 132) + still(136, 200)
    assert measure.recovery(flicker, 130.0, 0.3, 200.0) == pytest.approx(6.0, abs=0.11)


def test_delays_are_from_the_camera_to_the_screen() -> None:
    taken = Recorded(frames=[(n * 0.04, 7, n) for n in range(1000)])
    screen = Recorded(frames=[(n * 0.04 + 0.5, 7, n) for n in range(1000)] + [(41.0, 8, 5)])
    frames = measure.shown(taken, screen)
    assert len(frames) == 1000
    found = measure.delays(frames, 0.0, 40.0, 0.3)
    assert found["median_s"] == 0.5
    assert found["median_without_link_s"] == 0.2
    assert found["longest_freeze_s"] == 0.04


def test_what_was_sent_again_is_counted_for_each_receiver() -> None:
    slices = [(0.0, "p", 0, 100, "a"), (1.0, "p", 0, 100, "b"), (2.0, "p", 100, 50, "a"), (3.0, "p", 0, 100, "a")]
    assert measure.sent_again(slices) == 100


def test_a_trace_that_was_cut_by_a_kill_is_read_up_to_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    note = {"at": 2.0, "sent": "slice", "of": "ab", "name": 0, "count": 9, "to": "d"}
    lines = [{"at": 1.0, "frame": 2, "stream": 3}, note]
    path.write_text("\n".join(map(json.dumps, lines)) + '\n{"at": 3.0, "status": {"fps": 2')
    found = measure.read_trace(path)
    assert (found.frames, found.slices, found.statuses) == ([(1.0, 3, 2)], [(2.0, "ab", 0, 9, "d")], [])
    assert measure.read_trace(tmp_path / "none").frames == []


def test_the_shipped_scenarios() -> None:
    scenarios = load()
    assert set(PROFILES) <= set(scenarios)
    for scenario in scenarios.values():
        assert scenario.curve
        assert all(event.at < scenario.seconds and event.do in DEEDS for event in scenario.events)
    assert scenarios["soak"].lasting(30).events == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[x]\nprofile = 1", "x:"),
        ('[x]\nprofile="bgan"\nseconds=1\nrate=1\ndelay=0\nevents=[{at=0,do="y"}]', "allowed are outage"),
        ('[x]\nprofile="none"\nseconds=1\nrate=1\ndelay=0', "none that exists"),
        ('[x]\nprofile="bgan"\nseconds=0\nrate=1\ndelay=0', "out of range"),
        ("[x", "cannot be read"),
    ],
)
def test_scenarios_that_are_wrong_are_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        load(tmp_path / "s.toml")
    assert "\n" not in str(error.value)


def test_daemons_of_the_rig_go_without_keys_only_where_they_say_so(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    for keys in (tmp_path / "keys", None):
        (tmp_path / "encoder.toml").write_text(encryption(keys))
        used = load_encoder(tmp_path / "encoder.toml").curve.directory("tcp://10.77.0.1:5555")
        assert used == ("" if keys is None else str(keys))


def test_the_rig_is_set_up_as_an_installed_machine_is() -> None:
    text = (Path(__file__).resolve().parents[3] / "systemd" / "facewire.sysctl").read_text("utf-8")
    installed = dict(re.findall(r"^net\.ipv4\.(\w+) = (\d+)$", text, re.M))
    assert {name: str(value) for name, value in SETTINGS.items()} == installed


@pytest.mark.parametrize("ip", [4, 6])
def test_the_rig_in_short_form(ip: int) -> None:
    """Real daemons, encrypted, over a link that goes dark for a while: pictures before and after, each byte counted."""
    pytest.importorskip("mediapipe", reason="the encoder needs mediapipe")
    pytest.importorskip("onnx", reason="the light networks are written with onnx")
    if (why := unavailable()) is not None:
        pytest.skip(f"the rig cannot run here: {why}")
    from facewire_export.rig.run import run

    result: dict[str, Any] = run(replace(load()["short"], ip=ip))
    figures = result["figures"]
    counted = result["interface_counters"]
    assert figures["first_picture_s"] is not None
    # What the link carried is what the interfaces say, but for what passed before the decoder started or since.
    assert figures["rate"]["bytes_from_camera"] <= counted["camera"]
    assert counted["camera"] - figures["rate"]["bytes_from_camera"] < 2000
    assert figures["picture_bytes_sent"] > 0
    assert figures["picture_bytes_sent_again"] == 0
    assert figures["rate"]["whole_run_kbps"] < 32
    found = figures["books"]
    assert found["classes"]["bundle"]["received_frames"] > 20
    assert (found["lost_without_cause"], found["never_sent"]) == (0, 0), found
    assert found["encoder"]["readings_wrong"] == found["decoder"]["readings_wrong"] == 0, found
    (event,) = result["events"]
    assert event["do"] == "outage"
    assert figures["packets_lost"] > 0
    assert result["curves"]["ages"][-1][1] < 6.0  # live after the outage; generous, for tests share the machine


def test_the_table_has_a_line_for_each_result_and_each_event(tmp_path: Path) -> None:
    from facewire_export.rig.table import write_table

    scenario = {"name": "x", "networks": "light", "seconds": 9, "rate": 8.5, "delay": 0.3, "loss": 0.05, "ip": 6}
    rate = {"max_kbps": 3.456, "window_s": 60.0}
    seen = {"median_without_link_s": 0.5, "p95_without_link_s": 0.61, "last_third_minus_first_s": 0.0}
    figures = {"rate": rate, "glass_to_glass": seen, "longest_freeze_s": 0.2, "first_picture_s": None}
    events = [{"do": "outage", "seconds": 30.0, "live_again_s": 2.4, "picture_bytes_sent_again": 0}]
    result = {"scenario": {**scenario, "profile": "bgan"}, "figures": figures, "events": events}
    (tmp_path / "x.json").write_text(json.dumps(result))
    (tmp_path / "other.json").write_text("{}")
    write_table(tmp_path)
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert sum("8.5 kbit/s, 600 ms there and back, 5 % loss, IPv6 | 3.46 / 8 | 500 ms, 610 ms" in x for x in lines) == 1
    assert "| x | outage, 30 s | 2.4 s | 0 |" in lines


def test_sigterm_ends_it_as_an_error_would() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def work() -> None:
        with ended_by_sigterm():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5.0)

    with pytest.raises(SystemExit):
        work()
    assert signal.getsignal(signal.SIGTERM) == before
