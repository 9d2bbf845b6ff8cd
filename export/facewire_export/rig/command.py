"""Real daemons over an emulated satellite link: rates from interface counters, delay, outages, restarts, strangers.

Scenarios are data (facewire_export/rig/scenarios.toml). Needs root and Linux namespaces; makes its own network, and
takes it down again. Each result is a JSON file in --out, all of them together --out/table.md.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from facewire.errors import ConfigError, FacewireError
from facewire_export.rig.run import run
from facewire_export.rig.scenario import load
from facewire_export.rig.table import write_table
from facewire_export.rig.tunnel import unavailable


def add_link_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `facewire-export link`."""
    known = ", ".join(load())
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"which to run, all if none: {known}")
    parser.add_argument("--seconds", type=float, help="run each for this long instead (7200: the long soak)")
    parser.add_argument("--source", default="sample:", help="what the camera sees, such as file:clip.mp4?loop")
    parser.add_argument("--networks", choices=("real", "light"), help="of the decoder, not the scenario's")
    parser.add_argument("--ip", type=int, choices=(4, 6), help="IPv4 or IPv6 instead of the scenario's")
    parser.add_argument("--plain", action="store_true", help="without encryption")
    parser.add_argument("--out", type=Path, default=Path("results/link"), help="directory of the results")


def _text(result: dict[str, Any]) -> str:
    """JSON with one line for the long curves."""
    curves = json.dumps(result.pop("curves"))
    return json.dumps(result, indent=1).removesuffix("\n}") + f',\n "curves": {curves}\n}}\n'


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as any error would: daemons and namespaces are taken down on the way out."""

    def end(*_: object) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(options: argparse.Namespace) -> int:
    """Run the scenarios one after the other. Raises FacewireError."""
    if (why := unavailable()) is not None:
        raise FacewireError(f"the rig cannot run here: {why}")
    known = load()
    unknown = [name for name in options.scenarios if name not in known]
    if unknown:
        raise ConfigError(f"no scenario {unknown[0]!r}; there are: {', '.join(known)}")
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.scenarios or known:
        scenario = known[name] if options.seconds is None else known[name].lasting(options.seconds)
        changes = {"networks": options.networks, "ip": options.ip, "curve": False if options.plain else None}
        scenario = dataclasses.replace(scenario, **{k: v for k, v in changes.items() if v is not None})
        print(f"{name}: {scenario.seconds:.0f} s", flush=True)
        with ended_by_sigterm():
            result = run(scenario, options.source)
        part = options.out / f"{name}.part"
        part.write_text(_text(result), "utf-8")
        part.replace(options.out / f"{name}.json")
        write_table(options.out)
        print(json.dumps(result["figures"], indent=1), flush=True)
    return 0
