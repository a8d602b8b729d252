from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controller.errors import ConfigError
from controller.profile.options import KEY_VARIABLE, ProfileOptions


def options(folder: Path, **changes: Any) -> ProfileOptions:
    return ProfileOptions(**{"url": "http://engine", "power": "dcgm=http://x", "out": folder / "c.yaml", **changes})


def test_what_is_left_out_lies_beside_the_curves(tmp_path: Path) -> None:
    found = options(tmp_path)
    found.check()
    assert found.cells_path == tmp_path / "c.cells.jsonl"
    assert found.page_path == tmp_path / "c.html"


def test_quick_takes_less(tmp_path: Path) -> None:
    quick, full = options(tmp_path, quick=True), options(tmp_path)
    assert quick.pace().window_s < full.pace().window_s
    assert quick.design().max_concurrency < full.design().max_concurrency
    own = options(tmp_path, quick=True, window_s=7.0, max_concurrency=12, long_input=500, output_tokens=40)
    assert own.pace().window_s == 7.0
    assert (own.design().max_concurrency, own.design().long_input, own.design().long_output) == (12, 500, 40)
    assert own.design().short_output <= 10


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"out": "folder"}, "this is a folder"),
        ({"out": "absent/c.yaml"}, "there is no folder"),
        ({"out": "c.json"}, "end it in .yaml"),
        ({"out": "there.yaml"}, "exists; give another place, or --overwrite"),
        ({"engine_log": "absent.log"}, "--engine-log .*no such file"),
        ({"api_key_file": "absent"}, "--api-key-file .*no such file"),
        ({"ca_file": "absent"}, "--ca-file .*no such file"),
        ({"window_s": 0.2}, "at least 1 s"),
        ({"wake_s": float("nan")}, "--wake-s"),
        ({"off_w": -1.0}, "--off-w"),
        ({"output_tokens": 3}, "--output-tokens 3"),
    ],
)
def test_what_cannot_end_well_is_refused_before_the_work(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "there.yaml").write_text("")
    places = {key: tmp_path / value if isinstance(value, str) else value for key, value in changes.items()}
    with pytest.raises(ConfigError, match=told):
        options(tmp_path, **places).check()


def test_a_file_may_be_written_over_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("")
    options(tmp_path, overwrite=True).check()


def test_the_key_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-1\n")
    assert options(tmp_path, api_key_file=file).api_key({KEY_VARIABLE: "other"}) == "sk-1"
    assert options(tmp_path).api_key({KEY_VARIABLE: "other"}) == "other"
    assert options(tmp_path).api_key({KEY_VARIABLE: "other\n"}) == "other"
    assert options(tmp_path).api_key({}) is None


@pytest.mark.parametrize("value", ["a\nb", "a b", "sch\u00fcssel"])
def test_a_variable_without_a_key_is_refused_without_showing_it(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=KEY_VARIABLE) as told:
        options(tmp_path).api_key({KEY_VARIABLE: value})
    assert value not in str(told.value)


@pytest.mark.parametrize("content", [b"", b"a b", b"\xff", b"x\ny"])
def test_a_file_without_a_key_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="--api-key-file") as told:
        options(tmp_path, api_key_file=file).api_key({})
    assert "a b" not in str(told.value)
