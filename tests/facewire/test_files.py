from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.facewire.wire.samples import head

from facewire import files, inspect
from facewire.errors import ContainerError, FacewireError, ModelError, SinkError, SourceError
from facewire.networks import open_networks
from facewire.profiles import Profile
from facewire.showing.decoding import Decoding
from facewire.types import Bundle, Epoch, Frame, KeypointFrame, Message, Picture, ShownFrame
from facewire.wire.container import Reader, Record
from facewire.wire.keypoints import to_grid
from facewire.wire.pivot import encode_pivot, slices
from facewire.wire.tally import Report

FRAMES = 23


@dataclass
class Steps:
    """Encoding without a face or a network: the first picture is the pivot, the points sway."""

    profile: Profile
    fps: float
    network: bytes
    start: int = 0
    count: int = 0
    waiting: list[KeypointFrame] = field(default_factory=list)

    def push(self, frame: Frame) -> list[Message]:
        out: list[Message] = []
        number, self.count = self.count, self.count + 1
        step = self.profile.keypoint_step
        reference = to_grid(head(0), step)
        if number < self.start:
            return out
        if number == self.start:
            coded = encode_pivot(np.ascontiguousarray(frame.picture[:256, :256]), 3000)
            parts = list(slices(coded, 700))
            out.append(
                Epoch(1, 0, number, parts[0].pivot_id, len(coded), 256, self.fps, self.profile.skip, self.network,
                      step, reference)
            )  # fmt: skip
            out += parts
        if (number - self.start) % (self.profile.skip + 1) == 0:
            self.waiting.append(KeypointFrame(number, to_grid(head(number), step, reference)))
        return out + (self._bundle() if len(self.waiting) == self.profile.bundle_frames else [])

    def flush(self) -> list[Message]:
        last = self.count - 1
        if last >= self.start and (last - self.start) % (self.profile.skip + 1):
            step = self.profile.keypoint_step
            self.waiting.append(KeypointFrame(last, to_grid(head(last), step, to_grid(head(0), step))))
        return self._bundle()

    def _bundle(self) -> list[Message]:
        frames, self.waiting = tuple(self.waiting), []
        return [Bundle(0, frames)] if frames else []


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "in.mp4"
    write_clip(path, FRAMES)
    return path


