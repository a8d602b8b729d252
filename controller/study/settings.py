"""What scenario files are made of, and how one is read: strictly, with file, line and remedy for every fault."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from controller.errors import ConfigError
from router import config_file
from router.errors import SettingsError
from router.settings import Group, Name, Seconds
from router.settings.fields import refuse_twins

__all__ = [
    "Count",
    "Frac",
    "Group",
    "Head",
    "Name",
    "NotNegative",
    "Positive",
    "Seconds",
    "Seed",
    "Text",
    "parse",
    "read",
    "refuse_twins",
]

Frac = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Model = TypeVar("Model", bound=BaseModel)


class Head(BaseModel):
    """The two keys that every scenario has; the others belong to its kind."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Annotated[str, Field(max_length=63)]
    """Which study reads the file."""
    title: Text
    """What the scenario is about, in a line."""


def parse(text: str, model: type[Model], name: str) -> Model:
    """Validate YAML text as `model`.

    Raises:
        ConfigError: file, line, key, value and remedy of every fault.
    """
    try:
        return config_file.parse(text, model, name)
    except SettingsError as error:
        raise ConfigError(str(error)) from error


def read(path: Path) -> str:
    """Text of a file.

    Raises:
        ConfigError: it is absent, unreadable, too large or not UTF-8.
    """
    try:
        return config_file.read(path)
    except SettingsError as error:
        raise ConfigError(str(error)) from error
