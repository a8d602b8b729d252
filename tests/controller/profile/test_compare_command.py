from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from controller.errors import ConfigError
from controller.profile.compare_command import CompareOptions, contender, run
from tests.fakes.profiles import HIDDEN, file_of, profiled

BF16, FP8 = "qwen3-235b-a22b/bf16/8xh100", "qwen3-235b-a22b/fp8/8xh100"


def printed(*names: str, html: Path | None = None) -> str:
    out = io.StringIO()
    assert run(CompareOptions(names, html_file=html), Console(file=out, width=300)) == 0
    return out.getvalue()


def test_built_in_profiles_cross_as_published(tmp_path: Path) -> None:
    """FP8 on as many GPUs takes more at small batches and reaches rates that BF16 does not (ML.ENERGY v3)."""
    text = printed(BF16, FP8, html=tmp_path / "x.html")
    assert f"{BF16} takes least, by" in text
    assert "not distinguishable" in text
    assert f"{FP8} is the only one that serves this load" in text
    assert f"{FP8} takes least" not in text.partition(f"{BF16} takes least")[0]
    assert (tmp_path / "x.html").read_text().count("<svg") == 1


def test_an_estimate_is_never_declared_the_winner() -> None:
    assert "the error of qwen3-235b-a22b/int4/2xh100 is not known" in printed(BF16, "qwen3-235b-a22b/int4/2xh100")


def test_measured_files_are_compared(tmp_path: Path) -> None:
    names = []
    for name, base_j in (("thrifty", 10.0), ("hungry", 14.0)):
        path = tmp_path / f"{name}.yaml"
        path.write_text(file_of(profiled(replace(HIDDEN, step_base_j=base_j), noise=0.002)).text())
        names.append(str(path))
    text = printed(*names)
    assert f"{names[0]} takes least" in text
    assert f"{names[1]} takes least" not in text


def test_names_that_are_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no built-in curves"):
        contender("qwen")
    with pytest.raises(ConfigError, match="cannot be read"):
        contender(str(tmp_path / "absent.yaml"))
