"""What a receiver's generator is really fed: clips that went through the sender's own steps, kept beside their frames.

Pivots are coded, keypoints lie on their grid, deformations and mouths are fitted and cost what they may cost. Who is
taught with nothing but keypoints never meets the pictures that he is there to mend.
"""

from __future__ import annotations

import functools
import multiprocessing
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.coding.album import Seen, fit
from facewire.coding.keyframes import bundle, find_points
from facewire.coding.lips import Lips, encode_face, spoken
from facewire.coding.pivots import Scene
from facewire.coding.still import calmed
from facewire.coding.trellis import deformed
from facewire.face.mesh import Landmarks
from facewire.networks import SENDER, Networks, Session, load_manifest, open_networks
from facewire.showing.animator import Animator
from facewire.showing.deformation import Fitter, Movement, displacements, fit_bundle
from facewire.types import Bundle, Epoch, Message, Picture
from facewire.wire.keypoints import to_grid
from facewire.wire.packets import MAX_SLICE_BYTES
from facewire.wire.pivot import content_id, decode_pivot, slices
from facewire_export.dataset import Clip
from facewire_export.networks.tiers import CODED_SIZE

PIVOTS, FRAMES = 2, 24
"""Of each clip: pivots, and frames that are made from each, one after the other."""
BYTES = (2_500, 14_000)
"""Range of pivots, those of the profiles."""
DEFORMATION_BYTES = (0.0, 4.2, 4.2, 9.0, 24.0)
"""What a frame's deformation may take, one of these for each pivot; 0: there are none."""
KIND, STEP, FPS = 2, 1.0, 12.5


@dataclass(frozen=True)
class Sent:
    """Frames of one clip as the generator is fed them."""

    coded: NDArray[np.uint8]
    """[pivots, 256, 256, 3]: as they are decoded."""
    still: NDArray[np.float32]
    """[pivots, 10, 2]: their keypoints."""
    which: NDArray[np.int64]
    """[frames]: each one's pivot."""
    frames: NDArray[np.int64]
    """[frames]: its place in the clip."""
    points: NDArray[np.float32]
    """[frames, 10, 2]: its keypoints."""
    displacement: NDArray[np.float16]
    """[frames, 2, 64, 64] half crops, with everything in it that was sent."""


@dataclass
class _Watched:
    """A generator's session that keeps what it was fed and what it made of it."""

    inner: Session
    fed: list[Mapping[str, NDArray[Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inputs, self.outputs = self.inner.inputs, self.inner.outputs

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """As the inner session's."""
        made = self.inner.run(inputs)
        self.fed.append({**inputs, "moved": made["displacement"]})
        return made


def send(clip: Clip, networks: Networks, seed: int) -> Sent | None:
    """A clip at the coded size through sender and receiver; None where too few of its frames have a face."""
    rng = np.random.default_rng(seed)
    faces = {at: _face(marks) for at, marks in enumerate(clip.landmarks) if np.isfinite(marks).all()}
    if len(faces) < FRAMES:
        return None
    watched = _Watched(networks["generator"])
    receiver = Animator(Networks(networks.id, {**networks.sessions, "generator": watched}))
    looked_at = [Seen(clip.frames[at], Scene(face=face)) for at, face in faces.items()]
    good = [at for at, may in zip(faces, fit(looked_at), strict=True) if may]
    numbers: list[int] = []
    coded: list[Picture] = []
    for stream in range(PIVOTS):
        pivot = int(rng.choice(good or [*faces]))
        data = encode_face(clip.frames[pivot], faces[pivot], int(np.exp(rng.uniform(*np.log(BYTES)))))
        coded.append(decode_pivot(data))
        run = sorted(faces)[(first := int(rng.integers(len(faces) - FRAMES + 1))) : first + FRAMES]
        spent = float(rng.choice(DEFORMATION_BYTES))
        for message in _messages(clip, faces, networks, data, faces[pivot], run, stream, spent):
            for _ in receiver.push(message):
                pass
        numbers += run
    fed = watched.fed
    return Sent(
        coded=np.stack(coded),
        still=np.concatenate([fed[at]["pivot_keypoints"] for at in range(0, len(fed), FRAMES)]),
        which=np.arange(len(fed)) // FRAMES,
        frames=np.array(numbers),
        points=np.concatenate([feeds["keypoints"] for feeds in fed]),
        displacement=np.concatenate([feeds["moved"] for feeds in fed]).astype(np.float16),
    )


def _messages(
    clip: Clip,
    faces: Mapping[int, Landmarks],
    networks: Networks,
    pivot: bytes,
    face: Landmarks,
    run: list[int],
    stream: int,
    spent: float,
) -> Iterator[Message]:
    """What is sent of a run of frames (places in the clip), numbered from 0. face: the pivot's."""
    pictures = {number: clip.frames[at] for number, at in enumerate(run)}
    seen = {number: faces[at] for number, at in enumerate(run)}
    found = calmed([(n, find_points(networks["keypoints"], picture)) for n, picture in pictures.items()], FPS)
    assert found[0][1] is not None
    reference = to_grid(found[0][1], STEP)
    name = content_id(pivot)
    epoch = Epoch(stream, 0, 0, name, len(pivot), CODED_SIZE, FPS, 0, networks.id, STEP, reference)
    yield epoch
    yield from slices(pivot, MAX_SLICE_BYTES)
    message: Bundle = bundle(epoch, found)
    if spent:
        fitter = Fitter(networks, pivot, KIND)
        fits = fit_bundle(fitter, message, epoch, pictures)
        (message,) = deformed([message], [fits], KIND, spent)
        moved = displacements(message, fits)
    else:
        moved = Movement(networks, pivot).of_bundle(message, epoch)
    yield spoken(message, moved, Lips(pivot, lambda _: face), seen, CODED_SIZE)


def _face(marks: NDArray[np.float16]) -> Landmarks:
    """Landmarks in pixels of the coded size; depth, which nothing here asks for, is 0."""
    flat = (marks.astype(np.float32) + 1) * (CODED_SIZE / 2)
    return np.column_stack([flat, np.zeros(len(flat), np.float32)])


def _prepare(clip: Clip, path: Path, models: str) -> None:
    networks = open_networks(models, 1, SENDER, "cpu", "fp32")
    made = send(clip, networks, zlib.crc32(clip.entry.name.encode()))
    partial = path.with_suffix(".partial")
    with partial.open("wb") as handle:
        np.savez(handle, **({} if made is None else vars(made)))
    partial.replace(path)


def open_sent(clips: list[Clip], cache: Path, models: str = "", workers: int = 2) -> list[Sent | None]:
    """What was sent of each clip, made where the cache lacks it. Raises ModelError.

    models: directory of the networks that send and receive, "" for the shipped ones.
    """
    paths = [sent_path(clip, cache, models) for clip in clips]
    missing = [pair for pair in zip(clips, paths, strict=True) if not pair[1].is_file()]
    if missing:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as processes:
            list(processes.map(functools.partial(_prepare, models=models), *zip(*missing, strict=True)))
    return [_load(path) for path in paths]


def sent_path(clip: Clip, cache: Path, models: str) -> Path:
    """Where the cache has what these networks sent of a clip. Raises ModelError."""
    return cache / f"{clip.entry.name}.sent-{load_manifest(models).id.hex()}.npz"


def _load(path: Path) -> Sent | None:
    with np.load(path) as found:
        return Sent(**found) if found.files else None
