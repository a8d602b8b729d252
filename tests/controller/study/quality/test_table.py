"""`wattroute quality table` on the screen, as Markdown and as JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from controller.errors import ConfigError
from controller.study.quality.table import TableOptions, run
from tests.fakes.system import ROOT


def _shown(**options: object) -> str:
    console = Console(file=io.StringIO(), width=220)
    run(TableOptions(**options), console)  # type: ignore[arg-type]
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_all_rows_are_shown_with_their_sources() -> None:
    text = _shown()
    assert "llama-3.1-405b" in text
    assert "arXiv 2411.02355" in text


def test_a_model_is_looked_up_and_estimates_are_named() -> None:
    rows = json.loads(_shown(model="Qwen3-32B", as_json=True))["rows"]
    by_cell = {(row["precision"], row["task"]): row for row in rows}
    assert by_cell["int4", "code"]["loss"] == 0.08
    assert by_cell["int4", "code"]["estimate"] == "no"
    assert by_cell["int4", "mathematics"]["estimate"] == "yes"


def test_a_configuration_shows_what_the_plan_sees() -> None:
    text = _shown(config=ROOT / "deploy/examples/laptop.yaml", as_markdown=True)
    assert "| pool fp8 | fp8 | 0.60 % | no | as configured |" in text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"as_json": True, "as_markdown": True}, "choose one"),
        ({"config": Path("x.yaml"), "model": "m"}, "--model"),
        ({"model": "gpt-next"}, "gpt-next"),
        ({"measured": (Path("absent.yaml"),)}, r"absent\.yaml"),
    ],
)
def test_wrong_options_say_the_remedy(options: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        _shown(**options)
