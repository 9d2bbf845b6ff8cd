"""Several sites on one host: a decoder each, in one process, with one set of networks.

    facewire decoder -c /etc/facewire/sites            every .toml in the folder is a site's settings
    facewire decoder -c bridge.toml -c engine.toml     the same, named one by one

A site's settings are those that it would have alone (`facewire-decoder@bridge.service` goes on reading the same file),
so there is nothing new to learn. On a GPU the sites' frames are computed together (networks.sharing). Log lines and
the status begin with the site's name; the watchdog is fed only while every site shows pictures.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from facewire.config import DecoderConfig, load_decoder
from facewire.decoder import open_decoder, open_set, stop_on_signals
from facewire.errors import ConfigError
from facewire.logs import SITE
from facewire.memory import keep_small
from facewire.networks import Networks
from facewire.networks.sharing import shared
from facewire.service import Notifier

log = logging.getLogger(__name__)

MOST = 64
"""Sites of one process."""
FRESH = 15.0
"""Seconds for which a site's sign of life counts; decoders give one each second."""


@dataclass(frozen=True)
class Site:
    """A site's name (its file's) and settings."""

    name: str
    config: DecoderConfig


def load(paths: Sequence[str], overrides: Mapping[str, object]) -> list[Site]:
    """The sites that files and folders describe, in the files' order. Raises ConfigError where they do not fit
    together."""
    for key in ("connect", "sinks"):
        if key in overrides:
            raise ConfigError(f"{key} on the command line would be every site's; put it into each site's file")
    files: list[Path] = []
    for path in map(Path, paths):
        inside = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        if not inside:
            raise ConfigError(f"{path}: no .toml in this folder; put one there for each site (samples are in configs/)")
        files += inside
    if len(files) > MOST:
        raise ConfigError(f"{len(files)} sites: at most {MOST} in one process; start another")
    sites: dict[str, Site] = {}
    for file in files:
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", file.stem.removeprefix("decoder-")) or "site"
        if name in sites:
            raise ConfigError(f"{file}: there is a site {name} already; give the file another name")
        sites[name] = Site(name, load_decoder(file, overrides))
    found = list(sites.values())
    _fit(found)
    return [_apart(site) for site in found]


def _fit(sites: Sequence[Site]) -> None:
    first = sites[0]
    places: dict[str, str] = {}
    for site in sites:
        for what, mine, theirs in (
            ("[network]", site.config.network, first.config.network),
            ("[log]", site.config.log, first.config.log),
        ):
            if mine != theirs:
                raise ConfigError(
                    f"{site.name}: {what} differs from {first.name}'s; sites of one process share it: make them equal"
                )
        for sink in site.config.sinks:
            place = re.sub(r"^(rtsp://[^/]*).*", r"\1", sink)  # one server a port
            if place != "null:" and place in places:
                raise ConfigError(
                    f"{site.name}: {place} is {places[place]}'s already; give each site its own port, screen or file"
                )
            places[place] = site.name


def _apart(site: Site) -> Site:
    """Where pivots are kept by default, each site has a folder of its own: it is a device of its own to its encoder."""
    if site.config.cache:
        return site
    return replace(site, config=replace(site.config, cache=str(site.config.cache_directory() / site.name)))


class Together:
    """What several sites tell the service manager through one notifier."""

    def __init__(self, notifier: Notifier, names: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._notifier, self._clock = notifier, clock
        self._lock = threading.Lock()
        self._ready: set[str] = set()
        self._alive = dict.fromkeys(names, float("-inf"))
        self._texts = dict.fromkeys(names, "")

    def ready(self, name: str) -> None:
        """A site shows something; the service is ready when all do."""
        with self._lock:
            self._ready.add(name)
            if len(self._ready) == len(self._alive):
                self._notifier.ready()

    def alive(self, name: str) -> None:
        """Pictures of a site flow; the watchdog is fed while all sites' do."""
        with self._lock:
            now = self._clock()
            self._alive[name] = now
            if all(now - when < FRESH for when in self._alive.values()):
                self._notifier.alive()

    def status(self, name: str, text: str) -> None:
        """A site's line."""
        with self._lock:
            self._texts[name] = text
            self._notifier.status("; ".join(f"{site}: {said}" for site, said in self._texts.items() if said))


class SiteNotifier(Notifier):
    """One site's part in the process's word to the service manager."""

    def __init__(self, together: Together, name: str) -> None:
        super().__init__({})
        self._together, self._name = together, name

    def ready(self) -> None:
        """See Together.ready."""
        self._together.ready(self._name)

    def alive(self) -> None:
        """See Together.alive."""
        self._together.alive(self._name)

    def status(self, text: str) -> None:
        """See Together.status."""
        self._together.status(self._name, text)

    def stopping(self) -> None:
        """The process says it once for all sites."""


def run(sites: Sequence[Site], stop: threading.Event | None = None) -> int:
    """Run all sites' decoders until SIGTERM or SIGINT (or until `stop` is set), or until one dies of what only a
    person can mend: then all stop and that is raised. Returns the exit code."""
    stop = stop_on_signals() if stop is None else stop
    cv2.setNumThreads(1)
    keep_small(stop)
    for site in sites:
        site.config.curve.directory(site.config.connect)
    notifier = Notifier()
    together = Together(notifier, [site.name for site in sites])
    networks = shared(open_set(sites[0].config.network, notifier, len(sites)))
    failures: list[BaseException] = []
    log.info("%d sites: %s", len(sites), ", ".join(site.name for site in sites))

    def serve(site: Site, networks: Networks) -> None:
        SITE.set(site.name)
        try:
            open_decoder(site.config, networks, SiteNotifier(together, site.name), stop).run()
        except BaseException as error:
            failures.append(error)
            stop.set()

    threads = [
        threading.Thread(target=serve, args=(site, networks), name=f"facewire-{site.name}", daemon=True)
        for site in sites
    ]
    try:
        for thread in threads:
            thread.start()
        stop.wait()
    finally:
        stop.set()
        notifier.stopping()
        for thread in threads:
            thread.join(8.0)
    if failures:
        raise failures[0]
    return 0
