"""File mode: `compress` a clip into a .fw file, `decompress` it into pictures.

    compress      source -> Lookahead -> .fw file
    decompress    .fw file -> Decoding -> as many pictures as went in -> video file or folder

Messages are those of the daemons; only the choice of pivots and the length of bundles differ, since a file can wait.
Both keep what they have when they are interrupted: a .fw file that was cut anywhere decodes up to there.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

from facewire.errors import ContainerError, FacewireError, SourceError
from facewire.profiles import Profile
from facewire.profiles import profile as profile_by_name
from facewire.progress import Progress
from facewire.types import Frame, Message, Picture, ShownFrame
from facewire.wire.container import Reader, Writer
from facewire.wire.tally import Report, Tally
from facewire.writers import check_out, open_writer

MAX_HELD_SECONDS = 900.0
"""A longer gap in a file's frame numbers is left out: a damaged number must not fill the disk."""


class Encoder(Protocol):
    """The steps of facewire.coding.lookahead.Lookahead (or facewire.coding.encoding.Encoding) that a file needs."""

    def push(self, frame: Frame) -> list[Message]: ...

    def flush(self) -> list[Message]: ...


class Decoder(Protocol):
    """The steps of facewire.showing.decoding.Decoding that a file needs."""

    def push(self, message: Message) -> Iterator[ShownFrame]: ...

    def flush(self) -> Iterator[ShownFrame]: ...


def compress(
    source: str | Path,
    out: str | Path,
    profile: str = "vsat",
    skip: int | None = None,
    pivots: str = "adaptive",
    report: str | Path | None = None,
    models: str = "",
    encoder: Callable[[Profile, float], Encoder] | None = None,
    append: bool = False,
    keypoints: str = "coded",
) -> Report:
    """Code a video (a path or a source SPEC) into a .fw file; returns what it costs, written to `report` as JSON too.

    profile: see facewire.profiles; skip: 0-3, None for the profile's; pivots: "adaptive" or "first".
    encoder: makes the encoding steps for a profile and a frame rate (default: facewire.coding.lookahead.Lookahead).
    append: go on with a .fw file that is there (the report is about what was added). keypoints: "bare" without
    deformations, "raw" by 8 bytes each besides, as in the paper.
    Ctrl-C ends the file cleanly and raises FacewireError. Raises ConfigError, SourceError, ModelError, ContainerError.
    """
    out = Path(out)
    chosen = profile_by_name(profile)
    if skip is not None:
        chosen = dataclasses.replace(chosen, skip=skip)
    if keypoints != "coded":
        chosen = dataclasses.replace(chosen, deformation=0, live_deformation=0)
    if keypoints == "raw":
        chosen = dataclasses.replace(chosen, keypoint_step=0.0)
    spec = _spec(source)
    if Path(spec.removeprefix("file:")).absolute() == out.absolute():
        raise FacewireError(f"{out} is the input itself; choose another name for the output")
    if report is not None and not Path(report).absolute().parent.is_dir():
        raise FacewireError(f"cannot write {report}: the folder {Path(report).parent} does not exist")
    from facewire.sources import open_source

    fps = _rate(spec)
    _same_rate(out, fps, append)
    with closing(open_source(spec, fps, pace=False)) as pictures:
        with Writer(out, append=append) as file, Progress("compress", fps) as progress:
            first = file.next_frame
            begun = file.bytes if first else 0
            tally = Tally(first)
            encoding = encoder(chosen, fps) if encoder else _encoder(chosen, fps, models, pivots, first)
            interrupted = False
            try:
                count = 0
                while (frame := pictures.read(10.0)) is not None or not pictures.ended:
                    if frame is None:
                        raise SourceError(f"{pictures.name}: no picture for 10 s")
                    _store(encoding.push(frame), file, tally)
                    count += 1
                    progress.step(count, file.bytes)
            except KeyboardInterrupt:
                interrupted = True
            _store(encoding.flush(), file, tally)
        result = tally.report(file.bytes - begun, 512)
    if not result.keypoint_frames:
        if not append:
            out.unlink(missing_ok=True)
        raise SourceError(
            f"{spec}: no face was found in {count} frames, nothing to send; is a face large enough in it?"
        )
    if report is not None:
        _write_report(Path(report), result)
    if interrupted:
        raise FacewireError(f"interrupted: {out} holds the first {result.frames} frames")
    return result


