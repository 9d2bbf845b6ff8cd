"""Trains the restorer of large pivots by what is shown: decoded ones are restored, moved as it was sent, and put
together with what the repair network painted (the composer); windows of that are compared at the shown size.

Sampling blurs what it moves, so what does best in motion is sharper than the picture itself: a pivot that stands still
is no measure. All other networks stay as they are.
"""

from __future__ import annotations

import functools
import itertools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from facewire.wire.pivot import add_difference, decode_whole, encode_pivot
from facewire_export.dataset import Clip, decode, save_atomically
from facewire_export.networks.blocks import exact, identity_grid, sample, upsample
from facewire_export.networks.restorer import Restorer
from facewire_export.networks.tiers import CODED_SIZE, Tier
from facewire_export.training.losses import PictureLoss, Scores, sheet
from facewire_export.training.pool import Pool
from facewire_export.training.receiver import JUDGED, TOGETHER, middles, repaired, windows
from facewire_export.training.restorer import SCALE
from facewire_export.training.sent import FRAMES, sent_path
from facewire_export.training.streams import SHOWN_SIZE, Batch, Streams

PLANS = ((4_000, 12_000), (4_000, 24_000), (8_000, 32_000), (12_000, 60_000))
"""Bytes of a pivot's coarse picture and of all of it, as `bgan` has them at first and at last, `vsat` and `lan`."""
ODDS = (0.4, 0.3, 0.2, 0.1)
"""How often each is met."""
WINDOW, AROUND = 192, 352
"""Sides, shown pixels: of what is compared of a frame, and of what is restored for it."""
SPREAD = 48
"""Half of the windows lie so far, at most, from one whose middle is a little above the mouth."""


class LargePivots:
    """The pivots of streams as large ones, decoded: uint8 [pivots, plans, 512, 512, 3] for each clip that has any."""

    def __init__(self, pool: Pool, streams: Streams, stride: int, models: str = "", workers: int = 2) -> None:
        clips = sorted({clip for clip, _ in streams.pivots})
        paths = {clip: sent_path(pool.clips[clip], pool.place, models).with_suffix(".large.npy") for clip in clips}
        missing = [clip for clip in clips if not paths[clip].is_file()]
        if missing:
            wanted = [(pool.clips[clip], streams.coded(clip), paths[clip]) for clip in missing]
            with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as processes:
                list(processes.map(functools.partial(_prepare, stride=stride), *zip(*wanted, strict=True)))
        self._pictures = {clip: np.load(path, mmap_mode="r") for clip, path in paths.items()}
        self._device = pool.device

    def get(self, pivot: tuple[int, int], plan: int) -> Tensor:
        """One of them [1, 3, 512, 512] in [0, 1]."""
        clip, which = pivot
        picture = torch.from_numpy(np.array(self._pictures[clip][which, plan])).to(self._device)
        return picture.permute(2, 0, 1)[None].float().div(255)


