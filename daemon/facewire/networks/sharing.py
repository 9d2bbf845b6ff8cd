"""One network for several streams: runs that wait at the same time are made together.

A stream runs a network and waits for the answer, so it has one request at most; the oldest requests go first. That is
fair by construction: between two runs of one stream every other stream that waits gets one. No stream waits longer than
for the run that is under way, `WINDOW`, and as many full runs as there are batches of other streams before it.

No thread of its own: the first that waits runs for all, and hands on to the next that waits.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facewire.networks import Networks
from facewire.networks.manifest import Shape
from facewire.networks.session import Arrays, Session

WINDOW = 0.002
"""Seconds that a run waits for the other streams' requests, when they came lately: about what a run on a GPU takes."""
LATELY = 0.2
"""Seconds after its last request in which a stream is expected to come again: several frames."""


class Together(Protocol):
    """A session that can make several runs at once."""

    @property
    def inputs(self) -> Mapping[str, Shape]: ...

    @property
    def outputs(self) -> Mapping[str, Shape]: ...

    @property
    def most(self) -> int:
        """How many runs it makes at once."""
        ...

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]: ...

    def run_many(self, requests: Sequence[Arrays]) -> list[dict[str, NDArray[np.float32]]]:
        """As `run` for each. Raises ModelError."""
        ...


@dataclass
class Request:
    """A stream's wish; `answer` or `error` once it is `done`."""

    inputs: Arrays
    answer: dict[str, NDArray[np.float32]] | None = None
    error: BaseException | None = None
    done: bool = False


@dataclass
class Shared:
    """A session for many threads. `runs` and `requests` tell how much was made together."""

    inner: Together
    clock: Callable[[], float] = time.monotonic
    runs: int = 0
    requests: int = 0
    _waiting: deque[Request] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _leading: bool = False
    _seen: dict[int, float] = field(default_factory=dict)

    @property
    def inputs(self) -> Mapping[str, Shape]:
        return self.inner.inputs

    @property
    def outputs(self) -> Mapping[str, Shape]:
        return self.inner.outputs

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """See Session.run."""
        mine = Request(inputs)
        with self._changed:
            self._waiting.append(mine)
            self._seen[threading.get_ident()] = self.clock()
            self._changed.notify_all()
            while not mine.done and self._leading:
                self._changed.wait()
            if not mine.done:
                self._leading = True
        if not mine.done:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error
        assert mine.answer is not None
        return mine.answer

    def _lead(self, mine: Request) -> None:
        try:
            while not mine.done:
                self._serve(self._gathered())
        finally:
            with self._changed:
                self._leading = False
                self._changed.notify_all()

    def _gathered(self) -> list[Request]:
        """The oldest requests, as many as one run takes; waits a little for streams that are expected."""
        with self._changed:
            end = self.clock() + WINDOW
            while len(self._waiting) < min(self.inner.most, self._expected()):
                left = end - self.clock()
                if left <= 0:
                    break
                self._changed.wait(left)
            return [self._waiting.popleft() for _ in range(min(self.inner.most, len(self._waiting)))]

    def _expected(self) -> int:
        now = self.clock()
        self._seen = {who: when for who, when in self._seen.items() if now - when < LATELY}
        return len(self._seen)

    def _serve(self, requests: list[Request]) -> None:
        try:
            answers = self.inner.run_many([request.inputs for request in requests])
            for request, answer in zip(requests, answers, strict=True):
                request.answer = answer
        except BaseException as error:
            # One stream's fault must not become its neighbours': each is tried by itself.
            if len(requests) > 1:
                for request in requests:
                    self._serve([request])
                return
            requests[0].error = error
        with self._changed:
            self.runs += 1
            self.requests += len(requests)
            for request in requests:
                request.done = True
            self._changed.notify_all()


def shared(networks: Networks) -> Networks:
    """The same networks for several streams at once; those that cannot make runs together are shared as they are."""

    def wrapped(session: Session) -> Session:
        together: Any = session
        return Shared(together) if getattr(session, "most", 1) > 1 else session

    return Networks(networks.id, {name: wrapped(session) for name, session in networks.sessions.items()})
