"""Both pipelines from end to end, without clock and socket: as fast as this machine does them.

Each function here runs in a process of its own on a given number of cores (timing.on_cores).
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.errors import FacewireError
from facewire.networks import Networks
from facewire.showing.planes import resized, to_planes
from facewire.sinks.rtsp import RtspSink
from facewire.sinks.spec import RtspSpec
from facewire.types import Bundle, Epoch, KeypointFrame, Message, Picture
from facewire.wire.keypoints import to_grid
from facewire.wire.pivot import add_difference, content_id, encode_pivot, slices
from facewire_export.timing import peak_memory_mb

STEP = 0.5
CODED = 256
SLICE = 8000
"""Bytes in a slice of its pivot."""
PLAYER_SECONDS = 20.0
"""How long a player may take to come."""
_PLAYER = """
import sys, time
from facewire.sinks import gst
player = gst.pipeline(f"rtspsrc location={sys.argv[1]} latency=0 protocols=tcp ! rtph264depay ! fakesink sync=false")
player.set_state(gst.gstreamer().State.PLAYING)
time.sleep(3600)
"""


def pictures_of(spec: str, count: int) -> Iterator[Picture]:
    """The first pictures of a source, as fast as they can be had."""
    from facewire.sources import open_source

    with closing(open_source(spec, 25.0, pace=False)) as source:
        for _ in range(count):
            frame = source.read(10.0)
            if frame is None:
                return
            yield frame.picture


def square(picture: Picture, size: int) -> Picture:
    """The middle square of a picture at size x size."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    part = picture[top : top + side, left : left + side]
    way = cv2.INTER_AREA if side >= size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (size, size), interpolation=way), np.uint8)


def keypoints_of(networks: Networks, picture: Picture) -> NDArray[np.float32]:
    """float32 [10, 2] of a picture."""
    network = networks["keypoints"]
    size = next(iter(network.inputs.values()))[-1] or CODED
    planes = resized(to_planes(square(picture, CODED)), size)
    return np.asarray(network.run({"picture": planes})["keypoints"][0], np.float32)


def stream_of(networks: Networks, pictures: Iterator[Picture], skip: int = 1, large: bool = False) -> list[Message]:
    """What an encoder sends for these pictures with one pivot (large: at twice the coded size) and small bundles."""
    messages: list[Message] = []
    for number, picture in enumerate(pictures):
        if not messages:
            data = encode_pivot(square(picture, CODED), 4000)
            if large:
                data = add_difference(data, square(picture, 2 * CODED), 16_000)
            messages.append(Epoch(1, 0, 0, content_id(data), len(data), CODED, 25.0, skip, networks.id, STEP))
            messages += slices(data, SLICE)
        if number % (skip + 1) == 0:
            grid = to_grid(keypoints_of(networks, picture), STEP)
            messages.append(Bundle(0, (KeypointFrame(number, grid),)))
    if not messages:
        raise FacewireError("the source gave no picture; try --source sample:")
    return messages


