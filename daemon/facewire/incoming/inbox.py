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
    dropped_frames: int = 0
    """Keypoint frames in what was dropped."""
    _messages: deque[Message] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def span(self) -> int:
        """Shown frames from the first to the last that waits in a bundle; 0 when none waits."""
        with self._changed:
            return self._span()

    @property
    def waiting(self) -> int:
        """Keypoint frames that wait."""
        with self._changed:
            return sum(len(message.frames) for message in self._messages if isinstance(message, Bundle))

    def shed(self, span: int) -> int:
        """Drop the oldest bundles as long as the rest still covers `span` shown frames; returns how many went."""
        went = 0
        with self._changed:
            while True:
                numbers = self._numbers()
                if len(numbers) < 2 or numbers[-1][1] - numbers[1][0] + 1 < span:
                    return went
                self._drop_oldest()
                went += 1

    def put(self, message: Message) -> None:
        """Add a message; never waits."""
        with self._changed:
            if len(self._messages) >= self.limit:
                self._drop_oldest()
            self._messages.append(message)
            self._changed.notify()

    def get(self, timeout: float) -> Message | None:
        """The oldest message, or None if none came within `timeout` seconds."""
        with self._changed:
            if not self._messages:
                self._changed.wait(timeout)
            if not self._messages:
                return None
            return self._messages.popleft()

    def _numbers(self) -> list[tuple[int, int]]:
        bundles = (message for message in self._messages if isinstance(message, Bundle) and message.frames)
        return [(bundle.frames[0].number, bundle.frames[-1].number) for bundle in bundles]

    def _span(self) -> int:
        numbers = self._numbers()
        return numbers[-1][1] - numbers[0][0] + 1 if numbers else 0

    def _drop_oldest(self) -> None:
        self.dropped += 1
        index = next((i for i, m in enumerate(self._messages) if isinstance(m, Bundle)), 0)
        message = self._messages[index]
        self.dropped_frames += len(message.frames) if isinstance(message, Bundle) else 0
        del self._messages[index]
