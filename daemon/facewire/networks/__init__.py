"""The networks, by the names of the manifest: `open_networks` for a role's set, `load_network` for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from facewire.errors import ModelError
from facewire.networks.manifest import Manifest, NetworkEntry, load_manifest
from facewire.networks.session import OrtSession, Session

__all__ = [
    "DECODER",
    "ENCODER",
    "Manifest",
    "NetworkEntry",
    "Networks",
    "Session",
    "load_manifest",
    "load_network",
    "open_networks",
]

ENCODER = ("keypoints", "background")
DECODER = ("restorer", "keypoints", "pivot_encoder", "generator", "interpolator", "upscaler")
OPTIONAL = frozenset({"background", "restorer", "interpolator", "upscaler"})
"""Networks that a role can do without (a plainer rule or picture takes their place)."""


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


def load_network(name: str, models: str | Path | Manifest = "", threads: int = 1, provider: str = "auto") -> Session:
    """Load one network after checking its hash. `models`: directory, manifest, or "" for the default. ModelError."""
    manifest = models if isinstance(models, Manifest) else load_manifest(models)
    return OrtSession(manifest.entry(name), threads, provider)


def open_networks(
    models: str | Path | Manifest = "",
    threads: int = 1,
    names: tuple[str, ...] = DECODER,
    provider: str = "auto",
) -> Networks:
    """Load a role's networks (ENCODER or DECODER); optional ones that the manifest lacks are left out. ModelError."""
    manifest = models if isinstance(models, Manifest) else load_manifest(models)
    wanted = [name for name in names if name in manifest.networks or name not in OPTIONAL]
    return Networks(manifest.id, {name: load_network(name, manifest, threads, provider) for name in wanted})
