from __future__ import annotations

import pytest

from controller.study.tables import Column, Table, is_figure, markdown, shown

TABLE = Table(
    "Energy",
    (Column("rule"), Column("kWh", 1), Column("change", 1, percent=True, signed=True)),
    (("as is", 1234.56, None), ("better", 1000.0, -0.19)),
)


def test_figures_have_their_digits_units_and_signs() -> None:
    assert shown(1234.56, Column("kWh", 1)) == "1,234.6"
    assert shown(0.19, Column("change", 1, percent=True, signed=True)) == "+19.0 %"
    assert shown(7, Column("queries")) == "7"


def test_what_rounds_to_zero_has_no_minus() -> None:
    assert shown(-0.0001, Column("change", 1, percent=True, signed=True)) == "+0.0 %"


def test_what_does_not_exist_is_a_dash_and_never_a_zero() -> None:
    assert shown(None, Column("kWh", 1)) == "–"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_is_none_is_refused_by_column(value: float) -> None:
    with pytest.raises(ValueError, match=r"'kWh': (nan|inf) is not a figure"):
        shown(value, Column("kWh"))


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"table 'T': 1 cells for 2 columns"):
        Table("T", (Column("a"), Column("b")), ((1,),))


def test_only_columns_of_figures_are_aligned_to_the_right() -> None:
    assert [is_figure(TABLE, n) for n in range(3)] == [False, True, True]
    assert not is_figure(Table("empty", (Column("a"),), ((None,),)), 0)


def test_markdown_is_a_table() -> None:
    assert markdown(TABLE).splitlines() == [
        "| rule | kWh | change |",
        "|---|---:|---:|",
        "| as is | 1,234.6 | – |",
        "| better | 1,000.0 | -19.0 % |",
    ]
