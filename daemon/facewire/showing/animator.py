"""Reconstruction and interpolation: messages in, pictures at the coded size out. No clock, no socket, no thread.

Between two keypoint frames the interpolator invents the others, each at its share of the way.

Frames of two pivots are never mixed: across a change of pivot, and while the sender has no confidence in its
keypoints, the last picture is held.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.errors import PacketError
from facewire.networks import Networks
from facewire.networks.session import host
from facewire.showing.deformation import FIELD
from facewire.showing.deformation import from_grid as field_of
from facewire.showing.large import LargePivot, large_pivot
from facewire.showing.planes import Planes
from facewire.showing.scenes import coded_size, scene_feeds
from facewire.types import MAX_BETWEEN, Between, Bundle, Epoch, KeypointFrame, Message, PivotSlice, Points
from facewire.wire.assembler import PivotAssembler
from facewire.wire.keypoints import from_grid
from facewire.wire.mouth import Place, stretch
from facewire.wire.pivot import decode_whole
from facewire.wire.pivot_store import PivotCache

MAX_EPOCHS = 8
"""Epochs of the stream that are remembered; bundles of older ones are dropped."""
MAX_SCENES = 3
"""Encoded pivots kept ready (a few MB each): a sender that goes back to an earlier pivot costs nothing."""
NOWHERE: NDArray[np.float32] = np.full((1, 2, FIELD, FIELD), 9.0, np.float32)
"""The displacement before the first: so far away that nothing is held back by it."""
NOWHERE.setflags(write=False)
FAR = 0.08
"""Mean displacement, in half crops, from which on a large pivot brings nothing: what is not quite in its place is
better off less sharp (docs/training.md)."""
MAX_JUMP_SECONDS = 60.0
"""A bundle that claims to be later than this after the last is believed only when the next one says so too."""


@dataclass
class Counters:
    """What happened, for the status line and for tests. Frames are shown frames, interpolated ones included."""

    generated: int = 0
    interpolated: int = 0
    held: int = 0
    """Shown again on purpose: low confidence, or between two pivots."""
    faceless: int = 0
    """Keypoint frames of low confidence."""
    waiting: int = 0
    """Keypoint frames dropped because their pivot is not there yet."""
    orphans: int = 0
    """Keypoint frames of an epoch that was never announced."""
    foreign: int = 0
    """Keypoint frames meant for other networks than ours."""
    late: int = 0
    """Keypoint frames at or before one already shown, or implausibly far ahead."""
    missing: int = 0
    """Frames lost between two keypoint frames that arrived."""
    pivots: int = 0
    """Pivots decoded and encoded."""
    bad_pivots: int = 0
    epochs: int = 0
    streams: int = 0

    def copy(self) -> Counters:
        """The counters as they are now."""
        return replace(self)


Feeds = Mapping[str, NDArray[Any]]
"""A network's inputs by their names."""


@dataclass(frozen=True)
class Rebuilt:
    """A reconstructed picture at the coded size: `planes` float32 [1, 3, coded, coded]. A held frame shares its planes
    with the one before. large: what the composer makes the same from at twice that size, where the pivot has that."""

    number: int
    time: float
    planes: Planes
    interpolated: bool
    large: Feeds | None = None


@dataclass(frozen=True)
class _Scene:
    """A pivot, ready to be animated. `feeds` are the generator's inputs that stay the same for the whole epoch; shut:
    the same with shut eyes, where the pivot shows them; mouth: where it is, None where the pivot does not say; large:
    both at twice the coded size, where the pivot has that."""

    pivot_id: bytes
    feeds: Mapping[str, NDArray[Any]]
    shut: Mapping[str, NDArray[Any]] | None = None
    mouth: Place | None = None
    large: LargePivot | None = None

    def of(self, shut: bool) -> Mapping[str, NDArray[Any]]:
        """What a frame with open or with shut eyes is made from."""
        return self.feeds if self.shut is None or not shut else self.shut


