"""A study's figures as JSON: frozen dataclasses become objects, nothing that is not a number passes for one. Pure."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from enum import Enum


def as_json(document: Mapping[str, object]) -> str:
    """The document as JSON text, two spaces deep, keys in their order.

    Raises:
        ValueError: a figure is not finite; what does not exist is None.
        TypeError: a value has no place in JSON.
    """
    return json.dumps(_plain(document, ""), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: object, where: str) -> object:
    if isinstance(value, Enum):
        return _plain(value.value, where)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where.lstrip('.')}: {value} is not a figure; a value that does not exist is None")
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name), f"{where}.{f.name}") for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item, f"{where}[{n}]") for n, item in enumerate(value)]
    raise TypeError(f"{where.lstrip('.')}: {type(value).__name__} has no place in JSON")
