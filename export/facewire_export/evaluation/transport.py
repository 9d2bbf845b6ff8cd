"""What a link adds to a stream: packets' headers and what comes back, so that we are compared like with like.

Codecs travel as RTP over UDP over IPv4:

    IPv4 20 B (RFC 791), UDP 8 B (RFC 768), RTP 12 B (RFC 3550, section 5.1) for each packet of at most 1,200 B
    a frame fills packets of its own; one that needs several pays 1-3 B of fragmentation in each
        H.264 FU-A 2 B (RFC 6184, 5.8), H.265 FU 3 B (RFC 7798, 4.4.3), VVC FU 3 B (RFC 9328, 4.3.3)
    AV1's aggregation header 1 B and VP9's descriptor 3 B are in every packet (AV1 RTP 1.0, 4.4; RFC 9628, 4.2)
    RTCP by RFC 3550, section 6.3.1 and A.7, for one sender and one receiver: a report from each every 5 s, seldomer
    where that would be more than 5 % of the session

Facewire travels as ZeroMQ over TCP, acknowledgements included (link.cost.wire_bytes), with the running epoch announced
again and the decoder's reports (facewire.incoming.reporting) at their intervals. Neither is encrypted here, nothing is
lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from facewire.incoming.reporting import LEAST_SECONDS, MOST_SECONDS, REPORT_COST, REPORT_SHARE
from facewire.link.cost import wire_bytes
from facewire.profiles import Profile
from facewire.types import Epoch, Message
from facewire.wire.packets import pack

MTU_PAYLOAD = 1200
"""Bytes of a frame in one RTP packet: what WebRTC stacks use."""
IP_UDP_RTP = 20 + 8 + 12
ALWAYS = {"av1": 1, "vp9": 3}
FRAGMENT = {"x264": 2, "x265": 3, "vvc": 3}
RTCP_INTERVAL = 5.0
RTCP_SHARE = 0.05
RTCP_PACKETS = (28 + 28 + 20, 28 + 32 + 20)
"""IP and UDP, sender report and receiver report with one block, source description with a name of 10 B."""


@dataclass(frozen=True)
class Cost:
    """Bytes on the wire in both directions, and the packets that carry frames."""

    bytes: int
    packets: int


def rtp(codec: str, frames: Sequence[int], seconds: float) -> Cost:
    """What coded frames of so many bytes each cost over RTP in so many seconds."""
    total = packets = 0
    for size in frames:
        always, fragment = ALWAYS.get(codec, 0), FRAGMENT.get(codec, 0)
        if size + always <= MTU_PAYLOAD:
            count, extra = 1, always
        else:
            extra = always or fragment
            count = math.ceil(size / (MTU_PAYLOAD - extra))
        packets += count
        total += size + count * (IP_UDP_RTP + extra)
    return Cost(total + rtcp(total, seconds), packets)


def rtcp(media: int, seconds: float) -> int:
    """Bytes of RTCP beside so many bytes of media."""
    if seconds <= 0:
        return 0
    mean = sum(RTCP_PACKETS) / len(RTCP_PACKETS)
    allowed = RTCP_SHARE * media / seconds
    interval = max(RTCP_INTERVAL, len(RTCP_PACKETS) * mean / allowed) if allowed else math.inf
    return round(sum(RTCP_PACKETS) * seconds / interval)


def zeromq(messages: Iterable[Message], profile: Profile, seconds: float) -> Cost:
    """What a stream's messages cost one receiver over ZeroMQ in so many seconds."""
    total = count = 0
    epoch = 0
    for message in messages:
        cost = wire_bytes(len(pack(message)))
        total += cost
        count += 1
        if isinstance(message, Epoch):
            epoch = cost
    # A link announces the running epoch again at intervals, which a file does not.
    total += int(seconds / profile.announce_interval) * epoch
    interval = REPORT_COST * seconds / (REPORT_SHARE * total) if total else MOST_SECONDS
    reports = seconds / min(MOST_SECONDS, max(LEAST_SECONDS, interval))
    return Cost(total + round(reports * REPORT_COST), count)
