"""Small rules for configuration values. Each says what it allows, in words that fit after "allowed: ".

A rule takes what TOML or the command line gave and returns the value that the configuration keeps; it raises
ValueError for anything else, or a FacewireError that says what is wrong in more detail.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_TCP = re.compile(r"tcp://(\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]|[\w.*-]+):(\d{1,5}|\*)\Z")
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")


@dataclass(frozen=True)
class Rule:
    """What a key allows: in words, and as a function that returns the kept value or raises ValueError."""

    allowed: str
    check: Callable[[Any], Any]


def shown(value: object) -> str:
    """The value as it may stand in a log line: short, on one line, without a camera's password."""
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    text = without_password(text)
    return text if len(text) <= 80 else text[:77] + "..."


def without_password(text: str) -> str:
    """The text with the name and password of any address in it hidden."""
    return _CREDENTIALS.sub("***@", text)


def whole(low: int, high: int, also: Sequence[int] = ()) -> Rule:
    """A whole number from low to high, or one of `also`."""

    def check(value: Any) -> int:
        if type(value) is not int or not (low <= value <= high or value in also):
            raise ValueError
        return value

    more = "".join(f" or {n}" for n in also)
    return Rule(f"a whole number from {low} to {high}{more}", check)


def even(low: int, high: int) -> Rule:
    """An even number from low to high: video encoders halve the colour planes."""

    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high or value % 2:
            raise ValueError
        return value

    return Rule(f"an even number from {low} to {high}", check)


def number(low: float, high: float, unit: str = "") -> Rule:
    """A number from low to high; whole numbers are taken too. NaN and infinity are not."""

    def check(value: Any) -> float:
        if type(value) not in (int, float) or not low <= value <= high:  # false for NaN as well
            raise ValueError
        return float(value)

    return Rule(f"a number from {low:g} to {high:g}{' ' + unit if unit else ''}", check)


def choice(*names: str) -> Rule:
    """One of a few words."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError
        return value

    return Rule("one of " + ", ".join(f'"{n}"' for n in names), check)


def _text(value: Any) -> str:
    if not isinstance(value, str) or any(ord(c) < 32 for c in value) or len(value) > 4096:
        raise ValueError
    return value


def flag() -> Rule:
    """true or false."""

    def check(value: Any) -> bool:
        if type(value) is not bool:
            raise ValueError
        return value

    return Rule("true or false", check)


def interface() -> Rule:
    """The name of a network interface, or ""."""

    def check(value: Any) -> str:
        text = _text(value)
        if text and not re.fullmatch(r"[\w.@-]{1,15}", text):
            raise ValueError
        return text

    return Rule('the name of a network interface such as "wwan0", or ""', check)


def directory() -> Rule:
    """A directory's path, or "" for the built-in place. It need not exist yet; `~` is the user's home."""

    def check(value: Any) -> str:
        from pathlib import Path

        text = _text(value)
        if not text:
            return ""
        try:
            return str(Path(text).expanduser())
        except RuntimeError:
            raise ValueError from None

    return Rule('the path of a directory, or ""', check)


def endpoint(bind: bool) -> Rule:
    """A ZeroMQ address. To bind, the port may be `*` (any free one) and the host `*` (every interface)."""

    def check(value: Any) -> str:
        text = _text(value)
        if match := _TCP.match(text):
            host, port = match.group(1), match.group(3)
            good_port = (port == "*" and bind) or (port != "*" and 1 <= int(port) <= 65535)
            if good_port and (bind or host != "*") and ("*" not in host or host == "*"):
                return text
        elif re.match(r"(ipc|inproc)://\S+\Z", text):
            return text
        raise ValueError

    example = "tcp://0.0.0.0:5555" if bind else "tcp://camera.example:5555"
    return Rule(f'a ZeroMQ address such as "{example}", "tcp://[::1]:5555" or "ipc:///run/facewire/socket"', check)


def source() -> Rule:
    """Where pictures come from; the grammar is the sources' own."""

    def check(value: Any) -> str:
        from facewire.sources import parse_spec

        text = _text(value)
        parse_spec(text)  # a SourceError says more than our list of examples
        return text

    return Rule("auto, picamera2:0, v4l2:/dev/video0, file:clip.mp4[?loop], rtsp://host/path or sample:", check)


def sink() -> Rule:
    """Where pictures are shown; the grammar is the sinks' own."""

    def check(value: Any) -> str:
        from facewire.sinks.spec import parse_spec

        text = _text(value)
        parse_spec(text)
        return text

    return Rule("hdmi:[connector], rtsp://0.0.0.0:8554/live, window:, file:out.mp4 or null:", check)


def several(rule: Rule, low: int, high: int) -> Rule:
    """A list of low to high values that each keep the rule, none twice. A tuple is kept."""

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)) or not low <= len(value) <= high:
            raise ValueError
        kept = tuple(rule.check(v) for v in value)
        if len(set(kept)) != len(kept):
            raise ValueError
        return kept

    return Rule(f"a list of {low} to {high} different ones of: {rule.allowed}", check)
