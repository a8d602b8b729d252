"""Fields of what routers report, each checked where it is taken; pure."""

from __future__ import annotations

import contextlib
import math
from typing import Any

_EXACT = 1 << 53


def list_of(value: Any, where: str, most: int) -> list[Any]:
    """The value, which must be a list of a bounded length.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"{where} is not a list of at most {most}")
    return value


def object_of(value: Any, where: str, most: int) -> dict[str, Any]:
    """The value, which must be an object of a bounded number of fields.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, dict) or len(value) > most:
        raise ValueError(f"{where} is not an object of at most {most}")
    return value


def name_of(entry: Any, key: str, where: str) -> str:
    """A name in an object.

    Raises:
        ValueError: there is none, or it is empty.
    """
    name = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name:
        raise ValueError(f"{where}.{key} is not a name")
    return name


def count_of(value: Any, *where: str) -> float:
    """The value, which must be a finite number of at least 0; `where` are the parts of its place, outermost first.

    Raises:
        ValueError: it is not.
    """
    if type(value) is int and 0 <= value < _EXACT:
        return float(value)
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # a whole number of 400 digits is one in JSON
            number = float(value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{'.'.join(where)} is {value!r:.40}, a number of at least 0 is expected")
    return number
