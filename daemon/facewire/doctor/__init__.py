"""`facewire doctor`: what this machine has for the job, one line each; exit code 1 if it cannot do it.

Each check looks at one thing and returns findings; none raises, none changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from facewire.config import load_decoder, load_encoder
from facewire.doctor.accelerator import gpu
from facewire.doctor.connection import keys, link, tcp
from facewire.doctor.devices import camera, display, gstreamer
from facewire.doctor.findings import BAD, OK, Finding, Machine
from facewire.doctor.host import cache, clock
from facewire.doctor.software import models, packages, python
from facewire.errors import ConfigError, FacewireError

CHECKS: tuple[Callable[[Machine], Iterable[Finding]], ...] = (
    python, packages, models, gpu, camera, gstreamer, display, link, tcp, keys, clock, cache,
)  # fmt: skip


def run(role: str | None = None, config: str | Path | None = None) -> int:
    """Prints the findings for a role ("encoder", "decoder", None: both). 0: usable, 1: something is bad."""
    if config is not None and role is None:
        raise ConfigError("doctor: settings belong to a role; say: facewire doctor encoder -c FILE, or decoder")
    encoder = load_encoder(config if role == "encoder" else None) if role != "decoder" else None
    decoder = load_decoder(config if role == "decoder" else None) if role != "encoder" else None
    worst = OK
    for finding in examine(Machine(encoder, decoder)):
        print(finding, flush=True)
        worst = BAD if BAD in (worst, finding.state) else worst
    return 1 if worst == BAD else 0


def examine(machine: Machine, checks: Iterable[Callable[[Machine], Iterable[Finding]]] | None = None) -> list[Finding]:
    """All findings. A check that fails in a way nobody foresaw is a bad finding, not a traceback."""
    found: list[Finding] = []
    for check in CHECKS if checks is None else checks:
        try:
            found += check(machine)
        except FacewireError as error:
            found.append(Finding(check.__name__, BAD, str(error)))
        except Exception as error:
            found.append(Finding(check.__name__, BAD, f"the check failed: {type(error).__name__}: {error}"))
    return found
