"""Fields of what the controller tells the routers, read from JSON and checked: bounded, finite, of the right kind.

Pure; imports the standard library alone. Each function raises `ContractError`, naming the place and the value.
"""

from __future__ import annotations

from typing import Any

MAX_ENTRIES = 100_000
MAX_NUMBER = float(1 << 53)  # whole numbers up to here are exact in every reader's JSON


class ContractError(ValueError):
    """A table that must not be obeyed.

    Attributes:
        path: where in the table, e.g. ``weights[0].pools[2].weight``.
        problem: what is wrong there, with the offending value.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"allocation table: {path}: {problem}; the table is refused, the last good one stays")
        self.path = path
        self.problem = problem


def mapping(value: Any, path: str) -> dict[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise ContractError(path, f"an object is expected, not {type(value).__name__}")
    return value


def items(entry: dict[str, Any], key: str, path: str = "") -> list[Any]:
    """The list of that name; an absent one is empty."""
    value = entry.get(key, [])
    where = f"{path}.{key}" if path else key
    if not isinstance(value, list):
        raise ContractError(where, f"a list is expected, not {type(value).__name__}")
    if len(value) > MAX_ENTRIES:
        raise ContractError(where, f"{len(value)} entries, more than {MAX_ENTRIES}")
    return value


def string(value: Any, path: str) -> str:
    """A name of 1 to 256 characters."""
    if not isinstance(value, str) or not value or len(value) > 256:
        raise ContractError(path, f"a name of 1 to 256 characters is expected, not {value!r:.80}")
    return value


def number(entry: dict[str, Any], key: str, path: str, minimum: float | None = None) -> float:
    """A finite number, at least `minimum` where that is given."""
    value = entry.get(key)
    where = key if path == "$" else f"{path}.{key}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise ContractError(where, f"a finite number is expected, not {value!r:.80}")
    if minimum is not None and value < minimum:
        raise ContractError(where, f"{value!r} is less than {minimum}")
    return float(value)


def integer(entry: dict[str, Any], key: str, path: str, minimum: int) -> int:
    """A whole number, at least `minimum`."""
    value = entry.get(key)
    where = key if path == "$" else f"{path}.{key}"
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= MAX_NUMBER:
        raise ContractError(where, f"a whole number of at least {minimum} is expected, not {value!r:.80}")
    return value
