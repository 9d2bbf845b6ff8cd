from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.facewire.told import Told

from facewire import cli, sites
from facewire.errors import ConfigError, ModelError
from facewire.logs import SITE, _name_site
from facewire.sites import SiteNotifier, Together, load


def write(folder: Path, name: str, text: str = "", sink: str = "null:") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(f'sinks = ["{sink}"]\n{text}')
    return path


def test_a_folder_is_a_site_for_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    folder = tmp_path / "sites"
    write(folder, "decoder-bridge", f'cache = "{tmp_path}"\n', "rtsp://0.0.0.0:8554/live")
    write(folder, "engine room", "", "rtsp://0.0.0.0:8555/live")
    (folder / "notes.txt").touch()
    found = load([str(folder)], {"size": 256})
    assert [site.name for site in found] == ["bridge", "engine-room"]
    assert [site.config.cache for site in found] == [str(tmp_path), "/cache/facewire/pivots/engine-room"]
    assert {site.config.size for site in found} == {256}


def test_what_does_not_fit_together_is_told(tmp_path: Path) -> None:
    one = str(write(tmp_path / "a", "one", "", "rtsp://0.0.0.0:8554/live"))
    for other, told in (
        (write(tmp_path / "b", "one"), "there is a site one already"),
        (write(tmp_path / "c", "two", "[network]\nthreads = 7\n"), r"two: \[network\] differs from one's"),
        (write(tmp_path / "d", "two", '[log]\nlevel = "debug"\n'), r"two: \[log\] differs"),
        (write(tmp_path / "e", "two", "", "rtsp://0.0.0.0:8554/other"), "8554 is one's already"),
    ):
        with pytest.raises(ConfigError, match=told):
            load([one, str(other)], {})
    with pytest.raises(ConfigError, match=r"no \.toml in this folder"):
        load([str(tmp_path)], {})
    with pytest.raises(ConfigError, match="every site's"):
        load([one], {"connect": "tcp://h:1"})


def test_the_command_line_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[list[str]] = []

    def noted(found: list[sites.Site]) -> int:
        run.append([site.name for site in found])
        return 0

    monkeypatch.setattr(sites, "run", noted)
    paths = [str(write(tmp_path / "s", name)) for name in ("one", "two")]
    assert cli.main(["decoder", "-c", paths[0], "-c", paths[1]]) == 0
    assert cli.main(["decoder", "-c", str(tmp_path / "s")]) == 0
    assert run == [["one", "two"]] * 2


def test_one_word_for_all() -> None:
    told, now = Told(), [0.0]
    together = Together(told, ["a", "b"], lambda: now[0])
    a, b = (SiteNotifier(together, name) for name in "ab")
    a.ready()
    a.alive()
    assert told.said == []
    b.ready()
    b.alive()
    assert told.said == ["ready", "alive"]
    now[0] = 20.0
    a.alive()
    assert told.said == ["ready", "alive"], "b has shown nothing for 20 s"
    b.alive()
    assert told.said[-1] == "alive"
    a.status("25 fps")
    b.status("nothing")
    assert told.said[-1] == "a: 25 fps; b: nothing"


def test_log_lines_name_their_site() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "%d fps", (25,), None)
    token = SITE.set("bridge")
    try:
        _name_site(record)
        _name_site(record)
    finally:
        SITE.reset(token)
    assert record.getMessage() == "bridge: 25 fps"


def found(tiny_models: Path, tmp_path: Path) -> list[sites.Site]:
    text = f'size = 64\nconnect = "tcp://127.0.0.1:1"\n[network]\nmodels = "{tiny_models}"\nprovider = "cpu"\n'
    paths = [str(write(tmp_path / "s", name, text)) for name in ("one", "two")]
    return load(paths, {})


def test_sites_run_side_by_side_until_stopped(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    stop = threading.Event()

    class Stops(Told):
        def ready(self) -> None:
            stop.set()

    monkeypatch.setattr(sites, "Notifier", Stops)
    caplog.handler.addFilter(_name_site)
    with caplog.at_level(logging.INFO):
        assert sites.run(found(tiny_models, tmp_path), stop) == 0
    caplog.handler.removeFilter(_name_site)
    told = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("one: decoder: tcp://127.0.0.1:1") for line in told)
    assert any(line.startswith("two: decoder: tcp://127.0.0.1:1") for line in told)
    assert sum("networks run on" in line for line in told) == 1
    assert not [thread for thread in threading.enumerate() if thread.name in ("facewire-one", "facewire-two")]


def test_a_site_that_dies_ends_all(tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def opened(config: Any, networks: Any, notifier: Any, stop: threading.Event) -> Any:
        class Dies:
            def run(self) -> None:
                if SITE.get() == "two":
                    raise ModelError("network generator: gone")
                stop.wait(20)

        return Dies()

    monkeypatch.setattr(sites, "open_decoder", opened)
    with pytest.raises(ModelError, match="gone"):
        sites.run(found(tiny_models, tmp_path), threading.Event())
