from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from controller.errors import ConfigError
from controller.study.fit.command import FitOptions, run
from tests.fakes.system import ROOT

PAGE = ROOT / "docs/reference/energy.md"
HEAD = "configuration,batch,tokens_per_s,power_w,itl_ms\n"


def printed(**options: object) -> str:
    out = io.StringIO()
    run(FitOptions(**options), Console(file=out, width=200))
    return out.getvalue()


def test_the_reference_page_holds_what_the_command_prints() -> None:
    assert printed(as_markdown=True).strip() in PAGE.read_text()


def test_the_reference_page_holds_the_synthetic_comparison() -> None:
    assert printed(workload="synthetic", as_markdown=True).strip() in PAGE.read_text()


def test_the_reference_page_holds_the_phases_of_the_emulated_engines() -> None:
    assert printed(windows="emulated", as_markdown=True).strip() in PAGE.read_text()


def test_a_file_of_ones_own_is_fitted(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    rows = [(b, 0.03 + 2e-4 * b) for b in (1, 8, 32, 128)]
    path.write_text(HEAD + "".join(f"mine [h100],{b},{b / t},{800 + b},{1000 * t}\n" for b, t in rows))
    assert "mine [h100]" in printed(file=path)
    document = json.loads(printed(file=path, as_json=True))
    (found,) = document["configurations"]
    assert found["straight"]["step_base_s"] == pytest.approx(0.03)
    assert found["refused"] is None


def test_the_screen_shows_notes_and_titles() -> None:
    text = printed(workload="synthetic")
    assert "Published workload models and ours" in text
    assert "Held out: each request is predicted by a fit to all others" in text


def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose one"):
        printed(as_json=True, as_markdown=True)
    with pytest.raises(ConfigError, match="one at a time"):
        printed(file=tmp_path / "a.csv", workload="synthetic")
    with pytest.raises(ConfigError, match="synthetic, emulated: these are 2 questions"):
        printed(workload="synthetic", windows="emulated")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.csv: cannot be read"):
        printed(workload=str(tmp_path / "absent.csv"))
