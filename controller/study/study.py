"""What a study is: settings of its own, and a run that gives figures and a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel

from controller.study.charts import Chart
from controller.study.tables import Table

SettingsType = TypeVar("SettingsType", bound=BaseModel)


class Progress(Protocol):
    """Told how far a run is."""

    def __call__(self, done_frac: float, doing: str) -> None:
        """`done_frac` 0..1; `doing` in a few words."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a reader sees of a run.

    Attributes:
        title: as the scenario tells it.
        paragraphs: what was found, most important first.
        tables, charts: in the order they are shown.
        assumptions: what the figures rest on: what is measured, emulated or estimated, and what was left out.
        sources: where the inputs come from, with their licences.
    """

    title: str
    paragraphs: tuple[str, ...]
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...]
    assumptions: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a run.

    Attributes:
        figures: name to a frozen dataclass, a tuple or a plain value; written as JSON.
    """

    figures: Mapping[str, object]
    report: Report


@dataclass(frozen=True, slots=True)
class Working:
    """How a study of many independent parts is run.

    Attributes:
        jobs: processes at a time.
        parts: first part, and the one after the last; None for all.
        folder: where the figures of each part are kept, so that none is computed twice; None for nowhere.
    """

    jobs: int = 1
    parts: tuple[int, int] | None = None
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Study(Generic[SettingsType]):
    """One kind of study.

    Attributes:
        kind: the word that a scenario's `kind` names it by.
        settings: model of its scenario files.
        run: computes the outcome; equal settings give an equal outcome.
        run_parts: the same of some of its parts, in several processes; None where a study is no such many.

    `run` raises ConfigError for what the settings alone cannot tell to be wrong.
    """

    kind: str
    settings: type[SettingsType]
    run: Callable[[SettingsType, Progress], Outcome]
    run_parts: Callable[[SettingsType, Progress, Working], Outcome] | None = None