def decompress(
    source: str | Path,
    out: str | Path,
    size: int = 512,
    lossless: bool = False,
    models: str = "",
    threads: int = 2,
    start: float = 0.0,
    decoder: Decoder | None = None,
) -> int:
    """Decode a .fw file into .mp4, .mkv or a folder of PNGs, `size` pixels a side; returns the number of pictures.

    As many pictures come out as went in: before the first keypoint frame the first picture stands, over losses the
    last one. start: seconds to leave out, found by the file's index. decoder: the decoding steps (default:
    facewire.showing.decoding.Decoding).
    Ctrl-C ends the video cleanly and raises FacewireError. Raises ContainerError, SinkError, ModelError.
    """
    source, out = Path(source), Path(out)
    reader = Reader(source)
    check_out(out, size, lossless)
    fps = _stream_rate(source)
    decoding = decoder or _decoder(models, size, threads)
    begin = max(0, round(start * fps))
    shown = (frame for record in reader.since(begin) for frame in decoding.push(record.message))
    pictures = every_frame(shown, fps, begin)
    first = next(pictures, None)
    if first is None:
        raise ContainerError(_why_empty(source, decoding))
    count = 0
    interrupted = False
    with closing(open_writer(out, fps, size, lossless)) as writer, Progress("decompress", fps) as progress:
        try:
            writer.write(first)
            count = 1
            for picture in pictures:
                writer.write(picture)
                count += 1
                progress.step(count, reader.file_bytes)
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise FacewireError(f"interrupted: {out} holds the first {count} frames")
    return count


def every_frame(frames: Iterable[ShownFrame], fps: float, expected: int = 0) -> Iterator[Picture]:
    """One picture for each frame number from `expected` on: gaps hold the last one, the first stands before itself."""
    last: Picture | None = None
    begun = False
    for frame in frames:
        gap = frame.number - expected
        if gap < 0:
            last = frame.picture if not begun else last
            continue
        begun = True
        if gap <= MAX_HELD_SECONDS * fps:
            held = frame.picture if last is None else last
            yield from (held for _ in range(gap))
        last = frame.picture
        yield last
        expected = frame.number + 1


def _spec(source: str | Path) -> str:
    """A path is a file even if its name looks like a SPEC."""
    text = str(source)
    if Path(text).exists():
        return f"file:{text}"
    if isinstance(source, Path) or (":" not in text and text != "auto"):
        raise SourceError(f"{text}: no such file")
    return text


def _rate(spec: str) -> float:
    """A file keeps its own frame rate, so that as many frames come out as go in; everything else runs at 25."""
    if not spec.startswith("file:"):
        return 25.0
    from facewire.sources.video import Video

    path = spec.removeprefix("file:").removesuffix("?loop")
    if not Path(path).is_file():
        raise SourceError(f"{path}: no such file")
    with closing(Video(str(Path(path).absolute()), spec)) as video:
        return min(max(round(video.rate, 3), 1.0), 120.0)


def _stream_rate(path: Path) -> float:
    tally = Tally()
    for record in Reader(path):
        tally.add(record.message, record.packet_bytes, record.record_bytes)
        if tally.epochs:
            return tally.report(0, 1).fps
    raise ContainerError(f"{path} holds no stream that can be decoded; it may have been cut at its start")


def _store(messages: Iterable[Message], file: Writer, tally: Tally) -> None:
    for message in messages:
        record = file.write(message)
        tally.add(message, record.packet_bytes, record.record_bytes)


def _write_report(path: Path, report: Report) -> None:
    try:
        path.write_text(json.dumps(report.as_json()) + "\n", "utf-8")
    except OSError as error:
        raise FacewireError(f"cannot write {path}: {error.strerror}") from None


def _why_empty(path: Path, decoding: Decoder) -> str:
    problem = getattr(decoding, "problem", None)
    return f"{path}: {problem or 'no picture can be decoded; it was cut before its first pivot was complete'}"


def _encoder(profile: Profile, fps: float, models: str, pivots: str, first: int) -> Encoder:
    from facewire.coding.lookahead import open_lookahead

    return open_lookahead(profile, models, fps, 2, pivots, first)


def _same_rate(path: Path, fps: float, append: bool) -> None:
    if append and path.exists() and abs((there := _stream_rate(path)) - fps) > 0.01:
        raise FacewireError(f"{path} has {there:g} frames a second, what is to be appended {fps:g}; use another file")


def _decoder(models: str, size: int, threads: int) -> Decoder:
    from facewire.networks import open_networks
    from facewire.showing.decoding import Decoding

    return Decoding(open_networks(models, threads), size)
