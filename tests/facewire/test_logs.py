"""One line for each event, no chatter of libraries, faults logged once."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facewire import logs

DAEMON = Path(__file__).parents[2] / "daemon"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    raising = logging.raiseExceptions
    yield
    root.handlers[:], root.level = handlers, level
    logging.raiseExceptions = raising


def python(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(DAEMON), **environ},
    )


def test_lines_on_stderr() -> None:
    done = python(
        "import logging; from facewire import logs; logs.setup('info'); l = logging.getLogger('facewire.x')\n"
        "l.debug('no'); l.info('two\\nlines %d', 5)\n"
        "try: 1/0\nexcept Exception: l.exception('failed')\n"
    )
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert lines[0].endswith("INFO    facewire.x: two lines 5")
    assert lines[1].endswith("facewire.x: failed (ZeroDivisionError: division by zero)")
    assert done.stdout == ""


def test_debug_shows_tracebacks() -> None:
    done = python(
        "import logging; from facewire import logs; logs.setup('error', debug=True); logs.setup('error', debug=True)\n"
        "try: 1/0\nexcept Exception: logging.getLogger('facewire').exception('failed')\n"
    )
    assert done.stderr.count("Traceback") == 1


def test_set_up_twice_is_one_handler() -> None:
    logs.setup("info")
    logs.setup("error")
    ours = [h for h in logging.getLogger().handlers if h.name == "facewire"]
    assert len(ours) == 1
    assert logging.getLogger().level == logging.ERROR


def test_journal_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, dict[str, Any]]] = []
    journal: Any = types.ModuleType("systemd.journal")
    journal.send = lambda text, **fields: sent.append((text, fields))
    package: Any = types.ModuleType("systemd")
    package.journal = journal
    monkeypatch.setitem(sys.modules, "systemd", package)
    monkeypatch.setitem(sys.modules, "systemd.journal", journal)
    monkeypatch.setattr(logs, "under_journal", lambda: True)
    logs.setup("info")
    fault = logs.Fault(logging.getLogger("facewire.encoder"), "source-lost")
    fault.begin("camera is\nunplugged")
    text, fields = sent[0]
    assert text == "facewire.encoder: camera is unplugged"
    assert fields["PRIORITY"] == "4"
    assert fields["FACEWIRE_EVENT"] == "source-lost"
    assert fields["FACEWIRE_TIMES"] == "1"


def test_a_journal_that_fails_does_not_stop_us(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(*_: Any, **__: Any) -> None:
        raise OSError("journald is gone")

    journal: Any = types.ModuleType("systemd.journal")
    journal.send = send
    package: Any = types.ModuleType("systemd")
    package.journal = journal
    monkeypatch.setitem(sys.modules, "systemd", package)
    monkeypatch.setattr(logs, "under_journal", lambda: True)
    logs.setup("info")
    logging.getLogger("facewire").warning("x")


def test_stderr_of_a_service_without_the_library_carries_priorities() -> None:
    formatter = logs.OneLine(debug=False, timestamps=False, priority=True)
    record = logging.LogRecord("facewire", logging.ERROR, "", 0, "bad", (), None)
    assert formatter.format(record) == "<3>facewire: bad"
    assert [logs.syslog_priority(n) for n in (10, 20, 30, 40, 50)] == [7, 6, 4, 3, 2]


def test_under_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    status = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    assert logs.under_journal()
    for other in ("", "1:2", "x", "1:2:3"):
        monkeypatch.setenv("JOURNAL_STREAM", other)
        assert not logs.under_journal()


def test_chatter_of_c_libraries_is_swallowed_and_stderr_comes_back() -> None:
    done = python(
        "import os, sys; from facewire.logs import quiet_libraries\n"
        "for _ in range(50):\n"
        "    with quiet_libraries(): os.write(2, b'INFO: Created TensorFlow Lite delegate\\n')\n"
        "os.write(2, b'mine\\n'); print(len(os.listdir('/proc/self/fd')))\n"
        "try:\n"
        "    with quiet_libraries(): os.write(2, b'why\\n'); raise OSError('x')\n"
        "except OSError: os.write(2, b'caught\\n')\n"
    )
    assert done.stderr == "mine\ncaught\n"
    assert int(done.stdout) < 12


def test_when_debugging_a_failed_start_shows_its_chatter() -> None:
    done = python(
        "import os; from facewire import logs; logs.setup('debug', True)\n"
        "try:\n"
        "    with logs.quiet_libraries(): os.write(2, b'why\\n'); raise OSError('x')\n"
        "except OSError: pass\n"
    )
    assert done.stderr == "why\n"


def test_no_stderr_at_all() -> None:
    python(
        "import os; from facewire.logs import quiet_libraries; os.close(2)\nwith quiet_libraries(): pass\nos._exit(0)"
    )


def test_users_own_settings_of_libraries_stay() -> None:
    done = python("import os; from facewire import logs; logs.setup(); print(os.environ['GST_DEBUG'])", GST_DEBUG="3")
    assert done.stdout.strip() == "3"


def test_fault_is_logged_once_at_each_end(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("facewire.test")
    fault = logs.Fault(log, "x")
    with caplog.at_level(logging.INFO):
        assert not fault.end("never began")
        assert fault.begin("broken")
        assert not fault.begin("broken")
        assert fault.active
        assert fault.end("mended")
        assert not fault.end("mended")
        assert fault.begin("broken again")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", "broken"),
        ("INFO", "mended"),
        ("WARNING", "broken again"),
    ]
    assert fault.times == 2