def _prepare(clip: Clip, coded: NDArray[np.uint8], path: Path, stride: int) -> None:
    origins = [_nearest(clip.frames, picture) for picture in coded]
    large: dict[int, NDArray[np.uint8]] = {}
    for number, picture in enumerate(decode(clip.entry.path, SHOWN_SIZE)):
        if number % stride == 0 and number // stride in origins:
            large[number // stride] = picture
    made = []
    for at in origins:
        for coarse, most in PLANS:
            shown = decode_whole(add_difference(encode_pivot(np.array(clip.frames[at]), coarse), large[at], most)).large
            assert shown is not None
            made.append(shown.picture)
    save_atomically(path, np.stack(made).reshape(len(origins), len(PLANS), *made[0].shape))


def _nearest(frames: NDArray[np.uint8], coded: NDArray[np.uint8]) -> int:
    """Which frame a decoded pivot was."""
    wanted = coded.astype(np.int16)
    return int(np.argmin([np.abs(frame.astype(np.int16) - wanted).mean() for frame in frames]))


class LargeTask:
    """Implements `loop.Task`. receiver: the networks it is taught with (networks.receiver), trained; it begins as their
    restorer."""

    name = "large_restorer"

    def __init__(
        self,
        tier: Tier,
        receiver: nn.ModuleDict,
        train: tuple[Streams, LargePivots],
        held_out: tuple[Streams, LargePivots],
        loss: PictureLoss,
        batch: int,
    ) -> None:
        self.networks = nn.ModuleDict({"large_restorer": Restorer(tier)})
        self.networks["large_restorer"].load_state_dict(receiver["restorer"].state_dict())
        self._receiver = receiver.eval().requires_grad_(False)
        self._train, self._held_out, self.picture_loss = train, held_out, loss
        self._pivots = max(1, batch // TOGETHER)

    def loss(self, _step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Picture loss of a window of each frame, as it is composed."""
        streams, pivots = self._train
        made, real = [], []
        for number in rng.integers(len(streams.pivots), size=self._pivots):
            pivot = streams.pivots[int(number)]
            batch = streams.batch([(pivot, [int(n) for n in rng.choice(FRAMES, TOGETHER, replace=False)])])
            corner = _corner(rng, batch.places)
            corners = np.repeat(corner[np.newaxis], TOGETHER, 0)
            large = pivots.get(pivot, int(rng.choice(len(PLANS), p=ODDS)))
            made.append(self._composed(self.networks["large_restorer"], batch, large, corner, WINDOW, AROUND))
            real.append(windows(batch.real, corners, WINDOW))
        return self.picture_loss(torch.cat(made), torch.cat(real))

    def _composed(
        self, restorer: nn.Module, batch: Batch, large: Tensor, corner: NDArray[np.int64], side: int, around: int
    ) -> Tensor:
        """Windows [B, 3, side, side] from corner y, x on, of frames of one pivot, of which a square of `around` pixels
        is restored."""
        with torch.no_grad():
            small = self._receiver["restorer"](F.avg_pool2d(large, SCALE)).float().clamp(0, 1)
            whole = np.zeros((len(batch.points), 2), np.int64)
            _, keep, paint = repaired(self._receiver, batch, small, whole, CODED_SIZE)
        corners = np.repeat(corner[np.newaxis], len(batch.points), 0)
        keep, paint = (windows(upsample(part.float()), corners, side) for part in (keep, paint))
        top, left = np.clip(corner - (around - side) // 2, 0, SHOWN_SIZE - around) // 4 * 4
        restored = restorer(large[:, :, top : top + around, left : left + around]).float().clamp(0, 1)
        grid = windows(_places(batch.displacement, (int(left), int(top)), around), corners, side)
        return sample(restored.expand(len(grid), -1, -1, -1), grid) * keep + paint

    @torch.no_grad()
    def _shown(self, networks: nn.ModuleDict, pivot: tuple[int, int], at: int) -> tuple[Tensor, Tensor, Tensor]:
        """Pivot as the narrowest plan has it, real frame, and what is shown of it."""
        streams, pivots = self._held_out
        batch, large = streams.batch([(pivot, [at])]), pivots.get(pivot, 0)
        corner = np.zeros(2, np.int64)
        made = self._composed(networks["large_restorer"], batch, large, corner, SHOWN_SIZE, SHOWN_SIZE)
        return large, batch.real, made.clamp(0, 1)

    def sheet(self, networks: nn.ModuleDict) -> NDArray[np.uint8]:
        """Rows of decoded pivot | real | shown of held-out people."""
        some = [self._shown(networks, pivot, JUDGED[0]) for pivot in self._held_out[0].pivots[::2][:8]]
        return sheet([[F.avg_pool2d(part[0], 2) for part in row] for row in some])

    @torch.no_grad()
    def score(self, networks: nn.ModuleDict) -> dict[str, float]:
        """LPIPS and PSNR at 512 against the real frame."""
        scores = Scores(self.picture_loss)
        for pivot, at in itertools.product(self._held_out[0].pivots[::2], JUDGED):
            _, real, shown = self._shown(networks, pivot, at)
            scores.add("shown", shown, real)
        return scores.means()


def _corner(rng: np.random.Generator, places: Tensor) -> NDArray[np.int64]:
    """Upper left corner y, x of a window, shown pixels: around the first frame's face, or anywhere."""
    most = SHOWN_SIZE - WINDOW
    face = SCALE * middles(places)[0, ::-1] - [32, 0] - WINDOW / 2 + rng.integers(-SPREAD, SPREAD + 1, 2)
    return np.clip(face if rng.random() < 0.5 else rng.integers(0, most + 1, 2), 0, most).astype(np.int64)


@exact
def _places(displacement: Tensor, origin: tuple[int, int], side: int) -> Tensor:
    """Where each shown pixel comes from [B, 2, 512, 512], -1 to 1 in a square of `side` pixels from origin x, y on."""
    grid = identity_grid(SHOWN_SIZE, SHOWN_SIZE, displacement) + upsample(displacement.float(), 8)
    start = torch.tensor(origin, dtype=torch.float32, device=grid.device).view(1, 2, 1, 1)
    return ((grid + 1) * (SHOWN_SIZE / 2) - start) / (side / 2) - 1
