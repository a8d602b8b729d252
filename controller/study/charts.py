"""Charts of a study's report, as data: what is drawn, not how. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Style(StrEnum):
    """How a series is drawn."""

    LINE = "line"
    DASHED = "dashed"
    STEP = "step"
    POINTS = "points"
    AREA = "area"
    """Stacked on the areas before it."""


@dataclass(frozen=True, slots=True)
class Series:
    """Figures against figures.

    Attributes:
        y: None where there is no value; the line is then broken.
        right: whether its axis is the right one.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    style: Style = Style.LINE
    right: bool = False

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"series {self.name!r}: {len(self.x)} x for {len(self.y)} y")


@dataclass(frozen=True, slots=True)
class XyChart:
    """Series over a common horizontal axis.

    Attributes:
        log_x, log_y: whether the axis is logarithmic.
        bands: (from x, to x, name) shaded, such as events.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    right_label: str = ""
    log_x: bool = False
    log_y: bool = False
    bands: tuple[tuple[float, float, str], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class BarChart:
    """Groups of bars: one group a category, one bar in it a name.

    Attributes:
        bars: (name, one value a category), None where there is none.
        waterfall: draw the only bars as steps from the first value to the last, which stand on the axis.
    """

    title: str
    y_label: str
    categories: tuple[str, ...]
    bars: tuple[tuple[str, tuple[float | None, ...]], ...]
    waterfall: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        for name, values in self.bars:
            if len(values) != len(self.categories):
                raise ValueError(f"bars {name!r}: {len(values)} values for {len(self.categories)} categories")
        if self.waterfall and len(self.bars) != 1:
            raise ValueError(f"a waterfall has one set of bars, not {len(self.bars)}")


Chart = XyChart | BarChart
