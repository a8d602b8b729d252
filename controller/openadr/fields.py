"""Reads fields of JSON objects: every one that is not what it must be is named with its place and value.

All is bounded: text in characters, lists in entries, numbers to what is finite.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from controller.errors import MessageError

Read = TypeVar("Read")

MAX_TEXT = 4096
MAX_NAME = 128
MAX_INT = 2**31 - 1
"""Of the specification's int32."""
_OBJECT_ID = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def decode(body: bytes | str, place: str) -> Any:
    """What a JSON text says.

    Raises:
        MessageError: it is not JSON.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(place, f"not JSON ({str(error)[:200]})") from error


def shown(value: object) -> str:
    """A value as an error message tells it: short, whatever was sent."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and value.bit_length() > 128:
        return "a number of more than 38 digits"
    return f"{value!r:.80}"


def entries(value: Any, place: str, most: int) -> list[Any]:
    """The entries of a list.

    Raises:
        MessageError: it is none, or longer than `most`.
    """
    if not isinstance(value, list):
        raise MessageError(place, f"{shown(value)} is not a list")
    if len(value) > most:
        raise MessageError(place, f"{len(value)} entries; at most {most} are read")
    return value


def number(value: Any, place: str) -> float:
    """A finite number.

    Raises:
        MessageError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MessageError(place, f"{shown(value)} is not a number")
    try:
        as_float = float(value)
    except OverflowError as error:
        raise MessageError(place, f"{shown(value)} is too large") from error
    if not math.isfinite(as_float):
        raise MessageError(place, f"{shown(value)} is not finite")
    return as_float


def text(value: Any, place: str, most: int = MAX_TEXT, least: int = 0) -> str:
    """A text of bounded length.

    Raises:
        MessageError: it is none, too short or too long.
    """
    if not isinstance(value, str):
        raise MessageError(place, f"{shown(value)} is not text")
    if not least <= len(value) <= most:
        raise MessageError(place, f"{len(value)} characters; {least} to {most} are expected")
    return value


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one JSON object; null counts as absent, unknown fields are passed over (model extension)."""

    place: str
    data: dict[str, Any]

    @classmethod
    def of(cls, value: Any, place: str) -> Fields:
        """The fields of a decoded value.

        Raises:
            MessageError: it is not an object.
        """
        if not isinstance(value, dict):
            raise MessageError(place, f"{shown(value)} is not an object")
        return cls(place, value)

    def at(self, key: str) -> str:
        """The place of a field."""
        return f"{self.place}.{key}"

    def has(self, key: str) -> bool:
        """Whether a field is there and not null."""
        return self.data.get(key) is not None

    def value(self, key: str) -> Any:
        """A field that must be there.

        Raises:
            MessageError: it is absent or null.
        """
        found = self.data.get(key)
        if found is None:
            raise MessageError(self.at(key), "it is missing")
        return found

    def name(self, key: str) -> str:
        """A name of 1 to 128 characters that must be there."""
        return text(self.value(key), self.at(key), MAX_NAME, 1)

    def text(self, key: str, most: int = MAX_TEXT) -> str | None:
        """A text, None where it is absent."""
        return text(self.data[key], self.at(key), most) if self.has(key) else None

    def object_id(self, key: str) -> str:
        """An id that must be there, safe in a URL."""
        found = text(self.value(key), self.at(key), MAX_NAME, 1)
        if not _OBJECT_ID.fullmatch(found):
            raise MessageError(self.at(key), f"{shown(found)} is not an id of letters, digits, '_' and '-'")
        return found

    def optional_id(self, key: str) -> str | None:
        """An id, None where it is absent."""
        return self.object_id(key) if self.has(key) else None

    def integer(self, key: str, least: int = -MAX_INT, default: int | None = None) -> int:
        """A whole number of 32 bits; one written as 3.0 counts as one."""
        if not self.has(key) and default is not None:
            return default
        found = number(self.value(key), self.at(key))
        if found != int(found) or not least <= found <= MAX_INT:
            raise MessageError(self.at(key), f"{shown(self.data[key])} is not a whole number from {least} to {MAX_INT}")
        return int(found)

    def optional_integer(self, key: str, least: int = -MAX_INT) -> int | None:
        """A whole number of 32 bits, None where it is absent."""
        return self.integer(key, least) if self.has(key) else None

    def number(self, key: str) -> float | None:
        """A finite number, None where it is absent."""
        return number(self.data[key], self.at(key)) if self.has(key) else None

    def boolean(self, key: str, default: bool) -> bool:
        """True or false."""
        found = self.data.get(key)
        if found is None:
            return default
        if not isinstance(found, bool):
            raise MessageError(self.at(key), f"{shown(found)} is neither true nor false")
        return found

    def each(self, key: str, most: int, read: Callable[[Any, str], Read]) -> tuple[Read, ...]:
        """What each entry of a list reads as; empty where the list is absent."""
        if not self.has(key):
            return ()
        place = self.at(key)
        return tuple(read(entry, f"{place}[{n}]") for n, entry in enumerate(entries(self.data[key], place, most)))
