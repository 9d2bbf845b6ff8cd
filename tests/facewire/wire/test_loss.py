"""A stream of which one packet in a hundred gets lost: what arrives is what was sent, and it comes back in time."""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from tests.facewire.wire.samples import bundle, epoch

from facewire.errors import UnplacedError
from facewire.types import Bundle, Epoch, Message
from facewire.wire.packets import Packer, Parser

BUNDLE_FRAMES = 12  # shown frames
ANNOUNCED_EVERY = 25
"""Bundles between two announcements: 12 s at 25 frames a second."""
EPOCH_BUNDLES = 60


def sent(bundles: int) -> list[Message]:
    """A stream with a new epoch now and then, each announced again at intervals."""
    out: list[Message] = []
    for index in range(bundles):
        number = index // EPOCH_BUNDLES
        if index % EPOCH_BUNDLES == 0 or index % ANNOUNCED_EVERY == 0:
            first = number * EPOCH_BUNDLES * BUNDLE_FRAMES
            out.append(replace(epoch(number=number), first_frame=first))
        out.append(replace(bundle(first=index * BUNDLE_FRAMES), epoch=number))
    return out


@pytest.mark.parametrize("seed", range(2))
def test_one_packet_in_a_hundred(seed: int) -> None:
    messages = sent(150)
    truth = {frame.number: frame.points for m in messages if isinstance(m, Bundle) for frame in m.frames}
    dice, packer, parser = random.Random(seed), Packer(), Parser()
    known: dict[int, Epoch] = {}
    shown: list[int] = []
    lost = 0
    for message in messages:
        data = packer.pack(message)
        if dice.random() < 0.01:
            lost += 1
            continue
        with contextlib.suppress(UnplacedError):
            arrived = parser.parse(data)
            if isinstance(arrived, Epoch):
                known[arrived.number] = arrived
            elif isinstance(arrived, Bundle) and arrived.epoch in known:
                for frame in arrived.frames:
                    assert np.array_equal(frame.points, truth[frame.number])  # no drift: equal to the last bit
                    shown.append(frame.number)
    assert lost
    assert shown == sorted(set(shown))
    gaps = [after - before for before, after in pairwise(shown)]
    assert max(gaps) <= (ANNOUNCED_EVERY + 1) * BUNDLE_FRAMES
    assert len(shown) >= 0.9 * len(truth)
