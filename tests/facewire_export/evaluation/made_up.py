"""A made-up clip, networks whose pictures are known, and what an encoder would send: for the tests beside this file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.networks import Networks
from facewire.types import Bundle, Epoch, KeypointFrame, Message, Picture, PivotSlice
from facewire.wire.keypoints import to_grid
from facewire.wire.pivot import content_id, encode_pivot
from facewire_export.dataset import ClipEntry

ID = b"test"
SHIFT = 0.02
"""Keypoints move so far (half crops) with each frame of the made-up clip."""


class Fake:
    """A session that computes with a function."""

    def __init__(self, inputs: Mapping[str, tuple[int, ...]], output: str, run: Any) -> None:
        self.inputs: Mapping[str, tuple[int | None, ...]] = inputs
        self.outputs: Mapping[str, tuple[int | None, ...]] = {output: (1,)}
        self._run, self._output = run, output

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        return {self._output: np.asarray(self._run(inputs), np.float32)}


def moved(feed: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The pivot shifted by how far the keypoints moved: what a perfect generator does to the made-up clip."""
    x, y = (feed["keypoints"] - feed["pivot_keypoints"]).mean((0, 1)) * 128
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
    planes = [cv2.warpAffine(p, matrix, (256, 256), borderMode=cv2.BORDER_REFLECT) for p in feed["pivot"][0]]
    return np.asarray(np.stack(planes)[None])


def networks() -> Networks:
    """A full set of networks that do what the made-up clip needs."""
    picture, points = (1, 3, 256, 256), (1, 10, 2)
    still = {"pivot": picture, "pivot_keypoints": points}
    sessions = {
        "keypoints": Fake({"picture": (1, 3, 64, 64)}, "keypoints", lambda _: np.zeros(points)),
        "pivot_encoder": Fake(still, "features", lambda _: np.zeros((1, 1, 1, 1))),
        "generator": Fake({**still, "keypoints": points}, "picture", moved),
        "interpolator": Fake(
            {"picture_before": picture, "picture_after": picture},
            "between",
            lambda feed: (feed["picture_before"] + feed["picture_after"]) / 2,
        ),
    }
    return Networks(ID, sessions)


def scene(size: int, frame: int) -> Picture:
    """A blurred blob picture that moves to the right by 2.56 pixels of 256 with each frame."""
    noise = np.random.default_rng(5).integers(30, 226, (16, 16, 3)).astype(np.uint8)
    large = cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    matrix = np.array([[1, 0, frame * SHIFT * size / 2], [0, 1, 0]], np.float32)
    return np.asarray(cv2.warpAffine(large, matrix, (size, size), borderMode=cv2.BORDER_REFLECT), np.uint8)


def clip(path: Path, frames: int, size: int = 256) -> ClipEntry:
    """Write the made-up clip."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "8", "preset": "ultrafast"})
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for i in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(size, i), format="rgb24")))
        container.mux(stream.encode(None))
    return ClipEntry(path.stem, path, "nobody", size, True)


def stream(frames: int, lost: tuple[int, ...] = (), skip: int = 1) -> list[Message]:
    """What an encoder would send for the clip."""
    data = encode_pivot(scene(256, 0), 4000)
    epoch = Epoch(7, 0, 0, content_id(data), len(data), 256, 25.0, skip, ID, 0.5)
    numbers = sorted({*range(0, frames, skip + 1), frames - 1} - set(lost))
    bundles: list[Message] = []
    for number in numbers:
        points = np.zeros((10, 2), np.float32)
        points[:, 0] = number * SHIFT
        bundles.append(Bundle(0, (KeypointFrame(number, to_grid(points, 0.5)),)))
    return [epoch, PivotSlice(epoch.pivot_id, 0, len(data), data), *bundles]
