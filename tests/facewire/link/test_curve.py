from __future__ import annotations

from pathlib import Path

import zmq.auth
from zmq.utils import z85

from facewire.link.curve import AllowList, load_public, load_servers, zap_answer
from facewire.link.keygen import generate

KEY = bytes(range(32))
ALLOWED = {z85.encode(KEY): "decoder"}


def request(key: bytes = KEY, mechanism: bytes = b"CURVE", version: bytes = b"1.0") -> list[bytes]:
    return [version, b"7", b"facewire", b"10.0.0.1", b"", mechanism, key]


def test_zap_lets_in_who_is_on_the_list_and_nobody_else() -> None:
    assert zap_answer(request(), ALLOWED) == [b"1.0", b"7", b"200", b"OK", z85.encode(KEY), b""]
    refused = [b"1.0", b"7", b"400", b"no access", b"", b""]
    assert zap_answer(request(bytes(32)), ALLOWED) == refused
    assert zap_answer(request(KEY[:31]), ALLOWED) == refused
    assert zap_answer(request(mechanism=b"NULL"), ALLOWED) == refused
    assert zap_answer(request()[:6], ALLOWED) == refused
    assert zap_answer(request(version=b"2.0"), ALLOWED) is None
    assert zap_answer([b"1.0"], ALLOWED) is None


def test_the_list_follows_its_directory(tmp_path: Path) -> None:
    generate(tmp_path)
    allowed = AllowList(tmp_path)
    assert list(allowed.keys.values()) == ["decoder"]
    assert not allowed.refresh()
    zmq.auth.create_certificates(tmp_path, "decoder-2")
    assert allowed.refresh()
    assert sorted(allowed.keys.values()) == ["decoder", "decoder-2"]
    (tmp_path / "decoder-3.key").write_text("rubbish")
    assert not allowed.refresh()
    assert len(allowed.faults) == 1
    (tmp_path / "decoder.key").unlink()
    assert allowed.refresh()
    assert list(allowed.keys.values()) == ["decoder-2"]
    assert AllowList(tmp_path / "nowhere").keys == {}


def test_a_decoder_believes_the_encoders_next_key_too(tmp_path: Path) -> None:
    generate(tmp_path)
    assert load_servers(tmp_path) == [load_public(tmp_path / "encoder.key")]
    generate(tmp_path, ["encoder.next"])
    assert load_servers(tmp_path)[1] == load_public(tmp_path / "encoder.next.key")
