"""The networks, by the names of the manifest: `open_networks` for a role's set, `load_network` for one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from facewire.errors import MissingDependency, ModelError
from facewire.networks.choice import AUTO_ORDER, ORT_PROVIDERS, announce, candidates, precision_for
from facewire.networks.manifest import Manifest, NetworkEntry, load_manifest
from facewire.networks.session import Session

__all__ = [
    "DECODER",
    "ENCODER",
    "ON_GPUS",
    "SENDER",
    "Manifest",
    "NetworkEntry",
    "Networks",
    "Session",
    "entries_for",
    "load_manifest",
    "load_network",
    "open_networks",
]

ENCODER = ("keypoints", "background", "restorer", "pivot_encoder", "motion")
"""The last three: to see what a receiver will see."""
RECONSTRUCTING = ("restorer", "keypoints", "pivot_encoder", "generator", "interpolator")
"""What makes pictures at the coded size."""
ENLARGING = ("large_restorer", "composer", "upscaler", "finisher")
"""What makes shown pictures of them."""
DECODER = (*RECONSTRUCTING, *ENLARGING)
SENDER = (*RECONSTRUCTING, "motion")
"""What looks before it sends (files): it reconstructs as a decoder does, and fits deformations."""
OPTIONAL = frozenset({"background", "motion", "interpolator", "restorer", *ENLARGING})
"""Networks that a role can do without (a plainer rule or picture takes their place)."""
ON_GPUS = frozenset({"finisher"})
"""Networks that bring nothing on a CPU: the finisher is the upscaler over the whole picture, and its bytes."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class How:
    """threads: CPU threads of one run. batch: the most pictures of one run. exact: by ONNX Runtime alone, for who
    looks at the files themselves. say: told what takes long."""

    threads: int = 1
    batch: int = 1
    exact: bool = False
    say: Callable[[str], None] = log.info


Opener = Callable[[Sequence[NetworkEntry], How], dict[str, Session]]
"""Opens networks that share their arrays. Raises ModelError, MissingDependency."""


@dataclass(frozen=True)
class Networks:
    """A set of networks that belong together. `id` (4 bytes) names the keypoints' meaning on the wire."""

    id: bytes
    sessions: Mapping[str, Session]

    def __getitem__(self, name: str) -> Session:
        try:
            return self.sessions[name]
        except KeyError:
            raise ModelError(f"network {name!r} is not loaded (loaded: {', '.join(sorted(self.sessions))})") from None

    def get(self, name: str) -> Session | None:
        """The network, or None where this set does without it."""
        return self.sessions.get(name)


def entries_for(manifest: Manifest, names: tuple[str, ...], provider: str) -> list[NetworkEntry]:
    """The networks of a role that are there and of use on a provider. Raises ModelError for one that must be there."""
    return [
        manifest.entry(name)
        for name in names
        if (name in manifest.networks or name not in OPTIONAL) and not (provider == "cpu" and name in ON_GPUS)
    ]


def load_network(
    name: str,
    models: str | Path | Manifest = "",
    threads: int = 1,
    provider: str = "auto",
    precision: str = "auto",
) -> Session:
    """Load one network after checking its hash; otherwise as open_networks. ModelError."""
    manifest = models if isinstance(models, Manifest) else load_manifest(models)
    return open_networks(manifest, threads, (name,), provider, precision)[name]


def open_networks(
    models: str | Path | Manifest = "",
    threads: int = 1,
    names: tuple[str, ...] = DECODER,
    provider: str = "auto",
    precision: str = "auto",
    batch: int = 1,
    say: Callable[[str], None] = log.info,
) -> Networks:
    """Load a role's networks (ENCODER or DECODER); optional ones that the manifest lacks are left out.

    batch: the most pictures that one run will be given (for several sites on one GPU). say: told what takes long.
    provider, precision: see networks.choice; all networks of a set run on one provider, since they share arrays. On a
    CPU networks without weights are OpenCV's (networks.opencv), unless fp32 or fp16 is asked for by name.
    models: directory, manifest, or "" for the default. Raises ModelError.
    """
    manifest = models if isinstance(models, Manifest) else load_manifest(models)
    failures: list[str] = []
    for candidate in candidates(provider):
        wanted = entries_for(manifest, names, candidate.provider)
        chosen = {entry.name: precision_for(entry, candidate.provider, precision) for entry in wanted}
        entries = [entry.at(chosen[entry.name]) for entry in wanted]
        try:
            sessions = OPENERS[candidate.provider](entries, How(threads, batch, precision in ("fp32", "fp16"), say))
        except (ModelError, MissingDependency) as error:
            if provider != "auto" or candidate.provider == AUTO_ORDER[-1]:
                raise
            failures.append(f"{candidate.provider}: {error}")
            continue
        announce(candidate, failures, chosen)
        return Networks(manifest.id, sessions)
    raise ModelError("; ".join(failures))


def _on_ort(provider: str) -> Opener:
    def opener(entries: Sequence[NetworkEntry], how: How) -> dict[str, Session]:
        from facewire.networks.engines import engine_directory
        from facewire.networks.opencv import OpencvMover
        from facewire.networks.ort import OrtSession

        # Runs are not made together here: on a CPU a batch leaves the cache, and ONNX Runtime joins nothing on a GPU.
        cache = engine_directory() if provider == "ort-tensorrt" else None

        def session(entry: NetworkEntry) -> Session:
            if provider == "cpu" and not how.exact and OpencvMover.does(entry):
                return OpencvMover(entry)
            return OrtSession(entry, how.threads, provider, cache=cache)

        return {entry.name: session(entry) for entry in entries}

    return opener


def _on_tensorrt(entries: Sequence[NetworkEntry], how: How) -> dict[str, Session]:
    from facewire.networks.tensorrt import open_tensorrt

    return open_tensorrt(entries, how.batch, how.say)


OPENERS: dict[str, Opener] = {provider: _on_ort(provider) for provider in ORT_PROVIDERS} | {"tensorrt": _on_tensorrt}
