"""Logging for a device nobody sits beside: one line for each event, structured under systemd, no library chatter.

Under systemd a record's `extra={"fields": {...}}` become journal fields: `journalctl FACEWIRE_EVENT=source-lost`.
Elsewhere the same line goes to stderr.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextvars import ContextVar

_NAME = "facewire"
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class OneLine(logging.Formatter):
    """`name: message`, on one line whatever the message holds; a traceback only when debugging."""

    def __init__(self, debug: bool, timestamps: bool, priority: bool = False) -> None:
        super().__init__(
            "%(asctime)s %(levelname)-7s %(name)s: %(message)s" if timestamps else "%(name)s: %(message)s",
            datefmt="%H:%M:%S",
        )
        self._debug = debug
        self._priority = priority

    def format(self, record: logging.LogRecord) -> str:
        record.message = " ".join(record.getMessage().split())
        if self.usesTime():
            record.asctime = self.formatTime(record, self.datefmt)
        line = self.formatMessage(record)
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            if self._debug:
                return f"{line}\n{self.formatException(record.exc_info)}"
            line = f"{line} ({type(error).__name__}: {' '.join(str(error).split())})"
        return f"<{syslog_priority(record.levelno)}>{line}" if self._priority else line


def syslog_priority(level: int) -> int:
    """The syslog priority (RFC 5424, 6.2.1) of a Python logging level."""
    if level >= logging.CRITICAL:
        return 2
    if level >= logging.ERROR:
        return 3
    if level >= logging.WARNING:
        return 4
    return 6 if level >= logging.INFO else 7


class _Journal(logging.Handler):
    """Writes to systemd's journal through systemd-python, with fields."""

    def __init__(self) -> None:
        from systemd import journal  # ImportError: the caller falls back to stderr

        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = {
                f"FACEWIRE_{str(key).upper().replace('-', '_')}": str(value)
                for key, value in (getattr(record, "fields", None) or {}).items()
            }
            self._journal.send(
                self.format(record),
                PRIORITY=str(syslog_priority(record.levelno)),
                LOGGER=record.name,
                SYSLOG_IDENTIFIER="facewire",
                **fields,
            )
        except Exception:  # a log line must never stop the daemon
            self.handleError(record)


def under_journal() -> bool:
    """True if systemd reads our stderr (JOURNAL_STREAM, systemd.exec(5), names the device and inode of it)."""
    try:
        device, inode = os.environ.get("JOURNAL_STREAM", "").split(":")
        status = os.fstat(2)
        return (int(device), int(inode)) == (status.st_dev, status.st_ino)
    except (ValueError, OSError):
        return False


SITE: ContextVar[str] = ContextVar("SITE", default="")
"""The site that this thread works for, where one process serves several; stands before its log lines."""


def _name_site(record: logging.LogRecord) -> bool:
    site = SITE.get()
    if site and not getattr(record, "site", None):
        record.site = site
        record.msg = f"{site}: {record.msg}"
    return True


def setup(level: str = "info", debug: bool = False) -> None:
    """Sets up the root logger once for this process: level "debug", "info", "warning" or "error"; `debug` implies the
    first and shows tracebacks. Calling it again replaces what it set up before."""
    root = logging.getLogger()
    for old in [h for h in root.handlers if h.name == _NAME]:
        root.removeHandler(old)
    handler: logging.Handler
    journal = under_journal()
    try:
        if not journal:
            raise ImportError
        handler = _Journal()
        handler.setFormatter(OneLine(debug, timestamps=False))
    except ImportError:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(OneLine(debug, timestamps=not journal, priority=journal))
    handler.name = _NAME
    handler.addFilter(_name_site)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else _LEVELS[level])
    logging.raiseExceptions = debug
    for name in ("absl", "PIL", "libav", "matplotlib", "jax", "h5py"):
        logging.getLogger(name).setLevel(logging.ERROR)
    hush_environment()


def hush_environment() -> None:
    """Asks libraries through their environment variables to keep quiet. Must run before they are imported; what the
    user has set stays."""
    for name, value in {
        "GLOG_minloglevel": "3",
        "GLOG_logtostderr": "0",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "ABSL_MIN_LOG_LEVEL": "3",
        "OPENCV_LOG_LEVEL": "ERROR",
        "OPENCV_FFMPEG_LOGLEVEL": "-8",
        "GST_DEBUG": "0",
        "MPLCONFIGDIR": f"{tempfile.gettempdir()}/facewire-mpl-{os.getuid()}",
    }.items():
        os.environ.setdefault(name, value)


_quieting = threading.RLock()
"""Two threads that swapped file descriptor 2 at once could lose stderr for good."""


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keeps what C libraries write to stderr while they start (MediaPipe, TensorFlow Lite, absl, GStreamer) out of
    our log. Only around their start: file descriptor 2 is the whole process's, so real messages of other threads are
    lost as well while this is open. If the body raises, what was written is shown after all when debugging."""
    hush_environment()
    with _quieting:
        yield from _swallow()


def _swallow() -> Iterator[None]:
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # no stderr at all
        yield
        return
    with tempfile.TemporaryFile() as swallowed:
        os.dup2(swallowed.fileno(), 2)
        try:
            yield
        except BaseException:
            _restore(saved)
            saved = -1
            if logging.getLogger().isEnabledFor(logging.DEBUG):
                swallowed.seek(0)
                os.write(2, swallowed.read(65536))
            raise
        finally:
            if saved >= 0:
                _restore(saved)


def _restore(saved: int) -> None:
    sys.stderr.flush()
    os.dup2(saved, 2)
    os.close(saved)


class Fault:
    """Logs a fault once when it begins and once when it ends, however often it is seen in between.

    >>> camera = Fault(logging.getLogger("facewire"), "source-lost")
    >>> camera.begin("camera is unplugged"); camera.begin("camera is unplugged"); camera.end("camera is back")
    """

    def __init__(self, log: logging.Logger, event: str, level: int = logging.WARNING) -> None:
        self._log = log
        self._event = event
        self._level = level
        self.active = False
        self.times = 0
        """How often the fault has begun."""

    def begin(self, message: str) -> bool:
        """The fault is there. True if it was not there before."""
        if self.active:
            return False
        self.active = True
        self.times += 1
        self._log.log(self._level, "%s", message, extra={"fields": {"event": self._event, "times": self.times}})
        return True

    def end(self, message: str) -> bool:
        """The fault is gone. True if it was there before."""
        if not self.active:
            return False
        self.active = False
        self._log.info("%s", message, extra={"fields": {"event": self._event + "-over", "times": self.times}})
        return True
