"""The doctor on machines of our own making."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Iterable
from pathlib import Path

import pytest

from facewire import cli, doctor
from facewire.config import load_decoder, load_encoder
from facewire.doctor import accelerator, connection, devices, host, software
from facewire.doctor.findings import BAD, NOTE, OK, Finding, Machine
from facewire.errors import ModelError


def encoder(root: Path, **overrides: object) -> Machine:
    return Machine(load_encoder(None, {k.replace("__", "."): v for k, v in overrides.items()}), None, root)


def decoder(root: Path, **overrides: object) -> Machine:
    return Machine(None, load_decoder(None, {k.replace("__", "."): v for k, v in overrides.items()}), root)


def states(findings: Iterable[Finding]) -> list[str]:
    return [f.state for f in findings]


def test_a_check_that_fails_is_a_finding() -> None:
    def breaks(_: Machine) -> Iterable[Finding]:
        yield Finding("x", OK, "first")
        raise ZeroDivisionError("oops")

    def models(_: Machine) -> Iterable[Finding]:
        raise ModelError("no networks")

    found = doctor.examine(Machine(None, None), [breaks, models])
    assert [(f.state, f.text) for f in found[-2:]] == [
        (BAD, "the check failed: ZeroDivisionError: oops"),
        (BAD, "no networks"),
    ]


def test_findings_are_single_lines() -> None:
    assert str(Finding("models", BAD, "a\nb")) == "BAD   models      a b"


def test_no_camera(tmp_path: Path) -> None:
    assert states(devices.camera(encoder(tmp_path))) == [NOTE]
    (found,) = devices.camera(encoder(tmp_path, source="v4l2:/dev/video0"))
    assert found.state == BAD
    assert "plug it in" in found.text


def test_a_camera_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/video0").touch(mode=0)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may open everything
    (found,) = devices.camera(encoder(tmp_path))
    assert found.state == BAD
    assert "group video" in found.text


def test_files_and_streams(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").touch()
    assert states(devices.camera(encoder(tmp_path, source=f"file:{tmp_path}/x.mp4?loop"))) == [OK]
    assert states(devices.camera(encoder(tmp_path, source=f"file:{tmp_path}/y.mp4"))) == [BAD]
    (found,) = devices.camera(encoder(tmp_path, source="rtsp://me:secret@host/x"))
    assert "secret" not in found.text


def test_display(tmp_path: Path) -> None:
    hdmi = decoder(tmp_path, sinks=["hdmi:"])
    assert states(devices.display(hdmi)) == [BAD]
    assert states(devices.display(decoder(tmp_path))) == []
    connector = tmp_path / "sys/class/drm/card0-HDMI-A-1"
    connector.mkdir(parents=True)
    (connector / "status").write_text("disconnected\n")
    assert "nothing is plugged in" in next(iter(devices.display(hdmi))).text
    (connector / "status").write_text("connected\n")
    (connector / "modes").write_text("1920x1080\n")
    assert [f.text for f in devices.display(hdmi)] == ["card0 HDMI-A-1"]


def test_gpu(tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from facewire.networks import choice, gpu

    def none() -> gpu.Gpu:
        raise ModelError("no NVIDIA driver (libcuda.so.1 is not installed)")

    machine = decoder(tmp_path, network__models=str(tiny_models))
    monkeypatch.delenv("FACEWIRE_MODELS", raising=False)
    monkeypatch.setattr(gpu, "find", none)
    first, last = accelerator.gpu(machine)
    assert (first.state, last.state) == (NOTE, OK)
    assert first.text == "no NVIDIA driver (libcuda.so.1 is not installed); the networks run on the CPU (2 threads)"
    assert last.text.startswith("run on cpu: fp32 ")
    (found,) = doctor.examine(decoder(tmp_path, network__provider="tensorrt"), [accelerator.gpu])[1:]
    assert found.state == BAD
    assert "'tensorrt' cannot be used: no NVIDIA driver" in found.text

    monkeypatch.setattr(gpu, "find", lambda: gpu.Gpu("Orin", (8, 7), 62464, "12.6"))
    why_not = {"tensorrt": "cuda-python is not installed", "cuda": "not in this onnxruntime"}
    monkeypatch.setattr(choice, "PROBES", {"cpu": lambda: None} | {k: lambda v=v: v for k, v in why_not.items()})
    told = {f.about: f.text for f in accelerator.gpu(machine)}
    assert told["gpu"] == "Orin, compute 8.7, 62464 MiB, CUDA 12.6"
    assert (told["tensorrt"], told["cuda"]) == tuple(why_not.values())
    assert states(accelerator.gpu(encoder(tmp_path))) == []


def test_engines(tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.facewire.networks.fake_tensorrt import VERSIONS, FakeTensorrt

    from facewire.networks import choice, gpu, tensorrt

    monkeypatch.delenv("FACEWIRE_MODELS", raising=False)
    monkeypatch.setenv("FACEWIRE_ENGINES", str(tmp_path))
    monkeypatch.setattr(gpu, "find", lambda: gpu.Gpu("Orin", (8, 7), 62464, "12.6"))
    monkeypatch.setattr(choice, "PROBES", dict.fromkeys(("tensorrt", "cuda", "cpu"), lambda: None))
    monkeypatch.setattr(tensorrt, "load_tensorrt", lambda: FakeTensorrt(VERSIONS[1]))
    *_, networks, engines = accelerator.gpu(decoder(tmp_path, network__models=str(tiny_models)))
    assert networks.text.startswith("run on tensorrt")
    assert engines.state == NOTE
    assert "run facewire-export tensorrt" in engines.text


def test_link(tmp_path: Path) -> None:
    assert states(connection.link(encoder(tmp_path))) == [NOTE]
    assert states(connection.link(encoder(tmp_path, bind="tcp://0.0.0.0:5555"))) == [OK]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        assert states(connection.link(decoder(tmp_path, connect=address))) == [OK]
    assert states(connection.link(decoder(tmp_path, connect=address))) == [NOTE]


def test_tcp_matters_where_the_link_leaves_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = encoder(tmp_path, bind="tcp://0.0.0.0:5555")
    for lacks, expected in (([], [OK]), (["slow", "wide"], [NOTE, NOTE])):
        monkeypatch.setattr(connection, "shortcomings", lambda *_, found=lacks, **__: found)
        assert states(connection.tcp(away)) == expected
        assert states(connection.tcp(encoder(tmp_path))) == []


def test_keys(tmp_path: Path) -> None:
    from facewire.link.keygen import generate

    assert states(connection.keys(encoder(tmp_path, curve__keys=str(tmp_path / "k")))) == [BAD]
    generate(tmp_path / "k")
    machine = encoder(tmp_path, curve__keys=str(tmp_path / "k"))
    assert states(connection.keys(machine)) == [OK]
    (tmp_path / "k/encoder.key_secret").chmod(0o644)
    (found,) = connection.keys(machine)
    assert "others may read" in found.text
    (tmp_path / "k/encoder.key_secret").chmod(0o640)
    (tmp_path / "k/decoder.key").unlink()
    (found,) = connection.keys(machine)
    assert "nobody is let in" in found.text
    outside = "tcp://0.0.0.0:5555"
    assert states(connection.keys(encoder(tmp_path, bind=outside))) == [BAD]
    assert states(connection.keys(encoder(tmp_path, bind=outside, curve__plain=True))) == [NOTE]
    assert states(connection.keys(encoder(tmp_path))) == []


def test_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACEWIRE_MODELS", raising=False)
    (found,) = doctor.examine(encoder(tmp_path, network__models=str(tmp_path)), [software.models])
    assert found.about == "models"
    assert found.state == BAD


def test_cache(tmp_path: Path) -> None:
    assert states(host.cache(decoder(tmp_path, cache=str(tmp_path / "a/b")))) == [OK]
    assert states(host.cache(decoder(tmp_path, cache="/proc/nothing/here"))) in ([NOTE], [OK])


def test_both_roles_are_looked_at_and_the_worst_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Machine] = []

    def look(machine: Machine) -> Iterable[Finding]:
        seen.append(machine)
        yield Finding("x", BAD if machine.decoder else OK, "text")

    monkeypatch.setattr(doctor, "CHECKS", (look,))
    assert cli.main(["doctor"]) == 1
    assert cli.main(["doctor", "encoder"]) == 0
    assert cli.main(["doctor", "decoder"]) == 1
    assert [(m.encoder is not None, m.decoder is not None) for m in seen] == [
        (True, True),
        (True, False),
        (False, True),
    ]
    assert "BAD   x           text" in capsys.readouterr().out


def test_settings_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Machine] = []

    def look(machine: Machine) -> Iterable[Finding]:
        seen.append(machine)
        return []

    monkeypatch.setattr(doctor, "CHECKS", (look,))
    path = tmp_path / "d.toml"
    path.write_text("size = 256\n")
    assert cli.main(["doctor", "decoder", "-c", str(path)]) == 0
    assert seen[0].decoder == dataclasses.replace(load_decoder(None), size=256)
    assert cli.main(["doctor", "-c", str(path)]) == 1
