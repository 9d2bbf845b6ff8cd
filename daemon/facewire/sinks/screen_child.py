"""The process that owns a screen: raw RGB pictures on standard input, `ready` or `error REASON` on standard output.

    appsrc -> queue (2, drops the oldest) -> scale with black bars -> convert -> video sink

Started by screen.py, never by hand. It ends when its input ends.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Any, BinaryIO

from facewire.errors import FacewireError, SinkError
from facewire.sinks import gst
from facewire.sinks.feed import FRONT, Feed

START_SECONDS = 8.0


def description(video_sink: str, area: tuple[int, int] | None) -> str:
    """The pipeline in gst-launch words."""
    scaling = ""
    if area is not None:
        scaling = (
            "! videoscale add-borders=true method=bilinear "
            f"! video/x-raw,width={area[0]},height={area[1]},pixel-aspect-ratio=1/1 "
        )
    return f"{FRONT} {scaling}! videoconvert ! {video_sink}"


def caps(size: int, fps: float) -> str:
    """What comes in."""
    return (
        f"video/x-raw,format=RGB,width={size},height={size},framerate={round(fps * 1000)}/1000,"
        "pixel-aspect-ratio=1/1,interlace-mode=progressive"
    )


def with_padded_rows(data: bytes, size: int) -> bytes:
    """Rows of RGB begin at multiples of 4 bytes in GStreamer; ours follow each other without gaps."""
    row = size * 3
    if row % 4 == 0:
        return data
    gap = bytes(-row % 4)
    return b"".join(data[start : start + row] + gap for start in range(0, len(data), row))


def start(line: Any, feed: Feed, black: bytes) -> None:
    """Show a black picture. Raises SinkError when the display cannot be had."""
    states = gst.gstreamer().State
    feed.watch(line.get_bus())
    line.set_state(states.PLAYING)
    feed.push(black)
    _, state, _ = line.get_state(int(START_SECONDS * gst.gstreamer().SECOND))
    if feed.trouble:
        raise SinkError(feed.trouble)
    if state != states.PLAYING:
        raise SinkError(f"the display did not start within {START_SECONDS:g} s")


def run(order: dict[str, Any], pictures: BinaryIO, say: Any) -> int:
    """Show until the input ends (0) or the display fails (1)."""
    size = int(order["size"])
    try:
        area = tuple(order["area"]) if order["area"] else None
        line = gst.pipeline(description(order["video_sink"], area))
        feed = Feed(line, caps(size, float(order["fps"])), (size * 3 + 3) // 4 * 4 * size)
        start(line, feed, with_padded_rows(bytes(size * size * 3), size))
        say("ready")
        while len(data := pictures.read(size * size * 3)) == size * size * 3:
            feed.push(with_padded_rows(data, size))
            if feed.trouble:
                raise SinkError(feed.trouble)
    except FacewireError as error:
        say(f"error {error}")
        return 1
    line.set_state(gst.gstreamer().State.NULL)
    return 0


def main() -> int:
    """Run the order in the first argument."""
    # Ctrl-C and the service manager's SIGTERM are for the parent, which closes our input when it is ready to.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    return run(json.loads(sys.argv[1]), sys.stdin.buffer, lambda line: print(line, flush=True))


if __name__ == "__main__":
    sys.exit(main())
