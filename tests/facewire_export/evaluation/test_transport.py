"""What a link adds, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from facewire.incoming.reporting import REPORT_COST
from facewire.link.cost import wire_bytes
from facewire.profiles import profile
from facewire.types import Bundle, Epoch, KeypointFrame
from facewire.wire.packets import pack
from facewire_export.evaluation.transport import RTCP_PACKETS, rtcp, rtp, zeromq


def test_a_small_frame_is_one_packet() -> None:
    cost = rtp("x264", [100, 50], 0.0)
    assert cost.packets == 2
    assert cost.bytes == 150 + 2 * 40


def test_a_large_frame_is_fragmented() -> None:
    # 2,500 B of H.264: three FU-A packets with 1,198 B of room each.
    cost = rtp("x264", [2500], 0.0)
    assert cost.packets == 3
    assert cost.bytes == 2500 + 3 * (40 + 2)
    assert rtp("x264", [1200], 0.0).packets == 1
    assert rtp("x264", [1201], 0.0).packets == 2


def test_av1_and_vp9_pay_in_every_packet() -> None:
    assert rtp("av1", [100], 0.0).bytes == 100 + 41
    assert rtp("vp9", [100], 0.0).bytes == 100 + 43


def test_rtcp_is_a_report_each_every_five_seconds_and_never_more_than_five_percent() -> None:
    assert rtcp(100_000, 10.0) == 2 * sum(RTCP_PACKETS)
    assert rtcp(2_000, 10.0) == pytest.approx(0.05 * 2_000, abs=1)
    assert rtcp(0, 10.0) == rtcp(1000, 0.0) == 0


def test_zeromq_counts_messages_announcements_and_reports() -> None:
    epoch = Epoch(1, 0, 0, b"12345678", 100, 256, 25.0, 1, b"test", 0.5)
    bundle = Bundle(0, (KeypointFrame(0, np.zeros((10, 2), np.int16)),))
    link = profile("bgan")
    short = zeromq([epoch, bundle], link, 0.0)
    once = wire_bytes(len(pack(epoch)))
    assert short.packets == 2
    assert short.bytes == once + wire_bytes(len(pack(bundle)))
    # A minute: the epoch again after 30 and 60 s, and half a report, since so little came in.
    assert zeromq([epoch, bundle], link, 60.0).bytes == short.bytes + 2 * once + REPORT_COST // 2
    # Where more comes in, a report every ten seconds.
    busy = zeromq([epoch, *[bundle] * 1000], link, 10.0)
    assert busy.bytes == once + 1000 * wire_bytes(len(pack(bundle))) + REPORT_COST
