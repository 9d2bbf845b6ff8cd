from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from facewire.errors import SinkError
from facewire.sinks import Sink, SinkSet, SlotState, drm, gst, hdmi
from facewire.sinks import set as sink_set
from facewire.sinks.hdmi import choose_connector, open_hdmi, video_sink
from facewire.sinks.spec import HdmiSpec


def plug(sys: Path, folder: str, status: str, modes: str = "", number: str = "") -> None:
    """One connector of a fake /sys/class/drm."""
    (sys / folder).mkdir(parents=True, exist_ok=True)
    (sys / folder / "status").write_text(status + "\n")
    (sys / folder / "modes").write_text(modes)
    if number:
        (sys / folder / "connector_id").write_text(number + "\n")


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    """A Raspberry Pi with a display on its second HDMI plug."""
    sys = tmp_path / "drm"
    (sys / "card0").mkdir(parents=True)
    (sys / "renderD128").mkdir()
    plug(sys, "card1-HDMI-A-1", "disconnected", number="33")
    plug(sys, "card1-HDMI-A-2", "connected", "1920x1080\n1280x720\n", "42")
    plug(sys, "card1-Writeback-1", "unknown")
    return sys


def test_reads_connectors(pi: Path) -> None:
    first, second = drm.connectors(pi)
    assert (first.name, first.connected, first.mode, first.number) == ("HDMI-A-1", False, None, 33)
    assert (second.card, second.name, second.connected) == ("card1", "HDMI-A-2", True)
    assert (second.mode, second.number) == ((1920, 1080), 42)


@pytest.mark.parametrize(("text", "mode"), [("1920x1080i\n", (1920, 1080)), ("", None), ("x", None), ("a x b", None)])
def test_odd_modes(tmp_path: Path, text: str, mode: tuple[int, int] | None) -> None:
    plug(tmp_path, "card0-DP-1", "connected", text, "seven")
    (connector,) = drm.connectors(tmp_path)
    assert connector.mode == mode
    assert connector.number is None


def test_unplugging_is_seen(pi: Path) -> None:
    connector = choose_connector("", drm.connectors(pi))
    assert drm.is_connected(connector)
    plug(pi, "card1-HDMI-A-2", "disconnected")
    assert not drm.is_connected(connector)


def test_chooses(pi: Path) -> None:
    plug(pi, "card0-DP-1", "connected", "800x600\n", "7")
    everything = drm.connectors(pi)
    assert choose_connector("", everything).name == "HDMI-A-2"
    assert choose_connector("DP-1", everything).name == "DP-1"
    with pytest.raises(SinkError, match=r"no display is plugged in.*HDMI-A-2 \(plugged in\)"):
        choose_connector("HDMI-A-1", everything)
    with pytest.raises(SinkError, match="no such connector"):
        choose_connector("HDMI-A-9", everything)
    with pytest.raises(SinkError, match="use rtsp"):
        choose_connector("", ())


def test_devices_that_cannot_be_asked(pi: Path, tmp_path: Path) -> None:
    assert drm.driver_name("card1", tmp_path) == ""
    plug(pi, "card2-DP-1", "connected")
    assert drm.connector_number(drm.connectors(pi)[-1], tmp_path) is None
    (tmp_path / "card2").write_bytes(b"no device")
    assert drm.connector_number(drm.connectors(pi)[-1], tmp_path) is None
    assert drm.driver_name("card2", tmp_path) == ""


def test_kmssink_words() -> None:
    assert video_sink(42, "vc4").startswith("kmssink name=screen driver-name=vc4 connector-id=42 ")
    assert "driver-name" not in video_sink(42, "")


@pytest.mark.usefixtures("gst_there")
def test_hot_unplug_heals(pi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way, with GStreamer's fakesink in kmssink's place."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(hdmi, "video_sink", lambda number, driver: "fakesink")
    monkeypatch.setattr(gst, "need_elements", lambda *names: None)
    monkeypatch.setattr(sink_set, "FIRST_WAIT", 0.05)
    monkeypatch.setattr(sink_set, "PROVEN_SECONDS", 0.1)
    picture = np.zeros((64, 64, 3), np.uint8)

    def opener(spec: str, size: int, fps: float) -> Sink:
        return hdmi.open_hdmi(HdmiSpec(spec.partition(":")[2]), size, fps, pi, tmp_path)

    def until(opened: bool, fault: str) -> SlotState:
        end = time.monotonic() + 20.0
        while True:
            sinks.show(picture)
            (state,) = sinks.states()
            if (state.open == opened and fault in state.fault) or time.monotonic() > end:
                return state
            time.sleep(0.01)

    sinks = SinkSet(["hdmi:"], 64, 25.0, opener)
    assert until(True, "").name == "hdmi:HDMI-A-2"
    plug(pi, "card1-HDMI-A-2", "disconnected", "", "42")
    assert not until(False, "no display is plugged in").open
    plug(pi, "card1-HDMI-A-1", "connected", "800x600", "33")
    assert until(True, "").name == "hdmi:HDMI-A-1"
    sinks.close()


def test_without_a_graphics_card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pi: Path) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SinkError, match="no /dev/dri") as caught:
        open_hdmi(HdmiSpec(), 64, 25.0, pi, tmp_path / "nothing")
    assert "\n" not in str(caught.value)
