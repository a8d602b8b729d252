"""What was measured: values by subject and metric, one a round, and remarks."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Spread:
    """Median and extremes over the rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass
class Results:
    """Collects the values of a run.

    Attributes:
        values: subject to metric to one value a round.
        notes: what a reader must know, by subject; a proxy that could not be measured has its reason here.
        about: machine, versions, command and date.
    """

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)

    def add(self, subject: str, **values: float) -> None:
        """Note values of one round."""
        metrics = self.values.setdefault(subject, {})
        for metric, value in values.items():
            metrics.setdefault(metric, []).append(round(value, 6))

    def note(self, subject: str, text: str) -> None:
        """Note a remark once."""
        notes = self.notes.setdefault(subject, [])
        if text not in notes:
            notes.append(text)

    def spread(self, subject: str, metric: str) -> Spread | None:
        """Over the rounds, or None if it was not measured."""
        values = self.values.get(subject, {}).get(metric)
        return Spread.of(values) if values else None

    def ratio(self, figure: tuple[str, str], base: tuple[str, str]) -> Spread | None:
        """One figure to another, each (subject, metric), round by round: what slowed a whole round cancels out."""
        figures = self.values.get(figure[0], {}).get(figure[1], [])
        bases = self.values.get(base[0], {}).get(base[1], [])
        ratios = [mine / its for mine, its in zip(figures, bases, strict=False) if its > 0]
        return Spread.of(ratios) if ratios else None

    def overlaid(self, later: Results) -> Results:
        """These results, with those of a later run in place of what both hold."""
        subjects = dict.fromkeys([*self.values, *later.values])
        values = {name: {**self.values.get(name, {}), **later.values.get(name, {})} for name in subjects}
        notes = {name: [*self.notes.get(name, [])] for name in self.notes}
        both = Results(values, notes, {**self.about, f"then, {later.about['date']}": later.about["command"]})
        for subject, found in later.notes.items():
            for note in found:
                both.note(subject, note)
        return both

    def as_json(self) -> dict[str, object]:
        """For a file."""
        return {"about": self.about, "notes": self.notes, "values": self.values}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Results:
        """From a file that `as_json` wrote."""
        return cls(data["values"], data["notes"], data["about"])
