"""A notifier that remembers what systemd would have been told."""

from __future__ import annotations

from facewire.service import Notifier


class Told(Notifier):
    def __init__(self) -> None:
        super().__init__({})
        self.said: list[str] = []

    def ready(self) -> None:
        self.said.append("ready")

    def alive(self) -> None:
        self.said.append("alive")

    def status(self, text: str) -> None:
        self.said.append(text)
