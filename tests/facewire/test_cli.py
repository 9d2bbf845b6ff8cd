"""The command line's contract: words, exit codes, one line for each error, no traceback, quick help."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from facewire import cli, names
from facewire.coding.pivots import PRESETS
from facewire.errors import SourceError
from facewire.incoming import opening
from facewire.networks.choice import PROBES
from facewire.profiles import PROFILES

ROOT = Path(__file__).parents[2]


def fake(monkeypatch: pytest.MonkeyPatch, name: str, **functions: Any) -> None:
    """Puts a module of ours in the place of facewire.<name>."""
    import facewire

    module: Any = types.ModuleType(f"facewire.{name}")
    for key, function in functions.items():
        setattr(module, key, function)
    monkeypatch.setitem(sys.modules, f"facewire.{name}", module)
    monkeypatch.setattr(facewire, name, module, raising=False)


def facewire(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "daemon")}
    return subprocess.run(
        [sys.executable, "-m", "facewire", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environ,
    )


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\nfrom facewire.cli import main\ntry: main(['--help'])\nfinally:\n"
            "    heavy = {'numpy', 'cv2', 'mediapipe', 'onnxruntime', 'av', 'zmq', 'gi', 'torch'} & set(sys.modules)\n"
            "    assert not heavy, heavy\n",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "daemon")},
    )
    assert done.returncode == 0, done.stderr
    for name in ("encoder", "decoder", "compress", "decompress", "inspect", "demo", "doctor", "keygen"):
        assert name in done.stdout
    assert set(cli._COMMANDS) == {"encoder", "decoder", "compress", "decompress", "inspect", "demo", "doctor", "keygen"}


def test_no_thread_waits_for_matrices() -> None:
    code = (
        "import facewire, os, numpy as np\n"
        "np.ones((600, 600)) @ np.ones((600, 600))\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    plain = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=plain)
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize("name", [[], *[[n] for n in cli._COMMANDS]])
def test_every_help_works(name: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([*name, "--help"])
    assert stop.value.code == 0
    assert "usage" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["fly"], ["compress"], ["compress", "a"], ["compress", "a", "b", "--skip", "4"], ["decompress", "a"],
        ["compress", "a", "b", "--profile", "fast"], ["inspect"], ["keygen"], ["encoder", "--nonsense"],
        ["decompress", "a", "b", "--size", "big"], ["doctor", "someone"],
    ],
)  # fmt: skip
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_the_names_it_offers_are_the_names() -> None:
    assert tuple(PROFILES) == cli.PROFILE_NAMES
    assert tuple(PRESETS) == names.PRESETS
    assert set(names.PROVIDERS) == {"auto", *PROBES}


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["encoder", "-c", "/none.toml"], "/none.toml: cannot be read"),
        (["decoder", "--sink", "tv:"], "command line: sinks = "),
        (["decoder", "--size", "511"], "even number from 64 to 2160"),
        (["encoder", "--profile", "fast"], "command line: profile = 'fast'"),
        (["encoder", "--bind", "here"], "command line: bind = 'here'"),
        (["decoder", "--connect", "tcp://*:1"], "command line: connect = "),
    ],
)
def test_what_cannot_be_done_is_1_and_one_line(
    arguments: list[str], needle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("facewire: ")
    assert printed.err.count("\n") == 1
    assert needle in printed.err


def test_options_reach_the_daemons(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Any] = []

    def run(config: Any, link: str = "") -> int:
        seen.append(config)
        assert link in ("", "tcp://h:7")  # a decoder's link is open before the rest of it is loaded
        return 0

    fake(monkeypatch, "encoder", run=run)
    fake(monkeypatch, "decoder", run=run)
    monkeypatch.setattr(opening, "open_link", lambda config: config.connect)
    settings = tmp_path / "e.toml"
    settings.write_text('source = "file:x.mp4"\nbind = "tcp://0.0.0.0:7"\n')
    assert cli.main(["encoder", "-c", str(settings), "--source", "sample:", "--profile", "lan"]) == 0
    assert (seen[0].source, seen[0].bind, seen[0].profile) == ("sample:", "tcp://0.0.0.0:7", "lan")
    assert cli.main(["decoder", "--connect", "tcp://h:7", "--sink", "null:", "--sink", "hdmi:", "--size", "256"]) == 0
    assert (seen[1].connect, seen[1].sinks, seen[1].size) == ("tcp://h:7", ("null:", "hdmi:"), 256)


def test_options_reach_the_file_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    fake(
        monkeypatch,
        "files",
        compress=lambda *a, **k: seen.append((a, k)),
        decompress=lambda *a, **k: seen.append((a, k)),
    )
    arguments = ["compress", "a", "b.fw", "--profile", "bgan", "--skip", "2", "--pivots", "first", "--report", "r"]
    assert cli.main(arguments) == 0
    given = {"profile": "bgan", "skip": 2, "pivots": "first", "report": "r", "append": False, "keypoints": "coded"}
    assert seen.pop() == (("a", "b.fw"), given)
    assert cli.main(["compress", "a", "b.fw", "--append", "--keypoints", "raw"]) == 0
    asked = seen.pop()[1]
    assert (asked["skip"], asked["append"], asked["keypoints"]) == (None, True, "raw")
    assert cli.main(["decompress", "b.fw", "c.mkv", "--size", "256", "--lossless"]) == 0
    assert seen.pop() == (("b.fw", "c.mkv"), {"size": 256, "lossless": True, "start": 0.0})


@pytest.mark.parametrize(
    ("error", "needle"),
    [
        (SourceError("camera\nis gone"), "facewire: camera is gone"),
        (FileNotFoundError(2, "No such file or directory", "x.fw"), "facewire: x.fw: No such file or directory"),
        (ZeroDivisionError("division by zero"), "internal error, ZeroDivisionError: division by zero; --debug shows"),
        (MemoryError(), "out of memory"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_errors_of_every_kind_are_one_line(
    error: BaseException, needle: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    fake(monkeypatch, "files", compress=fail)
    assert cli.main(["compress", "a", "b"]) == 1
    printed = capsys.readouterr().err
    assert needle in printed
    assert printed.count("\n") == 1
    if isinstance(error, Exception) and not isinstance(error, MemoryError):
        for arguments in (["--debug", "compress", "a", "b"], ["compress", "a", "b", "--debug"]):
            with pytest.raises(type(error)):
                cli.main(arguments)


def test_sigterm_ends_a_daemon_with_0(tmp_path: Path) -> None:
    """In a real process: `finally` runs, no traceback, exit code 0; a second signal does not break the closing."""
    code = (
        "import sys, time, types, facewire\n"
        "from facewire import cli\n"
        "m = types.ModuleType('facewire.encoder')\n"
        "def run(config):\n"
        "    try:\n"
        "        print('up', flush=True)\n"
        "        while True:\n"
        "            try: time.sleep(60)\n"
        "            except Exception: pass\n"
        "    finally:\n"
        "        time.sleep(0.3); print('closed', flush=True)\n"
        "m.run = run; sys.modules['facewire.encoder'] = m; facewire.encoder = m\n"
        "sys.exit(cli.main(['encoder']))\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "daemon")}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "closed\n", "")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    code = (
        "import sys, types, facewire\nfrom facewire import cli\n"
        "m = types.ModuleType('facewire.inspect')\n"
        "def run(path, json=False):\n    print('x' * 10_000_000); return 0\n"
        "m.run = run; sys.modules['facewire.inspect'] = m; facewire.inspect = m\n"
        "sys.exit(cli.main(['inspect', 'x']))\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "daemon")}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == b""


def test_python_m_facewire() -> None:
    done = facewire("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("facewire 0.")
    assert facewire("nothing").returncode == 2
