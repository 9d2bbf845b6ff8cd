"""Cut square clips of talking heads out of a folder of videos, ready for `train` and `evaluate`.

Each clip shows one face that stays about where it is, without a cut, in a crop that does not move; 25 fps; 512x512,
or 256x256 where the source has no more. Beside the folder OUT a table OUT.csv is written (id, size, seconds, person,
origin, native_25fps). Run again, it goes on where it stopped; videos that are done are not looked at twice.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.face.crop import CENTRE, FACE
from facewire_export.dataset import VIDEO_SUFFIXES, DatasetError

Picture = NDArray[np.uint8]
Box = tuple[float, float, float, float]
"""x, y, width, height of a face in pixels."""
Finder = Callable[[Picture], Sequence[Box]]

COLUMNS = ("id", "size", "seconds", "person", "origin", "native_25fps")
FPS = 25
LOOK_EVERY = 0.2
"""Seconds between two looks for faces."""
CUT_LEVEL = 28.0
"""Mean difference of 32x18 grey thumbnails that counts as a cut."""
MIN_SIDE = 192
LARGE_SIDE = 384
"""Crops from this side on become 512x512, smaller ones 256x256."""


@dataclass(frozen=True)
class Look:
    """What was seen at a time: the faces, largest first, and whether a cut lies between this look and the last."""

    time: float
    faces: tuple[Box, ...]
    cut: bool = False


@dataclass(frozen=True)
class Stretch:
    """A part of a video that makes one clip: from `start` to `end` seconds, the square at left, top with `side` px."""

    start: float
    end: float
    left: int
    top: int
    side: int


def _still_one_face(looks: Sequence[Look]) -> bool:
    """Whether one face, and only one of its size, keeps its place and its size through all looks."""
    boxes = np.array([look.faces[0] for look in looks])
    width = float(np.median(boxes[:, 2]))
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    spread = centres.max(0) - centres.min(0)
    return bool(spread.max() <= 0.8 * width and boxes[:, 2].max() <= 1.5 * boxes[:, 2].min())


def _square(looks: Sequence[Look], width: int, height: int) -> tuple[int, int, int] | None:
    """Left, top and side of the crop inside the picture, or None where the face is too small or too near the edge."""
    boxes = np.array([look.faces[0] for look in looks])
    face = float(np.median(boxes[:, 2]))
    side = min(round(face / FACE), width, height) // 2 * 2
    if side < MIN_SIDE or face > 0.75 * side:
        return None
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    x, y = (centres.max(0) + centres.min(0)) / 2
    # Framed as the encoder frames.
    left = int(np.clip(round(x - CENTRE[0] * side), 0, width - side))
    top = int(np.clip(round(y - CENTRE[1] * side), 0, height - side))
    inside = (
        boxes[:, 0].min() >= left - 0.1 * face
        and boxes[:, 1].min() >= top - 0.1 * face
        and (boxes[:, 0] + boxes[:, 2]).max() <= left + side + 0.1 * face
        and (boxes[:, 1] + boxes[:, 3]).max() <= top + side + 0.1 * face
    )
    return (left, top, side) if inside else None


def stretches(
    looks: Sequence[Look], width: int, height: int, shortest: float = 2.5, longest: float = 30.0
) -> list[Stretch]:
    """The parts of a video that make clips, in order; lengths in seconds, pictures of width x height."""
    found: list[Stretch] = []
    run: list[Look] = []

    def close() -> None:
        if len(run) > 1 and run[-1].time - run[0].time >= shortest:
            square = _square(run, width, height)
            if square:
                found.append(Stretch(run[0].time, run[-1].time, *square))
        run.clear()

    for look in looks:
        alone = bool(look.faces) and (len(look.faces) == 1 or look.faces[1][2] < 0.5 * look.faces[0][2])
        if look.cut or not alone:
            close()
        if not alone:
            continue
        if not _still_one_face([*run, look]) or (run and look.time - run[0].time > longest):
            close()
        run.append(look)
    close()
    return found


def pictures(path: Path) -> Iterator[tuple[float, Picture]]:
    """(seconds from the first picture, uint8 [h, w, 3] RGB the right way up) of a video. DatasetError if unreadable."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DatasetError(f"{path}: holds no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            first: float | None = None
            for count, frame in enumerate(container.decode(stream)):
                time = frame.time if frame.time is not None else count / float(stream.average_rate or FPS)
                first = time if first is None else first
                picture = frame.to_ndarray(format="rgb24")
                # Telephones store pictures lying and note by how much they are to be turned.
                turns = round(getattr(frame, "rotation", 0) / 90) % 4
                yield time - first, np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture
    except av.error.FFmpegError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from error


