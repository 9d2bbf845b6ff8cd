"""GStreamer, loaded when it is first needed, and without its chatter.

Everything here is typed Any because gi makes its modules at run time.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import threading
from collections.abc import Iterator
from typing import Any

from facewire.errors import MissingDependency, SinkError
from facewire.logs import quiet_libraries

APT = (
    "apt install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base "
    "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"
)
_loading = threading.RLock()


@functools.cache
def repository(name: str) -> Any:
    """A GObject-introspected module: "Gst", "GLib", "GstRtspServer", "GstVideo".

    Raises MissingDependency with the apt line that brings it.
    """
    try:
        gi = importlib.import_module("gi")
        gi.require_version(name, "2.0" if name in ("GLib", "GObject", "Gio") else "1.0")
        return importlib.import_module(f"gi.repository.{name}")
    except (ImportError, ValueError) as error:
        raise MissingDependency(
            f"GStreamer's {name} cannot be loaded ({error}); {APT}; "
            "and make the virtual environment with --system-site-packages from the distribution's Python"
        ) from None


@functools.cache
def gstreamer() -> Any:
    """The initialised Gst module. Raises MissingDependency."""
    with _loading:
        module = repository("Gst")
        os.environ.setdefault("LIBVA_MESSAGING_LEVEL", "0")
        with _quiet_stderr():
            module.init(None)
        if not debugging():
            module.debug_set_default_threshold(module.DebugLevel.NONE)
        return module


def debugging() -> bool:
    """Whether GStreamer's own chatter was asked for (GST_DEBUG=3, say)."""
    return os.environ.get("GST_DEBUG", "0") not in ("", "0")


def element_exists(name: str) -> bool:
    """Whether a plug-in that makes this element is installed."""
    return gstreamer().ElementFactory.find(name) is not None


def need_elements(*names: str) -> None:
    """Raise MissingDependency unless all of these elements can be made."""
    missing = [name for name in names if not element_exists(name)]
    if missing:
        raise MissingDependency(f"GStreamer has no {', '.join(missing)}; {APT}")


def pipeline(description: str) -> Any:
    """A pipeline from gst-launch words. Raises SinkError when it cannot be built."""
    glib = repository("GLib")
    try:
        return gstreamer().parse_launch(description)
    except glib.Error as error:
        raise SinkError(f"GStreamer cannot build '{description}': {error.message}") from None


def error_text(message: Any) -> str:
    """One line of a GStreamer error message, the debug part's reason added where it says more."""
    error, debug = message.parse_error()
    lines = [line.strip() for line in (debug or "").splitlines()[1:] if line.strip()]
    text = error.message.strip().rstrip(".")
    return f"{text} ({lines[-1].rstrip('.')})" if lines else text


def try_out(description: str, seconds: float) -> str:
    """Run a pipeline that should end by itself. Returns "" when it does, else why it did not."""
    gst = gstreamer()
    try:
        with _quiet_stderr():
            line = pipeline(description)
    except SinkError as error:
        return str(error)
    try:
        with _quiet_stderr():
            line.set_state(gst.State.PLAYING)
            message = line.get_bus().timed_pop_filtered(
                int(seconds * gst.SECOND), gst.MessageType.EOS | gst.MessageType.ERROR
            )
    finally:
        line.set_state(gst.State.NULL)
    if message is None:
        return f"no answer in {seconds:g} s"
    return error_text(message) if message.type == gst.MessageType.ERROR else ""


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Drivers and plug-in scanners write to descriptor 2 while they load; nothing else turns them off."""
    with contextlib.nullcontext() if debugging() else quiet_libraries():
        yield
