from __future__ import annotations

import pytest

from controller.study.charts import BarChart, Series


def test_a_series_has_as_many_x_as_y() -> None:
    with pytest.raises(ValueError, match=r"'load': 2 x for 1 y"):
        Series("load", (0.0, 1.0), (1.0,))


def test_bars_have_a_value_for_each_category() -> None:
    with pytest.raises(ValueError, match=r"'cost': 1 values for 2 categories"):
        BarChart("c", "USD", ("a", "b"), (("cost", (1.0,)),))


def test_a_waterfall_has_one_set_of_bars() -> None:
    with pytest.raises(ValueError, match="one set of bars, not 2"):
        BarChart("c", "USD", ("a",), (("x", (1.0,)), ("y", (1.0,))), waterfall=True)
