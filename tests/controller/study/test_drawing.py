from __future__ import annotations

import dataclasses
import re
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from controller.errors import ConfigError
from controller.study.charts import BarChart, Chart, Series, Style, XyChart
from controller.study.drawing import COLOURS, svg

X = (1.0, 10.0, 100.0)
CHARTS: dict[str, Chart] = {
    "lines": XyChart("t", "x", "y", (Series("a", X, (1.0, None, 3.0)), Series("b", X, (1.0, 2.0, 3.0), Style.DASHED))),
    "areas": XyChart(
        "t",
        "x",
        "kW",
        (
            Series("bf16", X, (1.0, 2.0, 3.0), Style.AREA),
            Series("fp8", X, (1.0, None, 1.0), Style.AREA),
            Series("limit", X, (5.0, 5.0, 5.0), Style.STEP),
            Series("price", X, (50.0, -10.0, 20.0), right=True),
        ),
        right_label="USD/MWh",
        bands=((2.0, 5.0, "event"),),
    ),
    "points": XyChart("t", "x", "y", (Series("a", X, (1.0, 2.0, 3.0), Style.POINTS),), log_x=True, log_y=True),
    "bars": BarChart("t", "y", ("one", "two"), (("a", (1.0, None)), ("b", (-1.0, 2.0)))),
    "waterfall": BarChart("t", "USD", ("before", "saved", "after"), (("cost", (10.0, 6.0, 6.0)),), waterfall=True),
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_one_element_in_the_ink_of_its_page(name: str) -> None:
    drawn = svg(CHARTS[name])
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert "currentColor" in drawn
    assert "#123456" not in drawn
    assert "<image" not in drawn
    assert 'width="' not in drawn[: drawn.index(">")]


def test_charts_of_one_page_share_no_names() -> None:
    drawn = (svg(dataclasses.replace(CHARTS["lines"], title=title)) for title in "ab")
    first, second = (set(re.findall(r' id="([^"]+)"', text)) for text in drawn)
    assert first
    assert not first & second


def test_names_stand_as_text() -> None:
    drawn = svg(CHARTS["areas"])
    assert all(f">{name}<" in drawn for name in ("bf16", "fp8", "limit", "price", "USD/MWh"))


def test_equal_charts_give_equal_text() -> None:
    assert svg(CHARTS["lines"]) == svg(CHARTS["lines"])


def test_without_matplotlib_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"charts need .*pip install 'wattroute\[study\]'"):
        svg(CHARTS["lines"])


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("ground", ["#f6f8fa", "#151b23"])
def test_each_colour_stands_out_on_both_grounds(colour: str, ground: str) -> None:
    dark, light = sorted((luminance(colour), luminance(ground)))
    assert (light + 0.05) / (dark + 0.05) >= 3
