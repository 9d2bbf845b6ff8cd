"""The settings: defaults, each key's rule through a real file, the line a wrong one gives, the shipped samples."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from facewire.config import CurveConfig, DecoderConfig, EncoderConfig, keys, load_decoder, load_encoder
from facewire.errors import ConfigError
from facewire.profiles import PROFILES, profile

if sys.version_info >= (3, 11):
    from tomllib import loads as _toml
else:
    from tomli import loads as _toml

CONFIGS = Path(__file__).parents[2] / "configs"

ENCODER_KEYS: dict[str, tuple[list[str], list[str]]] = {
    # key: (values that are taken, values that are refused), in TOML
    "source": (['"sample:"', '"rtsp://h/x"'], ['"x"', "1", "[]"]),
    "bind": (['"tcp://0.0.0.0:5555"'], ['"tcp://x"', "5555"]),
    "profile": ([f'"{n}"' for n in PROFILES], ['"fast"', "1", '""']),
    "fps": (["5", "60.0", "12.5"], ["4.9", "61", "nan", "inf", '"25"', "true"]),
    "cache": (['""', '"/var/cache/x"'], ["1"]),
    "pivots.policy": (['"adaptive"', '"first"'], ['"never"', "true"]),
    "pivots.yaw": (["1", "180"], ["0", "181", '"15"']),
    "pivots.pitch": (["15.5"], ["-1", "nan"]),
    "pivots.roll": (["15"], ["1000", "true"]),
    "pivots.unlike": (["0", "1.0", "0.05"], ["-0.1", "1.1"]),
    "pivots.background": (["0", "2.0"], ["-0.1", "2.1"]),
    "network.models": (['""', '"/x"'], ["1", '"a\\u0000b"']),
    "network.threads": (["1", "64"], ["0", "65", "1.0", "true"]),
    "curve.keys": (['""', '"/etc/facewire/keys"'], ["1"]),
    "curve.plain": (["true", "false"], ["1", '"yes"']),
    "budget.megabytes_per_day": (["0", "50.5"], ["-1", "true", '"5"']),
    "budget.interface": (['""', '"wwan0"'], ['"a b"', '"../x"', "1"]),
    "overrides.skip": (["-1", "0", "3"], ["-2", "4", "1.0"]),
    "overrides.bundle_frames": (["0", "64"], ["-1", "65"]),
    "log.level": (['"debug"', '"error"'], ['"INFO"', '"loud"', "1"]),
}
DECODER_KEYS: dict[str, tuple[list[str], list[str]]] = {
    "connect": (['"tcp://h:1"'], ['"tcp://*:1"', '"h"', "1"]),
    "sinks": (['["null:"]', '["hdmi:", "null:"]'], ["[]", '"null:"', '["x:"]', '["null:", "null:"]', "[1]"]),
    "size": (["64", "2160", "512"], ["63", "511", "2162", "512.0", '"512"']),
    "buffer": (["0", "60", "1.5"], ["-1", "61", "nan"]),
    "cache": (['""', '"/var/cache/x"'], ["1"]),
    "network.models": (['""'], ["[]"]),
    "network.threads": (["2"], ["0"]),
    "network.provider": (['"cpu"', '"tensorrt"'], ['"abacus"']),
    "network.precision": (['"int8"'], ['"fp8"']),
    "curve.keys": (['""'], ["false"]),
    "curve.plain": (["true"], ["0"]),
    "log.level": (['"warning"'], ['"warn"']),
}
CASES = [(load_encoder, k, *v) for k, v in ENCODER_KEYS.items()] + [
    (load_decoder, k, *v) for k, v in DECODER_KEYS.items()
]


def write(folder: Path, key: str, value: str) -> Path:
    section, _, name = key.rpartition(".")
    path = folder / "x.toml"
    path.write_text((f"[{section}]\n" if section else "") + f"{name} = {value}\n")
    return path


def test_the_cases_cover_every_key() -> None:
    assert set(ENCODER_KEYS) == {k for k, *_ in keys(EncoderConfig)}
    assert set(DECODER_KEYS) == {k for k, *_ in keys(DecoderConfig)}


@pytest.mark.parametrize(("load", "key", "good", "bad"), CASES)
def test_every_key(load: Any, key: str, good: list[str], bad: list[str], tmp_path: Path) -> None:
    for value in good:
        config = load(write(tmp_path, key, value))
        section, _, name = key.rpartition(".")
        kept = getattr(getattr(config, section) if section else config, name)
        (given,) = _toml(f"x = {value}").values()
        assert kept == (tuple(given) if isinstance(given, list) else given)
    for value in bad:
        path = write(tmp_path, key, value)
        with pytest.raises(ConfigError) as error:
            load(path)
        line = str(error.value)
        assert line.startswith(f"{path}: {key} = "), line
        assert "\n" not in line


def test_values_arrive(tmp_path: Path) -> None:
    path = tmp_path / "e.toml"
    path.write_text('source = "sample:"\nfps = 30\n[pivots]\nyaw = 20\n[network]\nthreads = 3\n')
    config = load_encoder(path)
    assert (config.source, config.fps, config.pivots.yaw, config.network.threads) == ("sample:", 30.0, 20.0, 3)
    assert config.pivots.pitch == 15.0
    assert config.bind == "tcp://127.0.0.1:5555"


def test_defaults_keep_their_own_rules() -> None:
    for load, kind in ((load_encoder, EncoderConfig), (load_decoder, DecoderConfig)):
        assert load(None) == kind()
        assert load(None, {k: default for k, default, _, _ in keys(kind)}) == kind()
        assert all(text and allowed for _, _, allowed, text in keys(kind))


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    path = tmp_path / "e.toml"
    path.write_text("[network]\nthreads = 3\n[pivots]\nyaw = 20\n")
    config = load_encoder(path, {"network.threads": 4, "source": "sample:"})
    assert (config.network.threads, config.pivots.yaw, config.source) == (4, 20.0, "sample:")
    with pytest.raises(
        ConfigError, match=r"^command line: network\.threads = 0: allowed: a whole number from 1 to 64$"
    ):
        load_encoder(path, {"network.threads": 0})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sorce = 1", "sorce: no such key; did you mean source? allowed here: source, bind"),
        ("[pivots]\nyav = 1", "pivots.yav: no such key; did you mean yaw?"),
        ("[zzz]\n", "zzz: no such key; allowed here:"),
        ("pivots = 3", "pivots = 3: must be a section, [pivots]"),
        ("[source]\n", "source = {}: allowed: auto"),
        ("[[pivots]]\n", "must be a section, [pivots]"),
        ("source = ", "is not valid TOML"),
        ("fps = 25\nfps = 26", "is not valid TOML"),
        ("\0", "is not valid TOML"),
        ("x = " + "[" * 5000, "is not valid TOML"),
    ],
)
def test_files_that_are_wrong(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "e.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_encoder(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_encoder(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_encoder(tmp_path)
    (tmp_path / "bin").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_encoder(tmp_path / "bin")


def test_a_cameras_password_stays_out_of_messages(tmp_path: Path) -> None:
    path = tmp_path / "e.toml"
    path.write_text('bind = "rtsp://me:secret@host/x"\n')
    with pytest.raises(ConfigError) as error:
        load_encoder(path)
    assert "secret" not in str(error.value)
    with pytest.raises(ConfigError) as error:
        load_decoder(None, {"sinks": ["rtsp://me:secret@0.0.0.0:1/x"]})
    assert "secret" not in str(error.value)


def test_overrides_change_the_profile() -> None:
    assert load_encoder(None).link() == profile("vsat")
    link = load_encoder(None, {"overrides.skip": 0, "overrides.bundle_frames": 5}).link()
    assert link == dataclasses.replace(profile("vsat"), skip=0, bundle_frames=5)


def test_nothing_goes_over_a_network_in_the_clear_by_mistake() -> None:
    local, outside = "tcp://127.0.0.1:5555", "tcp://0.0.0.0:5555"
    nothing, keyed, plain = CurveConfig(), CurveConfig(keys="/k"), CurveConfig(plain=True)
    assert [curve.directory(local) for curve in (nothing, keyed, plain)] == ["", "/k", ""]
    assert [curve.directory(outside) for curve in (keyed, plain)] == ["/k", ""]
    with pytest.raises(ConfigError, match=r"^tcp://0\.0\.0\.0:5555 is on a network .* keygen .* curve\.plain = true"):
        nothing.directory(outside)


def test_the_cache_is_where_systemd_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert load_decoder(None).cache_directory() == tmp_path / "facewire" / "pivots"
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/facewire/decoder")
    assert load_decoder(None).cache_directory() == Path("/var/cache/facewire/decoder/pivots")
    assert load_decoder(None, {"cache": "/x"}).cache_directory() == Path("/x")
    assert load_encoder(None).cache_directory() == Path("/var/cache/facewire/decoder/sent")


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize(
    ("role", "load", "kind"), [("encoder", load_encoder, EncoderConfig), ("decoder", load_decoder, DecoderConfig)]
)
def test_shipped_samples(name: str, role: str, load: Any, kind: Any, tmp_path: Path) -> None:
    """They load, they name every key, and what stands behind a # is the default."""
    path = CONFIGS / f"{role}-{name}.toml"
    config = load(path)
    if role == "encoder":
        assert config.profile == name
    text = path.read_text()
    opened = tmp_path / "opened.toml"
    opened.write_text(re.sub(r"(?m)^# (?=\w+ = )", "", text))
    everything = load(opened)
    for key, default, _, _ in keys(kind):
        section, _, field = key.rpartition(".")
        assert re.search(rf"(?m)^(# )?{field} = ", text), key
        value = getattr(getattr(everything, section) if section else everything, field)
        if re.search(rf"(?m)^# {field} = ", text) and key != "curve.keys":
            assert value == default, key


def test_every_role_and_link_has_a_sample() -> None:
    assert {p.stem for p in CONFIGS.glob("*.toml")} == {f"{r}-{n}" for r in ("encoder", "decoder") for n in PROFILES}


def test_profiles_are_sane() -> None:
    for p in PROFILES.values():
        assert 0 <= p.skip <= 3
        assert 1 <= p.bundle_frames <= 64
        assert p.slice_bytes < p.pivot_bytes
        assert 0 < p.keypoint_step <= 4
        # One slice holds the line for no longer than the announcements are apart.
        assert p.slice_bytes * 8 / (p.ceiling_kbps * 1000) < p.announce_interval
    assert sorted(PROFILES.values(), key=lambda p: p.ceiling_kbps) == list(PROFILES.values())
    with pytest.raises(ConfigError, match="iridium, bgan, vsat, lan"):
        profile("x")
