"""Messages that wait for decoding, between two threads."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from facewire.types import Bundle, Message


@dataclass
class Inbox:
    """At most `limit` messages. When full it drops the oldest bundle; pivots and epochs only if none is left."""

    limit: int = 256
    dropped: int = 0
    _messages: deque[Message] = field(default_factory=deque)
    _bundles: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def bundles(self) -> int:
        """Bundles that wait."""
        return self._bundles

    def put(self, message: Message) -> None:
        """Add a message; never waits."""
        with self._changed:
            if len(self._messages) >= self.limit:
                self.dropped += 1
                index = next((i for i, m in enumerate(self._messages) if isinstance(m, Bundle)), 0)
                self._bundles -= isinstance(self._messages[index], Bundle)
                del self._messages[index]
            self._messages.append(message)
            self._bundles += isinstance(message, Bundle)
            self._changed.notify()

    def get(self, timeout: float) -> Message | None:
        """The oldest message, or None if none came within `timeout` seconds."""
        with self._changed:
            if not self._messages:
                self._changed.wait(timeout)
            if not self._messages:
                return None
            message = self._messages.popleft()
            self._bundles -= isinstance(message, Bundle)
            return message
