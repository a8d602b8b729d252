from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from controller.errors import ConfigError
from controller.profile import command
from controller.profile.options import ProfileOptions
from controller.settings import curves_file
from controller.study.command import INTERRUPTED
from tests.fakes.profiles import profiled


def screen() -> Console:
    return Console(file=io.StringIO(), width=200)


def options(folder: Path) -> ProfileOptions:
    return ProfileOptions(url="http://engine", power="dcgm=http://gpus", out=folder / "c.yaml")


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_profile_is_written_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def found(*_: Any) -> object:
        return profiled(noise=0.01)

    monkeypatch.setattr(command, "profile", found)
    console = screen()
    assert command.run(options(tmp_path), console) == 0
    assert "Parameters of one instance" in said(console)
    assert "plan.pools.NAME.curves" in said(console)
    assert curves_file.read(tmp_path / "c.yaml").provenance.model == "model"
    html = (tmp_path / "c.html").read_text()
    assert html.count("<svg") == 3
    assert "http://" not in html.replace("http://gpus", "").replace("http://www.w3.org", "")
    assert not list(tmp_path.glob("*.new"))


def test_curves_are_written_where_nothing_can_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    console = screen()
    command.write(profiled(noise=0.01), options(tmp_path), console)
    assert "no page: charts need the package" in said(console)
    assert (tmp_path / "c.yaml").exists()


def test_an_interrupted_profile_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*_: Any) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "profile", interrupted)
    console = screen()
    assert command.run(options(tmp_path), console) == INTERRUPTED
    assert "run the same command again to go on" in said(console)
    assert not (tmp_path / "c.yaml").exists()


def test_a_place_that_cannot_be_written_is_told_by_its_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--out .*cannot be written"):
        command.written(tmp_path / "absent" / "x", "--out", "")
