"""Keys: made once, readable by who must, good for a real encrypted link."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from facewire import cli
from facewire.errors import ConfigError
from facewire.link.keygen import generate


def test_pairs_and_their_rights(tmp_path: Path) -> None:
    made = generate(tmp_path / "a" / "keys")
    assert [p.name for p in made] == ["encoder.key", "encoder.key_secret", "decoder.key", "decoder.key_secret"]
    for path in made:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o600 if path.name.endswith("secret") else 0o644)
    assert len({p.read_bytes() for p in made}) == 4
    assert "secret-key" not in (tmp_path / "a/keys/encoder.key").read_text()


def test_no_key_is_ever_overwritten(tmp_path: Path) -> None:
    before = {p: p.read_bytes() for p in generate(tmp_path)}
    with pytest.raises(ConfigError, match=r"holds .* already"):
        generate(tmp_path)
    assert {p: p.read_bytes() for p in before} == before
    (tmp_path / "encoder.key").unlink()
    with pytest.raises(ConfigError, match="already"):
        generate(tmp_path)


def test_one_more_decoder_and_the_next_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate(tmp_path)
    assert cli.main(["keygen", str(tmp_path), "--add", "clinic-2"]) == 0
    assert cli.main(["keygen", str(tmp_path), "--next"]) == 0
    made = {path.name for path in tmp_path.iterdir()}
    assert {"decoder-clinic-2.key", "decoder-clinic-2.key_secret", "encoder.next.key_secret"} <= made
    assert "lets that decoder in" in capsys.readouterr().out
    assert cli.main(["keygen", str(tmp_path), "--add", "../x"]) == 1
    assert cli.main(["keygen", str(tmp_path), "--add", "clinic-2"]) == 1


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write keys"):
        generate(tmp_path / "file" / "keys")


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["keygen", str(tmp_path)]) == 0
    assert str(tmp_path / "encoder.key_secret") in capsys.readouterr().out
    assert cli.main(["keygen", str(tmp_path)]) == 1


def test_they_open_an_encrypted_link(tmp_path: Path) -> None:
    from facewire.link.hub import Hub
    from facewire.link.subscriber import Subscriber

    generate(tmp_path)
    hub = Hub("tcp://127.0.0.1:*", str(tmp_path))
    subscriber = Subscriber(hub.endpoint, str(tmp_path))
    try:
        for _ in range(200):
            subscriber.receive(0.02)
            if subscriber.connected and subscriber.send(b"hello"):
                break
            hub.poll()
        arrivals = hub.poll()
        for _ in range(50):
            time.sleep(0.02)
            arrivals += hub.poll()
        assert [(arrival.data, arrival.peer.name) for arrival in arrivals] == [(b"hello", "decoder")]
    finally:
        subscriber.close()
        hub.close()
