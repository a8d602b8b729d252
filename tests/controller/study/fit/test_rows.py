from __future__ import annotations

import re

import pytest

from controller.errors import ConfigError
from controller.study.fit.rows import Kind, bundled_rows, rows_of
from controller.study.fit.sheet import parse_sheet
from tests.fakes.system import ROOT

HEAD = "configuration,batch,tokens_per_s,power_w,itl_ms"


def test_every_bundled_row_is_read_by_configuration() -> None:
    rows = bundled_rows()
    assert sum(len(found.samples) for found in rows) == 328
    assert len(rows) == len({found.name for found in rows}) == 38
    kinds = {found.name: found.kind for found in rows}
    assert kinds["Qwen3-32B bfloat16 2xH100"] is Kind.DENSE_FAMILIES
    assert kinds["gemma-3-27b-it bfloat16 2xH100"] is Kind.DENSE
    assert kinds["Qwen3-30B-A3B-Instruct-2507 bfloat16 2xH100"] is Kind.EXPERTS
    assert kinds["Llama-4-Scout-17B-16E-Instruct bfloat16 4xH100"] is Kind.EXPERTS


def test_the_own_format_takes_prompts_and_cells() -> None:
    text = f"{HEAD},prompt_tokens_per_s,cell\nmine,8,250,900,31,0,c8\nmine,16,450,950,34,2000,c16\n"
    (found,) = rows_of(parse_sheet(text, "f.csv"))
    assert found.kind is Kind.UNTOLD
    first, second = found.samples
    assert (first.batch, first.tokens_per_s, first.power_w, first.median_itl_s) == (8, 250, 900, 0.031)
    assert (first.prompt_tokens_per_s, second.prompt_tokens_per_s, second.cell) == (0.0, 2000.0, "c16")
    (plain,) = rows_of(parse_sheet(f"{HEAD}\nmine,8,250,900,31\n", "f.csv"))
    assert plain.samples[0].prompt_tokens_per_s is None


def test_the_example_of_the_reference_is_read() -> None:
    page = (ROOT / "docs/reference/energy.md").read_text()
    examples = re.findall(r"```csv\n(configuration.*?)```", page, re.DOTALL)
    assert examples
    for example in examples:
        assert rows_of(parse_sheet(example, "example.csv"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model,watts\na,3\n", r"line 1: measurements in the own format need the columns configuration, batch"),
        ("model_id,power_w\na,3\n", r"line 1: measurements need the columns weight_precision, gpu_model"),
        (f"{HEAD}\nmine,8,250,900,31\nmine,8,250,,31\n", r"line 3, column power_w: it is empty"),
        (f"{HEAD}\nmine,8,250,-900,31\n", r"line 2, column power_w: -900 must be a finite number above 0"),
        (f"{HEAD},prompt_tokens_per_s\nmine,8,250,900,31,-1\n", r"column prompt_tokens_per_s: -1 must be"),
    ],
)
def test_wrong_files_are_told_by_line_and_column(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        rows_of(parse_sheet(text, "f.csv"))
