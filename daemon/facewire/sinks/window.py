"""A window on the desktop: Wayland's if there is one, else X's."""

from __future__ import annotations

import os
from collections.abc import Mapping

from facewire.errors import MissingDependency, SinkError
from facewire.sinks import gst
from facewire.sinks.screen import ScreenOrder, ScreenSink

VIDEO_SINKS = {
    "WAYLAND_DISPLAY": ("waylandsink", "glimagesink"),
    "DISPLAY": ("nv3dsink", "ximagesink", "glimagesink"),
}
"""By environment variable, in order of preference. nv3dsink exists on Jetsons alone, where it spares the CPU a copy.
ximagesink before GL: it needs no driver and costs a copy."""
WORDS = {"nv3dsink": "nvvidconv ! video/x-raw(memory:NVMM) ! nv3dsink"}
"""What stands before a sink that takes no ordinary memory."""


def desktop(environ: Mapping[str, str] = os.environ) -> str:
    """The variable that names a running desktop, "WAYLAND_DISPLAY" or "DISPLAY"; "" without one."""
    return next((name for name in VIDEO_SINKS if environ.get(name)), "")


def open_window(size: int, fps: float, name: str = "window:", area: tuple[int, int] | None = None) -> ScreenSink:
    """Open a window; `area` asks for a size other than size x size. Raises SinkError, MissingDependency."""
    tried: list[str] = []
    if not desktop():
        raise SinkError(
            f"{name} no desktop is running (neither DISPLAY nor WAYLAND_DISPLAY is set); "
            "start it from the desktop's session, or use hdmi: without one"
        )
    for variable, elements in VIDEO_SINKS.items():
        where = os.environ.get(variable)
        for element in elements if where else ():
            if not gst.element_exists(element):
                continue
            try:
                words = f"{WORDS.get(element, element)} name=screen sync=false"
                return ScreenSink(name, ScreenOrder(words, size, fps, area))
            except SinkError as error:
                tried.append(f"{element} on {variable}={where}: {str(error).removeprefix(name + ': ')}")
    if not tried:
        raise MissingDependency(f"{name} GStreamer has no video sink for this desktop; {gst.APT}")
    raise SinkError(f"{name} no window can be opened: {'; '.join(tried)}")
