"""A decoder's link, as its settings say. Imports little: a handshake is on its way while all else is loaded."""

from __future__ import annotations

from facewire.config import DecoderConfig
from facewire.link.acquaintance import own_device
from facewire.link.subscriber import Subscriber


def open_link(config: DecoderConfig) -> Subscriber:
    """Begins to connect. Raises ConfigError: no endpoint, keys missing."""
    device = own_device(config.cache_directory())
    return Subscriber(config.connect, config.curve.directory(config.connect), device=device.id, is_new=device.is_new)
