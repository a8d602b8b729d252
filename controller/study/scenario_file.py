"""Scenario files: those shipped with the package, and finding and reading one of any kind."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from controller.errors import ConfigError
from controller.study.settings import Head, parse, read
from controller.study.study import Study

SHIPPED_DIR = Path(__file__).parent / "scenarios"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario that was read.

    Attributes:
        name: the file's name without its ending.
        settings: an instance of `study.settings`.
    """

    name: str
    title: str
    study: Study[Any]
    settings: BaseModel


def shipped() -> tuple[tuple[str, Head], ...]:
    """Name and head of each shipped scenario, by name."""
    return tuple((path.stem, parse(read(path), Head, str(path))) for path in sorted(SHIPPED_DIR.glob("*.yaml")))


def load(named: str, studies: Sequence[Study[Any]]) -> Scenario:
    """Read a scenario by path or by the name of a shipped one; a path wins.

    Raises:
        ConfigError: there is none, its kind is unknown, or something in it is wrong.
    """
    path = _path(named)
    text = read(path)
    head = parse(text, Head, str(path))
    study = next((study for study in studies if study.kind == head.kind), None)
    if study is None:
        known = ", ".join(study.kind for study in studies)
        raise ConfigError(
            f"{path}: kind: there is no study {head.kind!r}{_near(head.kind, studies)}; known are {known}"
        )
    return Scenario(path.stem, head.title, study, parse(text, study.settings, str(path)))


def _path(named: str) -> Path:
    path = Path(named)
    if path.is_file():
        return path
    names = [path.stem for path in sorted(SHIPPED_DIR.glob("*.yaml"))]
    if named in names:
        return SHIPPED_DIR / f"{named}.yaml"
    near = difflib.get_close_matches(named, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(
        f"{named}: no such file, and no shipped scenario of that name{hint}; shipped are {', '.join(names)}"
    )


def _near(kind: str, studies: Sequence[Study[Any]]) -> str:
    near = difflib.get_close_matches(kind, [study.kind for study in studies], n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
