"""Charts as SVG text, by matplotlib, which is imported only here and only when a chart is drawn.

Lines and letters take the colours of the page they stand in (`currentColor` and the page's variables), so that one
picture reads on light and on dark ground. Equal charts give equal text.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from controller.errors import ConfigError
from controller.study.charts import BarChart, Chart, Series, Style, XyChart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

COLOURS = ("#2f7de1", "#0f9a77", "#c97a12", "#c4458a", "#8a63d2", "#7a8794", "#d1483f", "#2b8fa9")
"""Of middle lightness: at least 3:1 against both grounds of the page."""
_INK = "#123456"
"""Stands for the page's ink while matplotlib draws; no other element has it."""
_SIZE_IN = (7.6, 3.6)
_WIDTH_CHARACTERS, _LINE_CHARACTERS = 105, 8
"""Letters that fit across a picture, and those that the sample of a line in the legend takes the room of."""
_RISE, _FALL = COLOURS[6], COLOURS[1]

_LOOK: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.grid": True,
    "grid.color": _INK,
    "grid.alpha": 0.15,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


def svg(chart: Chart) -> str:
    """The chart as an SVG element.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"charts need the package {error.name!r}, which is an extra; run: pip install 'wattroute[study]'"
        ) from error
    with matplotlib.rc_context(_LOOK | {"svg.hashsalt": chart.title}):
        figure = Figure(figsize=_SIZE_IN, layout="constrained")
        axes = figure.add_subplot()
        if isinstance(chart, XyChart):
            _draw_xy(chart, figure, axes)
        else:
            _draw_bars(chart, axes)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _as_element(out.getvalue())


def _draw_xy(chart: XyChart, figure: Figure, axes: Axes) -> None:
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    axes.spines["right"].set_visible(bool(chart.right_label))
    if chart.log_x:
        axes.set_xscale("log")
        _write_plain(axes.xaxis)
    if chart.log_y:
        axes.set_yscale("log")
        _write_plain(axes.yaxis)
    right = axes.twinx() if any(series.right for series in chart.series) else None
    if right is not None:
        right.set_ylabel(chart.right_label)
        right.grid(visible=False)
    for start, end, _ in chart.bands:
        axes.axvspan(start, end, color=COLOURS[2], alpha=0.13, linewidth=0)
    floor = [0.0] * max((len(series.x) for series in chart.series), default=0)
    for number, series in enumerate(chart.series):
        colour = COLOURS[number % len(COLOURS)]
        floor = _draw_series(series, right if series.right and right is not None else axes, colour, floor)
    figure.legend(loc="outside upper center", ncols=_legend_columns([series.name for series in chart.series]))


def _write_plain(axis: Axis) -> None:
    """Figures of a logarithmic axis written out, between the powers of ten too where there are few of those."""
    from matplotlib.ticker import LogFormatter

    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(LogFormatter(minor_thresholds=(2.0, 0.5)))


def _draw_series(series: Series, axes: Axes, colour: str, floor: list[float]) -> list[float]:
    """Draw one series; returns the height that the next area stands on."""
    y = [float("nan") if value is None else value for value in series.y]
    if series.style is Style.AREA:
        top = [low + (0.0 if value is None else value) for low, value in zip(floor, series.y, strict=False)]
        axes.fill_between(series.x, floor[: len(top)], top, step="post", color=colour, alpha=0.75, label=series.name)
        return top
    if series.style is Style.POINTS:
        axes.plot(series.x, y, "o", color=colour, label=series.name, markersize=6)
    elif series.style is Style.STEP:
        axes.step(series.x, y, where="post", color=colour, label=series.name)
    else:
        marker = "o" if len(series.x) <= 30 else ""
        line = "--" if series.style is Style.DASHED else "-"
        axes.plot(series.x, y, line, marker=marker, markersize=3.5, color=colour, label=series.name)
    return floor


def _draw_bars(chart: BarChart, axes: Axes) -> None:
    axes.set_ylabel(chart.y_label)
    axes.spines["right"].set_visible(False)
    axes.grid(axis="x", visible=False)
    places = range(len(chart.categories))
    if chart.waterfall:
        _draw_waterfall([value or 0.0 for value in chart.bars[0][1]], axes)
    else:
        width = 0.8 / max(1, len(chart.bars))
        for number, (name, values) in enumerate(chart.bars):
            left = [place + (number - (len(chart.bars) - 1) / 2) * width for place in places]
            heights = [float("nan") if value is None else value for value in values]
            axes.bar(left, heights, width, color=COLOURS[number % len(COLOURS)], label=name)
        axes.axhline(0, color=_INK, linewidth=0.8)
        if len(chart.bars) > 1:
            axes.figure.legend(loc="outside upper center", ncols=_legend_columns([name for name, _ in chart.bars]))
    axes.set_xticks(list(places), [name.replace("; ", "\n") for name in chart.categories])


def _draw_waterfall(values: list[float], axes: Axes) -> None:
    """The first and the last value stand on the axis; each between is drawn as its difference to the one before."""
    for place, value in enumerate(values):
        if place in (0, len(values) - 1):
            axes.bar(place, value, 0.6, color=COLOURS[0])
        else:
            before = values[place - 1]
            axes.bar(place, value - before, 0.6, bottom=before, color=_RISE if value > before else _FALL)


def _legend_columns(names: list[str]) -> int:
    """As many as fit side by side."""
    widest = max((len(name) for name in names), default=0) + _LINE_CHARACTERS
    return max(1, min(len(names), _WIDTH_CHARACTERS // widest))


def _as_element(text: str) -> str:
    """The element alone, in the page's ink and at the page's width, with no names that another chart might have too."""
    element = text[text.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, count=1, flags=re.DOTALL)
    element = re.sub(r'<g id="[^"]*">', "<g>", element)
    head, tail = element.split(">", 1)
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    return f"{head}>{tail}".replace(_INK, "currentColor")