@contextmanager
def watched_server(size: int, picture: Picture) -> Iterator[RtspSink]:
    """An RTSP server and, in a process of its own on the same cores, a player that takes packets and decodes nothing;
    the player is there already. Raises FacewireError when none comes."""
    sink = RtspSink(RtspSpec("127.0.0.1", 0, "/live"), size, 25.0)
    player = subprocess.Popen([sys.executable, "-c", _PLAYER, sink.address], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + PLAYER_SECONDS
        while sink.stats.shown < 10:
            if time.monotonic() > end:
                raise FacewireError(f"no player came to {sink.address} within {PLAYER_SECONDS:g} s")
            sink.show(picture)
            time.sleep(0.04)
        yield sink
    finally:
        player.kill()
        player.wait()
        sink.close()


def decoder_fps(
    models: str, spec: str, size: int, workers: int, seconds: float, watched: bool = False
) -> dict[str, Any]:
    """Shown frames a second of reconstruction, interpolation and upscaling at skip 1.

    workers 1: one after the other on one thread; 2: upscaling on a thread of its own, as the daemon has it. watched:
    the pictures go to a player by RTSP besides, `encoded_fps` of them.
    """
    black = np.zeros((size, size, 3), np.uint8)
    with watched_server(size, black) if watched else nullcontext() as sink:
        return _decoder_fps(models, spec, size, workers, seconds, sink)


def _encoded(sink: RtspSink | None) -> int:
    return 0 if sink is None else sink.stats.shown - sink.stats.dropped


def _decoder_fps(
    models: str, spec: str, size: int, workers: int, seconds: float, sink: RtspSink | None
) -> dict[str, Any]:
    from facewire.networks import open_networks
    from facewire.showing.decoding import Decoding

    networks = open_networks(models, 1)
    messages = stream_of(networks, pictures_of(spec, 251))
    decoding = Decoding(networks, size)
    for message in messages[:6]:
        for _ in decoding.push(message):
            pass
    counters = decoding.counters
    generated, interpolated = counters.generated, counters.interpolated
    handoff: queue.Queue[Any] = queue.Queue(4)
    failures: list[BaseException] = []

    def upscale() -> None:
        try:
            while (rebuilt := handoff.get()) is not None:
                take(decoding.show(rebuilt).picture)
        except BaseException as error:
            failures.append(error)
            while handoff.get() is not None:
                pass

    worker = threading.Thread(target=upscale, daemon=True)
    take: Callable[[Picture], None] = (lambda _: None) if sink is None else sink.show
    started, shown, before = time.perf_counter(), 0, _encoded(sink)
    if workers > 1:
        worker.start()
    for message in messages[6:]:
        for rebuilt in decoding.animator.push(message):
            if workers > 1:
                handoff.put(rebuilt)
            else:
                take(decoding.show(rebuilt).picture)
            shown += 1
        if time.perf_counter() - started > seconds or failures:
            break
    if workers > 1:
        handoff.put(None)
        worker.join()
    spent, encoded = time.perf_counter() - started, _encoded(sink) - before
    if failures:
        raise failures[0]
    generated, interpolated = counters.generated - generated, counters.interpolated - interpolated
    return {
        "shown_fps": round(shown / spent, 2),
        **({} if sink is None else {"encoded_fps": round(encoded / spent, 2)}),
        "frames": shown,
        "interpolated_share": round(interpolated / max(1, generated + interpolated), 3),
        "threads": workers,
        "peak_memory_mb": round(peak_memory_mb()),
    }


def wide_clip(spec: str, path: Path, frames: int, width: int = 1280, height: int = 720) -> None:
    """Write a 25-fps H.264 clip with the source's picture in the middle of a wider one."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "20", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures_of(spec, frames):
            tile = square(picture, height)
            side = (width - height) // 2
            wide = cv2.copyMakeBorder(tile, 0, 0, side, width - height - side, cv2.BORDER_REPLICATE)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(wide, np.uint8), format="rgb24")))
        container.mux(stream.encode(None))


def encoder_fps(models: str, clip: str, profile_name: str, seconds: float) -> dict[str, Any]:
    """Camera frames a second of decoding the clip, finding the face, keypoints, pivots and packing."""
    from facewire.coding.encoding import open_encoding
    from facewire.profiles import profile
    from facewire.wire.packets import pack

    encoding = open_encoding(profile(profile_name), models, 25.0, threads=1)
    from facewire.sources import open_source

    count = sent = 0
    slowest = 0.0
    with closing(open_source(f"file:{clip}", 25.0, pace=False)) as source:
        first = source.read(10.0)
        if first is None:
            raise FacewireError(f"{clip}: no picture")
        encoding.push(first)
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            frame = source.read(10.0)
            if frame is None:
                break
            begun = time.perf_counter()
            sent += sum(len(pack(message)) for message in encoding.push(frame))
            slowest = max(slowest, time.perf_counter() - begun)
            count += 1
        spent = time.perf_counter() - started
    if not count:
        raise FacewireError(f"{clip}: holds one picture only")
    return {
        "camera_fps": round(count / spent, 2),
        "frames": count,
        "slowest_push_ms": round(slowest * 1000, 1),
        "payload_kbps_after_first_pivot": round(sent * 8 / 1000 / (count / 25), 2),
        "peak_memory_mb": round(peak_memory_mb()),
    }