def survey(path: Path, find: Finder) -> tuple[list[Look], int, int, float]:
    """Look through a video: looks, picture width and height, and the source's frames a second."""
    looks: list[Look] = []
    before: NDArray[np.int16] | None = None
    due, cut, count, width, height, time = 0.0, False, 0, 0, 0, 0.0
    for time, picture in pictures(path):
        count += 1
        height, width = picture.shape[:2]
        grey = cv2.cvtColor(cv2.resize(picture, (32, 18), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        thumbnail = grey.astype(np.int16)
        cut = cut or (before is not None and float(np.abs(thumbnail - before).mean()) > CUT_LEVEL)
        before = thumbnail
        # A cut is looked at in its very frame, so that no stretch starts before it.
        if time >= due or (cut and looks and not looks[-1].cut):
            faces = sorted(find(picture), key=lambda box: -box[2])
            looks.append(Look(time, tuple(faces), cut))
            due, cut = time + LOOK_EVERY, False
    return looks, width, height, (count - 1) / time if time > 0 else 0.0


def write_clip(path: Path, stretch: Stretch, size: int, source: Path) -> int:
    """Cut one clip to H.264 at 25 fps, nearly lossless; returns its frames. Never leaves half a clip under `path`."""
    partial = path.with_suffix(".partial")
    count = 0
    with av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "14", "preset": "medium"})
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for time, picture in pictures(source):
            if time >= stretch.end:
                break
            # Each 25-fps instant shows the last picture before it: slower sources repeat, faster ones leave out.
            while stretch.start + count / FPS <= time:
                part = picture[stretch.top : stretch.top + stretch.side, stretch.left : stretch.left + stretch.side]
                way = cv2.INTER_AREA if stretch.side >= size else cv2.INTER_CUBIC
                small = np.ascontiguousarray(cv2.resize(part, (size, size), interpolation=way))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
                count += 1
        container.mux(stream.encode(None))
    partial.replace(path)
    return count


def crop_video(source: Path, origin: str, out: Path, find: Finder, person: str) -> list[dict[str, object]]:
    """All clips of one video, written to `out`; returns their rows of the table."""
    looks, width, height, fps = survey(source, find)
    rows: list[dict[str, object]] = []
    for stretch in stretches(looks, width, height):
        name = f"{hashlib.sha256(origin.encode()).hexdigest()[:8]}_{len(rows):02d}"
        size = 512 if stretch.side >= LARGE_SIDE else 256
        frames = write_clip(out / f"{name}.mp4", stretch, size, source)
        native = int(fps >= 23)
        values = (name, size, f"{frames / FPS:.2f}", person, origin, native)
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def _append(table: Path, rows: list[dict[str, object]]) -> None:
    """Add rows to the table, all or none."""
    old = list(csv.DictReader(table.open(newline=""))) if table.is_file() else []
    partial = table.with_suffix(".csv.partial")
    with partial.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*old, *rows])
    partial.replace(table)


def face_finder() -> Finder:
    """The encoder's own face finder, as boxes."""
    from facewire.face.finder import FaceFinder

    finder = FaceFinder()
    return lambda picture: [(f.x, f.y, f.w, f.h) for f in finder.find(picture)]


def crop_folder(videos: Path, out: Path, find: Finder | None = None, person_is_folder: bool = False) -> int:
    """Crop all videos under a folder that are not done yet; returns the clips written. Raises DatasetError.

    `find` finds faces; the encoder's own finder unless given.
    """
    if not videos.is_dir():
        raise DatasetError(f"{videos}: no such folder; give a folder of videos")
    found = sorted(p for p in videos.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
    if not found:
        raise DatasetError(f"{videos}: holds no video ({', '.join(VIDEO_SUFFIXES)})")
    if out.resolve() == videos.resolve() or out.resolve().is_relative_to(videos.resolve()):
        raise DatasetError(f"{out}: lies inside {videos}; write the clips to a folder of their own")
    out.mkdir(parents=True, exist_ok=True)
    find = find or face_finder()
    done_path = out.with_suffix(".done")
    done = set(done_path.read_text("utf-8").splitlines()) if done_path.is_file() else set()
    total = 0
    for number, source in enumerate(found, 1):
        origin = source.relative_to(videos).as_posix()
        if origin in done:
            continue
        person = source.parent.name if person_is_folder else source.stem
        try:
            rows = crop_video(source, origin, out, find, person)
        except DatasetError as error:
            print(error, file=sys.stderr)
            rows = []
        _append(out.with_suffix(".csv"), rows)
        with done_path.open("a", encoding="utf-8") as handle:
            handle.write(origin + "\n")
        total += len(rows)
        print(f"{number}/{len(found)} {origin}: {len(rows)} clips", flush=True)
    return total


def add_crop_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `facewire-export crop`."""
    parser.add_argument("videos", type=Path, help="folder of videos, searched with all folders below it")
    parser.add_argument("out", type=Path, help="folder for the clips; the table is written to OUT.csv")
    parser.add_argument("--person", choices=("video", "folder"), default="video", help="what names the person")


def main(options: argparse.Namespace) -> int:
    """Run `facewire-export crop`."""
    total = crop_folder(options.videos, options.out, person_is_folder=options.person == "folder")
    print(f"{total} new clips in {options.out}, table {options.out.with_suffix('.csv')}")
    return 0
