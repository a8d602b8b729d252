from __future__ import annotations

from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.study.settings import Group, Head, NotNegative, Positive, parse, read


class Example(Group):
    price_usd_per_mwh: Positive
    aux_w: NotNegative = 0.0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("price_usd_per_mwh: 5\npirce: 1\n", "x.yaml:2: unknown key 'pirce'"),
        ("aux_w: 1\nprice_usd_per_mwh: -3\n", r"x.yaml:2: price_usd_per_mwh: .*greater than 0 \(got -3\)"),
        ("price_usd_per_mwh: .nan\n", r"x.yaml:1: price_usd_per_mwh: .*\(got nan\)"),
        ("price_usd_per_mwh: .inf\n", "x.yaml:1: price_usd_per_mwh"),
        ("price_usd_per_mwh: 50 USD\n", r"x.yaml:1: price_usd_per_mwh: .*\(got '50 USD'\)"),
        ("aux_w: 1\n", "required key 'price_usd_per_mwh' is missing"),
        ("price_usd_per_mwh: [1\n", "x.yaml:2: not valid YAML"),
        ("", "the file is empty"),
        ("- 1\n", "x.yaml:1: a mapping of sections is expected"),
    ],
)
def test_faults_are_told_with_file_line_value(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse(text, Example, "x.yaml")


def test_the_head_is_read_from_a_scenario_of_any_kind() -> None:
    assert parse("kind: any\ntitle: T\nmodels: []\n", Head, "x").kind == "any"


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file"):
        read(tmp_path / "none.yaml")
