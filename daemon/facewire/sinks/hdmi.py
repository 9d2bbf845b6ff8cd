"""The display on an HDMI (or DisplayPort) plug: straight through the kernel without X, in a window under X."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from facewire.errors import SinkError
from facewire.sinks import drm, gst
from facewire.sinks.base import Sink
from facewire.sinks.screen import ScreenOrder, ScreenSink
from facewire.sinks.spec import HdmiSpec
from facewire.sinks.window import desktop, open_window

log = logging.getLogger("facewire.sinks")

_told: set[str] = set()


def choose_connector(wanted: str, all_of_them: Sequence[drm.Connector]) -> drm.Connector:
    """The connector of that name, or the first connected one, HDMI before others.

    Raises SinkError when there is none or nothing is plugged in.
    """
    if not all_of_them:
        raise SinkError("hdmi: this machine's kernel shows no display connectors; use rtsp:// or file: instead")
    names = ", ".join(f"{c.name} ({'plugged in' if c.connected else 'empty'})" for c in all_of_them)
    if wanted:
        named = [c for c in all_of_them if c.name == wanted]
        if not named:
            raise SinkError(f"hdmi:{wanted}: there is no such connector; this machine has {names}")
        candidates = [c for c in named if c.connected]
        if not candidates:
            raise SinkError(f"hdmi:{wanted}: no display is plugged in; this machine has {names}")
    else:
        candidates = [c for c in all_of_them if c.connected]
        if not candidates:
            raise SinkError(f"hdmi: no display is plugged in; this machine has {names}")
    return min(candidates, key=lambda c: not c.name.startswith("HDMI"))


def video_sink(number: int, driver: str) -> str:
    """kmssink in gst-launch words. It sets the mode itself, so that it needs no console underneath."""
    driver_words = f"driver-name={driver} " if driver else ""
    return f"kmssink name=screen {driver_words}connector-id={number} force-modesetting=true sync=false"


def open_hdmi(spec: HdmiSpec, size: int, fps: float, sys: Path = drm.SYS, dev: Path = drm.DEV) -> Sink:
    """Open the display. Raises SinkError with what to do, MissingDependency without GStreamer."""
    name = f"hdmi:{spec.connector}"
    variable = desktop()
    if variable:
        try:
            sink = open_window(size, fps, f"{name} (window)")
        except SinkError as error:
            if not dev.is_dir():
                raise
            log.warning("%s: %s is set, but %s; going to the display without it", name, variable, error)
        else:
            _tell_once(f"{name}: a desktop has the display ({variable} is set), so this is a window on it")
            return sink
    if not dev.is_dir():
        raise SinkError(
            f"{name} there is no /dev/dri on this machine: load the graphics driver (on a Raspberry Pi "
            "dtoverlay=vc4-kms-v3d, on a Jetson modprobe nvidia-drm modeset=1), or use rtsp:// or file: instead"
        )
    gst.need_elements("kmssink")
    connector = choose_connector(spec.connector, drm.connectors(sys))
    number = drm.connector_number(connector, dev)
    if number is None:
        raise SinkError(
            f"{name}: cannot open {dev / connector.card}: give this user the groups video and render, "
            "and stop any other program that has the display"
        )

    def lost() -> str:
        return "" if drm.is_connected(connector) else f"{connector.name} was unplugged"

    order = ScreenOrder(video_sink(number, drm.driver_name(connector.card, dev)), size, fps, connector.mode)
    return ScreenSink(f"hdmi:{connector.name}", order, lost)


def _tell_once(line: str) -> None:
    """The sink may be re-opened many times; what it says is always the same."""
    if line not in _told:
        _told.add(line)
        log.info(line)
