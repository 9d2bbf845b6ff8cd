"""Every rule, at its edges and with every wrong type."""

from __future__ import annotations

import math
from typing import Any

import pytest

from facewire import validators as v
from facewire.errors import FacewireError

NOT_NUMBERS: list[Any] = ["1", "", None, [1], {}, {"a": 1}, True, False, b"1"]
NOT_TEXT: list[Any] = [1, 1.5, None, True, ["a"], {}, b"a"]
ROTTEN_TEXT = ["a\nb", "a\0b", "\x1b[31m", "x" * 5000]


def refuses(rule: v.Rule, value: Any) -> None:
    with pytest.raises((ValueError, FacewireError)):
        rule.check(value)


def test_whole_numbers() -> None:
    rule = v.whole(1, 64)
    assert [rule.check(n) for n in (1, 2, 64)] == [1, 2, 64]
    for wrong in (0, -1, 65, 10**30, 1.0, 2.5, math.nan, *NOT_NUMBERS):
        refuses(rule, wrong)
    assert "1 to 64" in rule.allowed


def test_whole_numbers_with_an_exception() -> None:
    rule = v.whole(0, 3, also=(-1,))
    assert rule.check(-1) == -1
    refuses(rule, -2)
    refuses(rule, 4)
    assert "or -1" in rule.allowed


def test_even_numbers() -> None:
    rule = v.even(64, 2160)
    assert rule.check(64) == 64
    assert rule.check(2160) == 2160
    for wrong in (65, 63, 62, 2162, 512.0, *NOT_NUMBERS):
        refuses(rule, wrong)


def test_numbers_take_whole_ones_and_refuse_what_is_no_number() -> None:
    rule = v.number(0, 2, "seconds")
    assert rule.check(1) == 1.0
    assert isinstance(rule.check(1), float)
    assert rule.check(0) == 0
    assert rule.check(2.0) == 2
    for wrong in (-0.001, 2.001, math.nan, math.inf, -math.inf, 10**400, *NOT_NUMBERS):
        refuses(rule, wrong)
    assert rule.allowed == "a number from 0 to 2 seconds"


def test_choice() -> None:
    rule = v.choice("a", "b")
    assert rule.check("b") == "b"
    for wrong in ("", "A", "a ", "c", *NOT_TEXT):
        refuses(rule, wrong)
    assert rule.allowed == 'one of "a", "b"'


def test_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    rule = v.directory()
    assert rule.check("") == ""
    assert rule.check("/etc/x") == "/etc/x"
    assert rule.check("~/keys") == "/home/me/keys"
    for wrong in (*NOT_TEXT, *ROTTEN_TEXT, "~nobody-of-this-name/x"):
        refuses(rule, wrong)


GOOD_ENDPOINTS = [
    "tcp://127.0.0.1:5555", "tcp://camera.example:1", "tcp://[::1]:65535", "tcp://[fe80::1%eth0]:5555",
    "ipc:///run/facewire/socket", "inproc://x",
]  # fmt: skip
BAD_ENDPOINTS = [
    "", "tcp://", "tcp://host", "tcp://host:", "tcp://host:0", "tcp://host:65536", "tcp://host:999999", "tcp://:5555",
    "tcp://a b:5555", "tcp://::1:5555", "tcp://[::1:5555", "tcp://host:5555/", "tcp://host:5555\n", "udp://host:5555",
    "host:5555", "http://host:80", "ipc://", "inproc://", "tcp://ho*st:5555", "TCP://host:5555",
]  # fmt: skip


@pytest.mark.parametrize("bind", [True, False])
def test_endpoints(bind: bool) -> None:
    rule = v.endpoint(bind)
    for good in GOOD_ENDPOINTS:
        assert rule.check(good) == good
    for wrong in (*BAD_ENDPOINTS, *NOT_TEXT, *ROTTEN_TEXT):
        refuses(rule, wrong)


def test_only_who_binds_may_leave_host_or_port_open() -> None:
    for text in ("tcp://*:5555", "tcp://127.0.0.1:*"):
        assert v.endpoint(bind=True).check(text) == text
        refuses(v.endpoint(bind=False), text)


def test_sources() -> None:
    rule = v.source()
    for good in (
        "auto", "sample:", "picamera2:0", "v4l2:/dev/video0", "file:clip.mp4", "file:/a/b c.mp4?loop",
        "rtsp://u:p@10.0.0.1/x?y=1",
    ):  # fmt: skip
        assert rule.check(good) == good
    for wrong in ("", "camera", "/dev/video0", "http://x/y", "v4l2:/dev/video0?colour=red", *NOT_TEXT, *ROTTEN_TEXT):
        refuses(rule, wrong)


def test_sinks() -> None:
    rule = v.sink()
    for good in ("hdmi:", "hdmi:HDMI-A-1", "window:", "null:", "file:out.mp4", "rtsp://[::]:8554/live"):
        assert rule.check(good) == good
    for wrong in ("", "hdmi", "hdmi:../x", "file:out.exe", "rtsp://u:p@h:1/x", "null:x", *NOT_TEXT, *ROTTEN_TEXT):
        refuses(rule, wrong)


def test_several() -> None:
    rule = v.several(v.sink(), 1, 2)
    assert rule.check(["null:", "hdmi:"]) == ("null:", "hdmi:")
    for wrong in ([], ["null:", "null:"], ["null:", "hdmi:", "window:"], "null:", [1], [["null:"]], None, {"null:": 1}):
        refuses(rule, wrong)


def test_shown_is_one_short_line_without_passwords() -> None:
    assert v.shown("rtsp://me:secret@host/x") == "'rtsp://***@host/x'"
    assert "secret" not in v.shown(["rtsp://me:secret@host/x", 1])
    assert "\n" not in v.shown("a\nb")
    assert len(v.shown("x" * 1000)) <= 80
    assert v.shown(True) == "true"