def write_clip(path: Path, count: int, rate: int = 30) -> None:
    av: Any = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 320, 256, "yuv420p"
        y, x = np.mgrid[0:256, 0:320]
        for number in range(count):
            picture = np.stack([(x + 2 * number) % 256, y % 256, (x + y) % 256], 2).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def frames_in(path: Path) -> list[Picture]:
    av: Any = pytest.importorskip("av")
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def stream(clip: Path, tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stream") / "out.fw"
    squeeze(clip, path, tiny_models)
    return path


def squeeze(clip: Path, out: Path, models: Path, start: int = 0, **options: Any) -> Report:
    network = open_networks(models).id
    return files.compress(
        clip, out, encoder=lambda profile, fps: Steps(profile, fps, network, start), **{"profile": "bgan", **options}
    )


def decoding(models: Path, size: int = 128) -> Decoding:
    return Decoding(open_networks(models), size)


@pytest.mark.parametrize("skip", [0, 1, 2, 3])
@pytest.mark.parametrize("start", [0, 6])
def test_as_many_frames_come_out_as_go_in(clip: Path, tiny_models: Path, tmp_path: Path, skip: int, start: int) -> None:
    report = squeeze(clip, tmp_path / "a.fw", tiny_models, start, skip=skip)
    assert report.frames == FRAMES
    assert report.fps == 30
    assert files.decompress(tmp_path / "a.fw", tmp_path / "a.mp4", decoder=decoding(tiny_models), size=128) == FRAMES
    shown = frames_in(tmp_path / "a.mp4")
    assert len(shown) == FRAMES
    assert shown[0].shape == (128, 128, 3)


def test_report_and_inspect_agree(
    clip: Path, tiny_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.fw"
    squeeze(clip, out, tiny_models, report=tmp_path / "r.json")
    written = json.loads((tmp_path / "r.json").read_text())
    assert inspect.run(out, json=True) == 0
    assert json.loads(capsys.readouterr().out) == written
    assert list(written) == [
        "frames", "fps", "seconds", "coded_size", "keypoint_frames", "pivots", "pivot_reuses", "bytes", "kbps",
        "bpp", "wire",
    ]  # fmt: skip
    assert list(written["bytes"]) == ["keypoints", "pivots", "headers", "total"]
    size = out.stat().st_size
    assert written["bytes"]["total"] == size == sum(written["bytes"].values()) - size
    assert written["keypoint_frames"] == 12
    assert (written["pivots"], written["pivot_reuses"], written["coded_size"]) == (1, 0, 256)
    assert written["bpp"] == pytest.approx(8 * size / (FRAMES * 512 * 512), rel=1e-4)
    assert written["kbps"] == pytest.approx(8 * size / (FRAMES / 30) / 1000, rel=1e-4)
    assert inspect.run(str(out)) == 0
    table = capsys.readouterr().out
    assert "keypoints" in table
    assert str(size) in table


def test_cut_anywhere_decodes_up_to_the_cut(stream: Path, tiny_models: Path, tmp_path: Path) -> None:
    data = stream.read_bytes()
    ends = [10]
    for record in Reader(stream):
        ends.append(ends[-1] + record.record_bytes)
    networks = open_networks(tiny_models)
    counts = []
    for length in range(0, len(data), 61):
        cut = tmp_path / "cut.fw"
        cut.write_bytes(data[:length])
        folder = tmp_path / f"out-{length}"
        try:
            counts.append(files.decompress(cut, folder, decoder=Decoding(networks, 64), size=64))
            assert len(list(folder.iterdir())) == counts[-1]
        except ContainerError:
            counts.append(0)
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert FRAMES >= counts[-1] > 0


def test_damage_in_the_middle_keeps_time(stream: Path, tiny_models: Path, tmp_path: Path) -> None:
    data = bytearray(stream.read_bytes())
    places = [offset for offset, record in Reader(stream).walk() if isinstance(record, Record)]
    data[places[-1] - 5] ^= 0xFF
    (tmp_path / "hit.fw").write_bytes(data)
    count = files.decompress(tmp_path / "hit.fw", tmp_path / "o.mkv", decoder=decoding(tiny_models), size=128)
    assert count == FRAMES


def test_lossless_is_lossless(stream: Path, tiny_models: Path, tmp_path: Path) -> None:
    from PIL import Image

    files.decompress(stream, tmp_path / "a.mkv", size=128, lossless=True, decoder=decoding(tiny_models))
    files.decompress(stream, tmp_path / "png", size=128, decoder=decoding(tiny_models))
    pictures = frames_in(tmp_path / "a.mkv")
    paths = sorted((tmp_path / "png").iterdir())
    assert len(pictures) == len(paths) == FRAMES
    assert paths[3].name == "frame_000003.png"
    for picture, path in zip(pictures, paths, strict=True):
        assert np.array_equal(picture, np.asarray(Image.open(path)))


def test_interrupted_files_are_kept(stream: Path, clip: Path, tiny_models: Path, tmp_path: Path) -> None:
    network = open_networks(tiny_models).id

    class Impatient(Steps):
        def push(self, frame: Frame) -> list[Message]:
            if self.count == 14:
                raise KeyboardInterrupt
            return super().push(frame)

    with pytest.raises(FacewireError, match=r"interrupted: .*a\.fw holds the first 14 frames"):
        files.compress(clip, tmp_path / "a.fw", "bgan", encoder=lambda profile, fps: Impatient(profile, fps, network))
    inner = decoding(tiny_models)

    class ImpatientDecoder:
        def push(self, message: Message) -> Iterator[ShownFrame]:
            if isinstance(message, Bundle) and message.frames[0].number > 10:
                raise KeyboardInterrupt
            return inner.push(message)

        def flush(self) -> Iterator[ShownFrame]:
            return inner.flush()

    with pytest.raises(FacewireError, match=r"interrupted: .* holds the first 11 frames"):
        files.decompress(stream, tmp_path / "b.mp4", size=128, decoder=ImpatientDecoder())
    assert len(frames_in(tmp_path / "b.mp4")) == 11


def test_user_errors_are_one_line_each(stream: Path, clip: Path, tiny_models: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        squeeze(tmp_path / "none.mp4", tmp_path / "a.fw", tiny_models)
    with pytest.raises(SourceError, match="no such file"):
        files.compress("none.mp4", tmp_path / "a.fw", encoder=lambda profile, fps: Steps(profile, fps, b"...."))
    with pytest.raises(SourceError, match="no face"):
        squeeze(clip, tmp_path / "a.fw", tiny_models, start=1000)
    assert not (tmp_path / "a.fw").exists()
    with pytest.raises(FacewireError, match="input itself"):
        squeeze(clip, clip, tiny_models)
    with pytest.raises(ContainerError, match=r"no \.fw file"):
        files.decompress(clip, tmp_path / "b.mp4", decoder=decoding(tiny_models))
    with pytest.raises(ContainerError, match="cannot read"):
        inspect.run(tmp_path / "none.fw")
    for out, lossless, says in (("b.avi", False, "must end in"), ("b.mp4", True, "mkv"), ("no/b.mp4", False, "exist")):
        with pytest.raises(SinkError, match=says):
            files.decompress(stream, tmp_path / out, lossless=lossless, decoder=decoding(tiny_models))
    with pytest.raises(SinkError, match="even size"):
        files.decompress(stream, tmp_path / "b.mp4", size=127, decoder=decoding(tiny_models))
    with pytest.raises(FacewireError, match="does not exist"):
        squeeze(clip, tmp_path / "a.fw", tiny_models, report=tmp_path / "no" / "r.json")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(SinkError, match="not an empty folder"):
        files.decompress(stream, tmp_path / "full", decoder=decoding(tiny_models))
    with pytest.raises(ModelError):
        files.decompress(stream, tmp_path / "b.mp4", models=str(tmp_path))
    for error in (SinkError, SourceError):
        assert issubclass(error, FacewireError)


def test_other_networks_are_named(stream: Path, tmp_path: Path, tiny_models: Path) -> None:
    from dataclasses import replace

    from facewire.wire.container import Writer

    with Writer(tmp_path / "b.fw") as out:
        for record in Reader(stream):
            message = record.message
            out.write(replace(message, network=b"othr") if isinstance(message, Epoch) else message)
    with pytest.raises(ContainerError, match="networks"):
        files.decompress(tmp_path / "b.fw", tmp_path / "b.mp4", decoder=decoding(tiny_models))


def test_gaps_are_held_and_wild_numbers_bounded() -> None:
    picture = [np.full((2, 2, 3), value, np.uint8) for value in range(4)]
    shown = [
        ShownFrame(2, 0.1, picture[1], False),
        ShownFrame(2, 0.1, picture[0], False),
        ShownFrame(5, 0.2, picture[2], False),
        ShownFrame(10**9, 0.2, picture[3], False),
        ShownFrame(10**9 + 1, 0.2, picture[0], False),
    ]
    assert [int(p[0, 0, 0]) for p in files.every_frame(shown, 25.0)] == [1, 1, 1, 1, 1, 2, 3, 0]


def test_a_real_clip_there_and_back(tmp_path: Path) -> None:
    """The shipped networks, MediaPipe, and a talking person: as many frames out as in."""
    root = Path(__file__).parents[2]
    clip = root.parent / "shared" / "clips" / "val" / "bf68a359_01.mp4"
    if not clip.is_file():
        pytest.skip("the validation clips are not on this machine")
    if not (root / "models_onnx" / "manifest.toml").is_file():
        pytest.skip("no networks in models_onnx")
    pytest.importorskip("mediapipe")
    report = files.compress(clip, tmp_path / "a.fw", skip=1)
    assert report.frames == len(frames_in(clip))
    assert files.decompress(tmp_path / "a.fw", tmp_path / "a.mkv", size=128) == report.frames
    assert frames_in(tmp_path / "a.mkv")[0].shape == (128, 128, 3)
