"""Throws mutated packets at every parser and writes fuzz.json beside this file.

    python results/fuzz.py [--count 1000000] [--seed 1]

Originals are packets of every kind, reports of decoders, indexes, coded pivots, whole files. Each is changed in one to
four places (a byte, a cut, an insertion, a piece of another packet); half of the epochs then get a right CRC again. A
parser may raise PacketError; anything else is a failure. What is accepted goes on to the pivot assembler, and must pack
again; one pivot in fifty is decoded.
"""

from __future__ import annotations

import argparse
import binascii
import json
import random
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))

from tests.facewire.wire.samples import PIVOT, between, blinking, bundle, deformed, epoch, raw_bundle, slices, speaking

from facewire.errors import PacketError
from facewire.types import Between, Bundle, PivotSlice
from facewire.wire import difference, extras, lids
from facewire.wire.assembler import PivotAssembler
from facewire.wire.container import Reader, Writer
from facewire.wire.index import Index, Place, pack_index, parse_index
from facewire.wire.mouth import Place as Mouth
from facewire.wire.packets import Packer, Parser, pack
from facewire.wire.pivot import add_mouth, decode_whole
from facewire.wire.pivot_store import PivotCache
from facewire.wire.returns import Report, Want, pack_report, parse_report

FILES_EVERY = 500
FRESH_EVERY = 1000
DECODED_EVERY = 50
EPOCH = pack(epoch())[0]
"""What an epoch begins with."""
GOLDEN = Path(__file__).resolve().parent.parent / "tests/facewire/wire/golden"


def originals() -> tuple[list[bytes], list[bytes]]:
    """Packets of a stream, and what else is parsed."""
    packer = Packer()
    messages = [epoch(), epoch(step=0.25), epoch(with_reference=False), *slices()]
    packets = [pack(message) for message in messages]
    packets += [pack(bundle(count=count, low=(0,) if count == 3 else ())) for count in (1, 2, 3)]
    packets += [pack(bundle(count=2, gap=5)), pack(raw_bundle(count=1))]
    bent, winking = deformed(bundle(count=3)), blinking(bundle(count=6))
    told = between(speaking(winking), *[(Between(at - 3, at in (2, 3)),) for at in range(6)])
    packets += [pack(message) for message in (bent, winking, speaking(winking), told)]
    packets += [packer.pack(message) for message in (epoch(), *(bundle(count=2, first=1000 + 4 * i) for i in range(4)))]
    wants = (Want(b"pivot-id"), Want(b"other-id", ((0, 200), (400, 1))))
    index = Index([Place(5, 900, 700), Place(50, 1900, 700)], [Place(5, 950), Place(50, 1950)], previous=300)
    others = [pack_report(Report(b"dev1", hello=True, have=(bytes(4), bytes(4)), wants=wants))]
    others += [pack_index(index, 5000) + bytes(4)]
    names = ("pivot", "pivot_lids", "pivot_finer", "pivot_large")
    pivots = [(GOLDEN / f"{name}.av1").read_bytes() for name in names]
    others += [*pivots, *(add_mouth(pivot, Mouth((100, 160), (150, 164), -3)) for pivot in pivots)]
    return packets, others


def split(data: bytes) -> None:
    """Read what a coded pivot declares."""
    parts = extras.split(data)
    if parts.difference:
        difference.parse(parts.still, parts.difference)
    if parts.lids:
        lids.place(parts.still, parts.lids)


def mutated(dice: random.Random, data: bytes, other: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at, what = dice.randrange(len(out) + 1), dice.randrange(4)
        if what == 0 and at < len(out):
            out[at] ^= 1 << dice.randrange(8)
        elif what == 1 and at < len(out):
            out[at] = dice.randrange(256)
        elif what == 2:
            out[at:at] = dice.randbytes(dice.randint(1, 8))
        else:
            cut = dice.randrange(len(other) + 1)
            out[at:] = other[cut : cut + dice.randrange(60)] if dice.randrange(3) else b""
    if out and out[0] == EPOCH and len(out) > 4 and dice.randrange(2):
        out[-2:] = binascii.crc_hqx(bytes(out[:-2]), 0xFFFF).to_bytes(2, "big")
    return bytes(out)


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    packets, others = originals()
    kept = PivotCache(None)
    for part in slices()[1:]:
        kept.put(PIVOT[: part.offset])  # with what is behind it the pivot is whole
    stream, assembler = Parser(), PivotAssembler(kept=kept)
    accepted = refused = files = failures = 0
    slowest = 0.0
    early = 0.0
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "f.fw")
        with Writer(path) as out:
            for message in (*slices(), epoch(), *(bundle(count=2, first=1000 + 4 * i) for i in range(6))):
                out.write(message)
        whole = path.read_bytes()
        for number in range(options.count):
            if number % FRESH_EVERY == 0:
                stream = Parser()
                stream.parse(pack(epoch()))
            if number == options.count // 10:
                early = memory_mb()
            kind = dice.randrange(10)
            data = mutated(dice, dice.choice(others if kind == 0 else packets), dice.choice(packets))
            at = time.perf_counter()
            try:
                if kind == 0:
                    parsers = [parse_report, lambda d: parse_index(d, 5000), split]
                    if number % DECODED_EVERY == 0:
                        parsers.append(decode_whole)
                    for parse in parsers:
                        try:
                            parse(data)
                            accepted += 1
                        except PacketError:
                            refused += 1
                else:
                    message = stream.parse(data)
                    accepted += 1
                    if isinstance(message, PivotSlice):
                        assembler.add(message)
                    if isinstance(message, Bundle):
                        pack(message)
                if number % FILES_EVERY == 0:
                    files += 1
                    path.write_bytes(whole[:10] + mutated(dice, whole[10:], whole))
                    for record in Reader(path).since(dice.randrange(1100)):
                        pack(record.message)
            except PacketError:
                refused += 1
            except Exception:
                failures += 1
                print(data.hex())
                traceback.print_exc()
            slowest = max(slowest, time.perf_counter() - at)
    result = {
        "command": f"python results/fuzz.py --count {options.count} --seed {options.seed}",
        "packets": options.count, "files": files, "accepted": accepted, "refused": refused, "failures": failures,
        "cpu_seconds": round(time.process_time() - begun, 1), "slowest_ms": round(1000 * slowest, 1),
        "memory_mb_after_a_tenth": round(early, 1), "memory_mb_at_the_end": round(memory_mb(), 1),
    }  # fmt: skip
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(result)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
