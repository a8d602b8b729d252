"""Frozen dataclasses as plain JSON, and back."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from enum import Enum
from typing import Any, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

Kind = TypeVar("Kind")


def to_plain(value: Any) -> Any:
    """JSON form of dataclasses, enums, tuples and plain values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[Kind], value: Any) -> Kind:
    """Rebuild a value of a dataclass type from its JSON form.

    Raises:
        TypeError, ValueError, KeyError: the value does not fit the type.
    """
    result: Kind = _rebuild(kind, value)
    return result


def _rebuild(kind: Any, value: Any) -> Any:
    if isinstance(kind, NewType):
        return _rebuild(kind.__supertype__, value)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _rebuild_union(get_args(kind), value)
    if origin is tuple:
        members = get_args(kind)
        if len(members) == 2 and members[1] is Ellipsis:
            return tuple(_rebuild(members[0], item) for item in value)
        return tuple(_rebuild(member, item) for member, item in zip(members, value, strict=True))
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise TypeError(f"{value!r:.80} is no object, as {kind.__name__} needs")
        hints = get_type_hints(kind)
        return kind(**{name: _rebuild(hints[name], item) for name, item in value.items()})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.80} is not of type {kind.__name__}")
    return value


def _rebuild_union(members: tuple[Any, ...], value: Any) -> Any:
    """The member whose fields are those of the value; plain members are tried in turn.

    Of one member alone, as of any dataclass, fields that have a default may be missing: it was kept before they were.
    """
    if value is None and type(None) in members:
        return None
    if isinstance(value, dict):
        classes = [member for member in members if dataclasses.is_dataclass(member)]
        if len(classes) == 1 and set(value) <= {field.name for field in dataclasses.fields(classes[0])}:
            return _rebuild(classes[0], value)
        for member in members:
            names = {field.name for field in dataclasses.fields(member)} if dataclasses.is_dataclass(member) else set()
            if names == set(value):
                return _rebuild(member, value)
        raise ValueError(f"no type has the fields {sorted(value)}")
    plain = [member for member in members if member is not type(None) and not dataclasses.is_dataclass(member)]
    if not plain:
        raise ValueError(f"{value!r:.80} is no object")
    return _rebuild(plain[0], value)
