"""`facewire demo`: both daemons on this machine, with a real socket between them, and a contact sheet at the end.

Nothing is staged: the daemons are the ones that run on a device, started as processes of their own; the figures are
what they report to their service manager; the sheet shows what the camera's crop showed beside what the decoder sent to
its sinks, at the same frame numbers.
"""

from __future__ import annotations

import re
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from facewire.child import Child
from facewire.errors import FacewireError, SourceError
from facewire.profiles import profile as profile_by_name
from facewire.sources import parse_spec

START_SECONDS = 90.0
"""A first start reads its networks from a cold disk."""
PICTURE_SECONDS = 30.0
"""The slowest profile needs 15 s for its first pivot."""
SHEET_SECONDS = 20.0
"""With --seconds 0: when the sheet is made."""
RECORD_EVERY = 25
PAIRS = 6

_FIGURES = re.compile(r"([\d.]+) fps shown, ([\d.]+) kbit/s all-in, (?:pivot (\d+) s old|no pivot yet)")


@dataclass(frozen=True)
class Figures:
    """One second of the decoder's status. pivot_age None: no picture yet."""

    fps: float
    kbps: float
    pivot_age: int | None

    def __str__(self) -> str:
        age = "no picture yet" if self.pivot_age is None else f"pivot {self.pivot_age:3d} s old"
        return f"{self.fps:5.1f} fps   {self.kbps:7.2f} kbit/s all-in   {age}"


@dataclass
class Averages:
    """Means over the seconds in which a picture moved."""

    seconds: list[Figures] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.seconds:
            return "no picture was shown"
        count = len(self.seconds)
        fps = sum(item.fps for item in self.seconds) / count
        kbps = sum(item.kbps for item in self.seconds) / count
        age = sum(item.pivot_age or 0 for item in self.seconds) / count
        return f"{fps:.1f} fps shown, {kbps:.2f} kbit/s all-in, pivot {age:.0f} s old (averages of {count} s)"


def parse_figures(status: str) -> Figures | None:
    """The figures in a decoder's status line, None if there are none."""
    match = _FIGURES.search(status)
    if match is None:
        return None
    age = match.group(3)
    return Figures(float(match.group(1)), float(match.group(2)), None if age is None else int(age))


def run(source: str = "auto", seconds: float = 20.0, size: int = 512, profile: str = "vsat") -> int:
    """Run the demo for `seconds` (0: until Ctrl-C). Returns the exit code; raises FacewireError if a daemon fails."""
    link = profile_by_name(profile)
    spec = _looped(source)
    endpoint = f"tcp://127.0.0.1:{_free_port()}"
    address = f"rtsp://127.0.0.1:{_free_port(8554)}/live"
    _say(f"encoder   {spec}  ->  {endpoint}   profile {link.name}, at most {link.ceiling_kbps:g} kbit/s")
    _say(f"decoder   {endpoint}  ->  {address}   {size}x{size}")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="facewire-demo-")))
        environ = {
            "FACEWIRE_STATUS_SECONDS": "1",
            "FACEWIRE_RECORD": f"{directory}:{RECORD_EVERY}",
            "CACHE_DIRECTORY": str(directory),
        }
        arguments = ["--source", spec, "--bind", endpoint, "--profile", profile]
        encoder = stack.enter_context(_child("encoder", arguments, directory, environ))
        arguments = ["--connect", endpoint, "--sink", address, "--size", str(size)]
        decoder = stack.enter_context(_child("decoder", arguments, directory, environ))
        averages = Averages()
        try:
            _wait_until_ready(encoder, decoder)
            _say(f"both run; open {address} in a player, for example: ffplay -rtsp_transport tcp {address}")
            _watch(encoder, decoder, averages, seconds or SHEET_SECONDS)
            _summary(directory, address, averages, link.name, forever=not seconds)
            if not seconds:
                _watch(encoder, decoder, averages, float("inf"))
        except KeyboardInterrupt:
            _say("\nstopped")
    return 0


@contextmanager
def _child(name: str, arguments: list[str], directory: Path, environ: dict[str, str]) -> Iterator[Child]:
    child = Child(name, arguments, directory, environ)
    try:
        yield child
    finally:
        child.stop()


def _wait_until_ready(*children: Child) -> None:
    end = time.monotonic() + START_SECONDS
    while not all(child.ready for child in children):
        _check(*children)
        if time.monotonic() > end:
            late = ", ".join(child.name for child in children if not child.ready)
            raise FacewireError(f"the {late} was not ready after {START_SECONDS:.0f} s; try: facewire doctor")
        time.sleep(0.1)


def _check(*children: Child) -> None:
    for child in children:
        child.listen()
        if (trouble := child.trouble()) is not None:
            raise FacewireError(trouble)
        for line in child.warnings():
            _say(f"\r{child.name}: {line}")


def _watch(encoder: Child, decoder: Child, averages: Averages, seconds: float) -> None:
    """Show the figures each second, for `seconds` of moving picture."""
    shown = 0
    waited = 0
    while shown < seconds:
        time.sleep(1.0)
        _check(encoder, decoder)
        figures = parse_figures(decoder.status)
        if figures is None or figures.pivot_age is None:
            waited += 1
            _live(f"   waiting for the first picture ({encoder.status or 'starting'})")
            if waited > PICTURE_SECONDS and not averages.seconds:
                raise SourceError(f"no picture after {waited} s (encoder: {encoder.status}); is a face in view?")
            continue
        shown += 1
        averages.seconds.append(figures)
        _live(f"{shown:4d} s   {figures}")
    _live("", end=True)


def _summary(directory: Path, address: str, averages: Averages, link: str, forever: bool) -> None:
    from facewire.contact import contact_sheet, recorded, spread

    pairs = recorded(directory)
    out = _out_directory()
    if pairs:
        sheet = contact_sheet(spread(pairs, PAIRS), "Facewire demo: real | shown", f"profile {link}: {averages}")
        path = out / "contact-sheet.png"
        sheet.save(path)
        _say(f"picture   {path}")
    else:
        _say("picture   none: no frame was both seen and shown")
    _say(f"figures   {averages}")
    tail = "serving until Ctrl-C" if forever else "served while the demo ran; with --seconds 0 it goes on"
    _say(f"address   {address}   ({tail})")


def _out_directory() -> Path:
    """demo/ where the command was called, or a temporary directory where that cannot be written."""
    out = Path.cwd() / "demo"
    try:
        out.mkdir(exist_ok=True)
        (out / ".writable").touch()
        (out / ".writable").unlink()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="facewire-demo-"))
    return out


def _looped(source: str) -> str:
    """A file is a source that never ends, here. A plain path is a file."""
    if Path(source).is_file():
        source = f"file:{source}"
    elif ":" not in source and source != "auto":
        raise SourceError(f"{source}: no such file")
    parse_spec(source)
    if source.startswith("file:"):
        path = source.removeprefix("file:").removesuffix("?loop")
        source = f"file:{Path(path).absolute()}?loop"
    return source


def _free_port(wanted: int = 0) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise FacewireError("no free TCP port on 127.0.0.1")


def _say(text: str) -> None:
    print(text, flush=True)


def _live(text: str, end: bool = False) -> None:
    """One line that is written over on a terminal, and a line of its own elsewhere."""
    if not sys.stdout.isatty():
        if text:
            print(text, flush=True)
        return
    print(f"\r\x1b[K{text[:110]}", end="\n" if end and text else "", flush=True)
