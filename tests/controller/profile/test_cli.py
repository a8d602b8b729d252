from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controller.errors import ConfigError
from controller.profile import cli


def ran(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        cli.run(arguments)
    return int(end.value.code or 0)


def test_options_reach_the_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(cli.command, "run", lambda options: seen.append(options) or 0)
    words = "http://e --power dcgm=http://g --gpu-uuid GPU-a --gpu-uuid GPU-b --quick --sleep --window-s 9 --kernel k"
    assert ran([*words.split(), "--out", str(tmp_path / "a.yaml")]) == 0
    (options,) = seen
    assert options.gpu_uuids == ("GPU-a", "GPU-b")
    assert (options.quick, options.sleep, options.window_s, options.kernel) == (True, True, 9.0, "k")


def test_options_reach_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(cli.compare_command, "run", lambda options: seen.append(options) or 0)
    assert ran(["--compare", "a.yaml", "b.yaml", "--input-tokens", "300"]) == 0
    assert seen[0].names == ("a.yaml", "b.yaml")
    assert seen[0].input_tokens == 300.0


@pytest.mark.parametrize("words", ["", "http://e", "--power dcgm=http://g", "a b --power x"])
def test_what_to_profile_must_be_said(words: str) -> None:
    with pytest.raises(ConfigError, match="what is to be profiled"):
        cli.run(words.split())


def test_an_unknown_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(["http://e", "--fast"]) == 2
    assert "--fast" in capsys.readouterr().err
