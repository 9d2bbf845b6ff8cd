"""The bitstream cannot drift unnoticed: these files were written once and must be read, and written, alike for ever.

A change that makes them fail needs a new packet version. `python -m tests.facewire.wire.test_golden` writes them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.facewire.wire.samples import between, blinking, bundle, deformed, epoch, raw_bundle, slices, speaking

from facewire.types import Between, Message
from facewire.wire.container import Reader, Writer
from facewire.wire.packets import pack, parse

FOLDER = Path(__file__).parent / "golden"
PACKETS: dict[str, Message] = {
    "epoch": epoch(),
    "epoch_without_reference": epoch(with_reference=False),
    "slice": slices()[1],
    "bundle_6": bundle(),
    "bundle_16_fine": bundle(count=16, step=0.25),
    "bundle_low_confidence": bundle(count=3, low=(1,)),
    "bundle_wide": bundle(count=20, gap=7),
    "bundle_deformed": deformed(bundle(low=(3,))),
    "bundle_blinking": blinking(deformed(bundle())),
    "bundle_speaking": speaking(blinking(deformed(bundle()))),
    "bundle_between": between(
        blinking(bundle(count=3), (1,)), (Between(0, True),), (Between(-2, False),), (Between(11, True),)
    ),
    "bundle_raw": raw_bundle(),
    "epoch_raw": replace(epoch(with_reference=False), step=0.0),
}
BUNDLES = [bundle(first=1000 + 12 * index, low=(2,) if index == 5 else ()) for index in range(30)]
STREAM: list[Message] = [*slices(), epoch(), *BUNDLES]


@pytest.mark.parametrize("name", PACKETS)
def test_packet(name: str) -> None:
    golden = (FOLDER / f"{name}.packet").read_bytes()
    assert pack(PACKETS[name]) == golden
    assert pack(parse(golden)) == golden


def test_file(tmp_path: Path) -> None:
    golden = FOLDER / "stream.fw"
    _write_file(tmp_path / "now.fw")
    assert (tmp_path / "now.fw").read_bytes() == golden.read_bytes()
    assert [pack(record.message) for record in Reader(golden)] == [pack(message) for message in STREAM]


def _write_file(path: Path) -> None:
    with Writer(path) as out:
        for message in STREAM:
            out.write(message)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, message in PACKETS.items():
        (FOLDER / f"{name}.packet").write_bytes(pack(message))
    _write_file(FOLDER / "stream.fw")
