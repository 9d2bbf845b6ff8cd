from __future__ import annotations

import io

import pytest

from facewire import progress
from facewire.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_silent_where_nobody_watches() -> None:
    out = io.StringIO()
    with Progress("compress", 25.0, out) as line:
        line.step(100, 1000)
    assert out.getvalue() == ""


def test_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_INTERVAL", 0.0)
    out = Terminal()
    with Progress("compress", 25.0, out) as line:
        line.step(50, 1000)
        line.step(100, 2500)
    last = out.getvalue().rstrip("\n").split("\r")[-1]
    assert last.startswith("compress: 100 frames, 4.0 s, 2.5 kB,")
    assert out.getvalue().endswith("\n")


def test_a_failure_at_once_leaves_no_line() -> None:
    out = Terminal()
    with pytest.raises(ValueError, match="no"), Progress("compress", 25.0, out):
        raise ValueError("no")
    assert out.getvalue() == ""