@dataclass(frozen=True)
class _Node:
    """The last keypoint frame: what the next one is interpolated from."""

    number: int
    pivot_id: bytes
    points: Points
    deformation: NDArray[np.float32]
    """float32 [1, 2, 64, 64], see facewire.showing.deformation."""
    shut: bool
    """Whether the eyes are."""
    mouth: int
    """See KeypointFrame."""
    layers: Mapping[str, NDArray[np.float32]]
    """The generator's outputs: the picture and what it is made of."""
    large: Feeds | None
    """See Rebuilt."""

    @property
    def planes(self) -> Planes:
        return self.layers["picture"]


@dataclass
class Animator:
    """Keeps the state of one stream and turns its messages into reconstructions.

    `problem` is a line for the operator while the stream cannot be shown (networks differ), else None.
    """

    networks: Networks
    cache: PivotCache = field(default_factory=lambda: PivotCache(None))
    counters: Counters = field(default_factory=Counters)
    problem: str | None = None
    epoch: Epoch | None = None
    """The newest epoch announced."""

    def __post_init__(self) -> None:
        self._epochs: OrderedDict[int, Epoch] = OrderedDict()
        self._scenes: OrderedDict[bytes, _Scene] = OrderedDict()
        self._bad: OrderedDict[bytes, None] = OrderedDict()
        self._assembler = PivotAssembler(kept=self.cache)
        self._last: _Node | None = None
        self._doubted: int | None = None

    def push(self, message: Message, hurry: bool = False) -> Iterator[Rebuilt]:
        """Yields what the message makes showable, in order of frame numbers; lazily, so exhaust it.

        hurry: leave interpolated frames out, because the machine cannot keep up. Raises ModelError.
        """
        if isinstance(message, Epoch):
            self._announce(message)
        elif isinstance(message, PivotSlice):
            self._collect(message)
        else:
            yield from self._animate(message, hurry)

    @property
    def newest(self) -> int | None:
        """Number of the last keypoint frame of the stream that was made into a picture."""
        return None if self._last is None else self._last.number

    def lack(self) -> tuple[bytes, list[tuple[int, int]]] | None:
        """The newest epoch's pivot and its missing bytes (offset, length; empty: all of it); None if it is there."""
        epoch = self.epoch
        if epoch is None or epoch.pivot_id in self._scenes or epoch.pivot_id in self.cache:
            return None
        return epoch.pivot_id, self._assembler.gaps(epoch.pivot_id)

    def unfinished(self) -> tuple[bytes, list[tuple[int, int]]] | None:
        """The pivot that a slice came for last and that is not whole yet, as `lack`; None if there is none."""
        pivot_id = self._assembler.latest
        return None if pivot_id is None else (pivot_id, self._assembler.gaps(pivot_id))

    def prepare(self) -> None:
        """Make the pivot ready that was used last, if one is kept: most likely the next stream begins with it. The
        networks run once in any case, which takes longer the first time."""
        scene: _Scene | None = None
        for pivot_id in self.cache.latest(1):
            data = self.cache.get(pivot_id)
            scene = None if data is None else self._build(pivot_id, data)
        if scene is None:
            size = coded_size(self.networks)
            scene = _Scene(b"", scene_feeds(self.networks, np.full((size, size, 3), 128, np.uint8)))
        points = np.asarray(scene.feeds["pivot_keypoints"][0], np.float32)
        self._generate(scene.feeds, points, field_of(None), stretch(None, 0), None)

    def forget(self) -> None:
        """The connection broke: wait for the next announcement, since the sender may be another one now.

        Without this a new sender's first bundle could animate the old sender's pivot."""
        self._epochs.clear()

    def _announce(self, epoch: Epoch) -> None:
        if self.epoch is None or epoch.stream != self.epoch.stream:
            self._epochs.clear()
            self._doubted = None
            self._last = None
            self.counters.streams += 1
        elif self._epochs.get(epoch.number) == epoch:
            return
        self.counters.epochs += 1
        self._epochs[epoch.number] = self.epoch = epoch
        self._epochs.move_to_end(epoch.number)
        while len(self._epochs) > MAX_EPOCHS:
            self._epochs.popitem(last=False)
        self.problem = None
        if epoch.network != self.networks.id:
            self.problem = (
                f"the sender's networks are {epoch.network.hex()}, ours {self.networks.id.hex()}: "
                "install the same models on both sides; holding the picture"
            )
            return
        self.cache.get(epoch.pivot_id)  # it is used: the next one may begin with it
        self._scene(epoch)

    def _collect(self, part: PivotSlice) -> None:
        if part.pivot_id in self._scenes or part.pivot_id in self._bad:
            return
        data = self._assembler.add(part)
        if data is None:
            return
        self.cache.put(data)
        self._build(part.pivot_id, data)

    def _scene(self, epoch: Epoch) -> _Scene | None:
        """The epoch's pivot ready for use; None while it is missing."""
        scene = self._scenes.get(epoch.pivot_id)
        if scene is not None:
            self._scenes.move_to_end(epoch.pivot_id)
            return scene
        data = None if epoch.pivot_id in self._bad else self.cache.get(epoch.pivot_id)
        return None if data is None else self._build(epoch.pivot_id, data)

    def _build(self, pivot_id: bytes, data: bytes) -> _Scene | None:
        try:
            picture, shut, mouth, large = decode_whole(data)
        except PacketError:
            self.counters.bad_pivots += 1
            self._bad[pivot_id] = None
            while len(self._bad) > MAX_EPOCHS:
                self._bad.popitem(last=False)
            return None
        feeds = scene_feeds(self.networks, picture)
        same = None if shut is None else scene_feeds(self.networks, shut, feeds["pivot_keypoints"])
        scene = self._scenes[pivot_id] = _Scene(pivot_id, feeds, same, mouth, large_pivot(self.networks, large))
        while len(self._scenes) > MAX_SCENES:
            self._scenes.popitem(last=False)
        self.counters.pivots += 1
        return scene

    def _animate(self, bundle: Bundle, hurry: bool) -> Iterator[Rebuilt]:
        epoch = self._epochs.get(bundle.epoch)
        count = len(bundle.frames)
        if epoch is None:
            self.counters.orphans += count
            return
        if epoch.network != self.networks.id:
            self.counters.foreign += count
            return
        if not bundle.frames or not self._plausible(bundle, epoch):
            self.counters.late += count
            return
        scene = self._scene(epoch)
        if scene is None:
            self.counters.waiting += count
            return
        for frame in bundle.frames:
            if self._last is not None and frame.number <= self._last.number:
                self.counters.late += 1
                continue
            yield from self._frame(frame, epoch, scene, hurry)

    def _plausible(self, bundle: Bundle, epoch: Epoch) -> bool:
        # Random bytes can look like a bundle. One frame number from the far future would make all real ones late.
        if self._last is None:
            return True
        newest = bundle.frames[-1].number
        jump = round(MAX_JUMP_SECONDS * epoch.fps)
        known = [self._last.number] if self._doubted is None else [self._last.number, self._doubted]
        if any(place < newest <= place + jump for place in known):
            self._doubted = None
            return True
        if newest > self._last.number:
            self._doubted = newest
        return False

    def _frame(self, frame: KeypointFrame, epoch: Epoch, scene: _Scene, hurry: bool) -> Iterator[Rebuilt]:
        before = self._last
        between = 0 if before is None else frame.number - before.number - 1
        if between > MAX_BETWEEN:  # a loss: it is left to the playout, which holds
            self.counters.missing += between
            between = 0
        first = frame.number - between
        if frame.low_confidence and before is not None:
            self.counters.held += between + 1
            self.counters.faceless += 1
            self._last = replace(before, number=frame.number)
            for number in range(first, frame.number + 1):
                yield Rebuilt(number, number / epoch.fps, before.planes, number != frame.number, before.large)
            return
        points = from_grid(frame.points, epoch.step, epoch.reference)
        deformation = field_of(frame.deformation)
        steady = before is not None and before.pivot_id == scene.pivot_id and first == before.number + 1
        apart = stretch(scene.mouth, frame.mouth)
        layers = self._generate(scene.of(frame.shut), points, deformation, apart, before if steady else None)
        if scene.large is not None and not hurry:
            scene.large.advance()
        large = _large(scene, frame.shut, _mixed(layers, layers, np.float32(0), stretch(None, 0)))
        node = _Node(frame.number, scene.pivot_id, points, deformation, frame.shut, frame.mouth, layers, large)
        self._last = node
        self.counters.generated += 1
        if before is not None and between:
            if before.pivot_id != node.pivot_id:
                self.counters.held += between
                middles = [(before.planes, before.large)] * between
            elif hurry:
                self.counters.missing += between
                middles = []
            else:
                self.counters.interpolated += between
                shares = (np.arange(between, dtype=np.float32) + 1) / (between + 1)
                # Where a frame before this one got lost, others lie between than was thought.
                said = frame.between if len(frame.between) == between else (None,) * between
                middles = [self._between(scene, before, node, *one) for one in zip(shares, said, strict=True)]
            for number, (planes, feeds) in enumerate(middles, first):
                yield Rebuilt(number, number / epoch.fps, planes, True, feeds)
        yield Rebuilt(node.number, node.number / epoch.fps, node.planes, False, node.large)

    def _generate(
        self,
        scene: Mapping[str, NDArray[Any]],
        points: Points,
        deformation: NDArray[np.float32],
        apart: NDArray[np.float32],
        before: _Node | None,
    ) -> dict[str, NDArray[np.float32]]:
        """scene: a scene's feeds. apart: float32 [1, 9], see wire.mouth.stretch. before: the frame that this one
        follows, so that what stands still does not tremble."""
        feeds = {"keypoints": points[np.newaxis], "deformation": deformation, "stretch": apart}
        feeds["displacement_before"] = NOWHERE if before is None else before.layers.get("displacement", NOWHERE)
        return self.networks["generator"].run({**scene, **feeds})

    def _between(
        self, scene: _Scene, before: _Node, after: _Node, share: np.float32, said: Between | None
    ) -> tuple[Planes, Feeds | None]:
        """The picture that is `share` of the way from one keypoint frame to the next of the same pivot, and
        Rebuilt.large of it."""
        mouth, shut = said or Between(0, (before if share < 0.5 else after).shut)
        same = scene.of(shut)
        interpolator = self.networks.get("interpolator")
        if interpolator is None:
            points = np.asarray(before.points + (after.points - before.points) * share, np.float32)
            deformation = before.deformation + (after.deformation - before.deformation) * share
            half_way = before.mouth + (after.mouth - before.mouth) * float(share)
            apart = stretch(scene.mouth, round(half_way) + mouth)
            layers = self._generate(same, points, deformation, apart, None)
            return layers["picture"], _large(scene, shut, _mixed(layers, layers, np.float32(0), stretch(None, 0)))
        feeds = _mixed(before.layers, after.layers, share, stretch(scene.mouth, mouth))
        return interpolator.run({**same, **feeds})["between"], _large(scene, shut, feeds)


def _large(scene: _Scene, shut: bool, feeds: Feeds) -> Feeds | None:
    """The composer's inputs, the pivot among them; None where that is not large, or has moved too far."""
    if scene.large is None or "displacement_after" not in feeds:
        return None
    ends = [np.asarray(host(feeds[f"displacement_{when}"])) for when in ("before", "after")]
    far = max(float(np.hypot(moved[:, 0], moved[:, 1]).mean()) for moved in ends)
    return None if far > FAR else {**feeds, "pivot": scene.large.planes(shut)}


def _mixed(
    before: Mapping[str, NDArray[np.float32]],
    after: Mapping[str, NDArray[np.float32]],
    share: np.float32,
    apart: NDArray[np.float32],
) -> dict[str, NDArray[Any]]:
    """The interpolator's inputs, and the composer's, but for the pivot."""
    feeds: dict[str, NDArray[Any]] = {"share": np.array([share]), "stretch": apart}
    for when, layers in (("before", before), ("after", after)):
        feeds.update({f"{name}_{when}": value for name, value in layers.items()})
    return feeds
