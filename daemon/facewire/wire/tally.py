"""Where the bytes of a stream went: counts messages, ends in the report that `--report` and `inspect --json` write."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from facewire.link.cost import wire_bytes
from facewire.types import Bundle, Epoch, Message, PivotSlice
from facewire.wire.packets import payload_bytes

PEAK_SECONDS = 30


@dataclass(frozen=True)
class Report:
    """What a stream holds and costs. Bytes are those of the file; `wire_bytes` are with what a link adds to them."""

    frames: int
    """Shown frames: up to the last keypoint frame, interpolated ones included."""
    fps: float
    seconds: float
    coded_size: int
    shown_size: int
    keypoint_frames: int
    pivots: int
    """Different pivots whose data is in the stream."""
    pivot_reuses: int
    """Epochs that went back to a pivot that was already there, for no picture bytes."""
    keypoint_bytes: int
    pivot_bytes: int
    total_bytes: int
    wire_bytes: int
    """With IP, TCP and ZMTP headers and acknowledgements, computed (see facewire.link.subscriber)."""
    peak_bytes: int
    """Most of those in any PEAK_SECONDS."""

    @property
    def header_bytes(self) -> int:
        """All that is neither keypoint code nor pivot data: headers, epochs, the container's frame."""
        return self.total_bytes - self.keypoint_bytes - self.pivot_bytes

    @property
    def kbps(self) -> float:
        """Kilobits a second of the whole file."""
        return 8 * self.total_bytes / self.seconds / 1000 if self.seconds else 0.0

    @property
    def bpp(self) -> float:
        """Bits for each shown pixel, as the paper counts, but with pivots and headers in."""
        pixels = self.frames * self.shown_size**2
        return 8 * self.total_bytes / pixels if pixels else 0.0

    def as_json(self) -> dict[str, object]:
        """The report's contract: scripts rely on these words."""
        return {
            "frames": self.frames,
            "fps": self.fps,
            "seconds": round(self.seconds, 3),
            "coded_size": self.coded_size,
            "keypoint_frames": self.keypoint_frames,
            "pivots": self.pivots,
            "pivot_reuses": self.pivot_reuses,
            "bytes": {
                "keypoints": self.keypoint_bytes,
                "pivots": self.pivot_bytes,
                "headers": self.header_bytes,
                "total": self.total_bytes,
            },
            "kbps": round(self.kbps, 4),
            "bpp": round(self.bpp, 7),
            "wire": {
                "bytes": self.wire_bytes,
                "kbps": round(8 * self.wire_bytes / self.seconds / 1000, 4) if self.seconds else 0.0,
                "peak_kbps": round(8 * self.peak_bytes / PEAK_SECONDS / 1000, 4),
            },
        }


@dataclass(frozen=True)
class EpochLine:
    """One epoch of the stream, for the table."""

    first_frame: int
    pivot_id: bytes
    pivot_bytes: int
    reused: bool


class Tally:
    """Counts messages in the order of the stream. Memory grows with epochs and pivots, not with frames."""

    def __init__(self, first: int = 0) -> None:
        """first: number of the frame from which on frames count."""
        self.packets = {"epoch": 0, "pivot slice": 0, "bundle": 0}
        self.packet_bytes = {"epoch": 0, "pivot slice": 0, "bundle": 0}
        self.epochs: list[EpochLine] = []
        self._names: set[tuple[int, int, int]] = set()
        self._used: set[bytes] = set()
        self._pivots: set[bytes] = set()
        self._keypoint_frames = self._keypoint_bytes = self._pivot_bytes = 0
        self._reuses = 0
        self._first = first
        self._last = first - 1
        self._wire_bytes = self._peak = self._within = self._ahead = 0
        self._window: deque[tuple[int, int]] = deque()
        self._fps = 0.0
        self._coded_size = 0

    def add(self, message: Message, packet_bytes: int, record_bytes: int) -> None:
        """Count one message, as long as its packet and its record in the file are."""
        self._pay(message, wire_bytes(packet_bytes))
        if isinstance(message, Bundle):
            kind = "bundle"
            self._keypoint_frames += len(message.frames)
            self._keypoint_bytes += payload_bytes(message)
            self._last = max(self._last, message.frames[-1].number)
        elif isinstance(message, PivotSlice):
            kind = "pivot slice"
            self._pivots.add(message.pivot_id)
            self._pivot_bytes += len(message.data)
        else:
            kind = "epoch"
            self._epoch(message)
        self.packets[kind] += 1
        self.packet_bytes[kind] += record_bytes

    def report(self, total_bytes: int, shown_size: int) -> Report:
        """The report of all that was counted; `total_bytes` is what the whole file takes."""
        frames = self._last + 1 - self._first
        return Report(
            frames=frames,
            fps=self._fps,
            seconds=frames / self._fps if self._fps else 0.0,
            coded_size=self._coded_size,
            shown_size=shown_size,
            keypoint_frames=self._keypoint_frames,
            pivots=len(self._pivots),
            pivot_reuses=self._reuses,
            keypoint_bytes=self._keypoint_bytes,
            pivot_bytes=self._pivot_bytes,
            total_bytes=total_bytes,
            wire_bytes=self._wire_bytes,
            peak_bytes=max(self._peak, self._within + self._ahead),
        )

    def _pay(self, message: Message, cost: int) -> None:
        """Slide the window; a pivot is paid for with the frame that it is for."""
        self._wire_bytes += cost
        self._ahead += cost
        if isinstance(message, PivotSlice):
            return
        number = message.first_frame if isinstance(message, Epoch) else message.frames[0].number
        if self._window:
            number = max(number, self._window[-1][0])  # an epoch that is said again
        self._window.append((number, self._ahead))
        self._within, self._ahead = self._within + self._ahead, 0
        while self._window and self._window[0][0] <= number - PEAK_SECONDS * (self._fps or 25.0):
            self._within -= self._window.popleft()[1]
        self._peak = max(self._peak, self._within)

    def _epoch(self, epoch: Epoch) -> None:
        self._fps, self._coded_size = epoch.fps, epoch.coded_size
        name = (epoch.stream, epoch.number, epoch.first_frame)
        if name in self._names:
            return  # announced again for late joiners
        self._names.add(name)
        reused = epoch.pivot_id in self._used
        self._reuses += reused
        self._used.add(epoch.pivot_id)
        self.epochs.append(EpochLine(epoch.first_frame, epoch.pivot_id, epoch.pivot_bytes, reused))
