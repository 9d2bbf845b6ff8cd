"""The gate: who is let in, who is thrown out, and new keys of our own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import zmq
from zmq.auth import create_certificates
from zmq.utils import z85

from facewire.errors import ConfigError
from facewire.link.curve import ZAP_ENDPOINT, load_pair
from facewire.link.gate import LOOK_SECONDS, Gate


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    for name in ("encoder", "decoder"):
        create_certificates(tmp_path, name)
        (tmp_path / f"{name}.key_secret").chmod(0o600)
    return tmp_path


@pytest.fixture
def asking(keys: Path) -> Iterator[tuple[Gate, zmq.Socket[bytes]]]:
    """A gate, and libzmq's end of the questions to it."""
    gate = Gate(keys)
    with zmq.Context() as context, context.socket(zmq.ROUTER) as guarded, context.socket(zmq.REQ) as asker:
        gate.guard(guarded, context)
        asker.connect(ZAP_ENDPOINT)
        asker.rcvtimeo = 2000
        yield gate, asker
        gate.close()


def ask(asking: tuple[Gate, zmq.Socket[bytes]], *request: bytes) -> list[bytes]:
    gate, asker = asking
    asker.send_multipart(request)
    gate.answer()
    return asker.recv_multipart()


def request(key: bytes) -> tuple[bytes, ...]:
    return (b"1.0", b"7", b"facewire", b"10.0.0.1", b"", b"CURVE", z85.decode(key))


def test_who_is_on_the_list_comes_in(asking: tuple[Gate, zmq.Socket[bytes]], keys: Path) -> None:
    key = load_pair(keys / "decoder.key_secret").public
    assert ask(asking, *request(key))[:3] == [b"1.0", b"7", b"200"]
    assert asking[0].denied == 0
    stranger = zmq.curve_keypair()[0]
    assert ask(asking, *request(stranger))[:3] == [b"1.0", b"7", b"400"]
    assert ask(asking, b"nonsense")[2] == b"500"
    assert asking[0].denied == 2
    assert (asking[0].name(key.decode()), asking[0].name(stranger.decode())) == ("decoder", "?")


def test_who_lost_his_key_is_thrown_out_whoever_asked_meanwhile(
    asking: tuple[Gate, zmq.Socket[bytes]], keys: Path
) -> None:
    key = load_pair(keys / "decoder.key_secret").public
    (keys / "decoder.key").unlink()
    assert ask(asking, *request(key))[2] == b"400"
    assert asking[0].thrown_out([key.decode(), ""]) == {key.decode()}


def test_new_keys_of_our_own(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    gate, path = Gate(keys), keys / "encoder.key_secret"
    assert not gate.has_new_keys()
    other = tmp_path_factory.mktemp("other")
    create_certificates(other, "encoder")
    path.write_text("half a file")
    os.utime(path, ns=(1, 1))
    assert not gate.has_new_keys()
    path.write_bytes((other / "encoder.key_secret").read_bytes())
    os.utime(path, ns=(2, 2))
    assert gate.has_new_keys()
    assert not gate.has_new_keys()
    given: dict[int, bytes] = {}
    gate.arm(SimpleNamespace(setsockopt=given.__setitem__))  # type: ignore[arg-type]
    assert given == {zmq.CURVE_PUBLICKEY: load_pair(path).public, zmq.CURVE_SECRETKEY: load_pair(path).secret}
    path.unlink()
    assert not gate.has_new_keys()


def test_it_looks_once_a_second(keys: Path) -> None:
    gate = Gate(keys)
    assert gate.is_due(10.0)
    assert not gate.is_due(10.0 + LOOK_SECONDS / 2)
    assert gate.is_due(10.0 + LOOK_SECONDS)


def test_without_keys_there_is_no_gate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="facewire keygen"):
        Gate(tmp_path)
