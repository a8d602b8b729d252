"""Received text made into values, with every fault told as a `SignalError`; pure."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from typing import Any

from controller.errors import SignalError

_SHOWN = 60


def text_of(body: bytes, source: str) -> str:
    """The text of an answer.

    Raises:
        SignalError: it is empty or not UTF-8.
    """
    if not body.strip():
        raise SignalError(source, "the answer is empty")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SignalError(source, f"not UTF-8 at byte {error.start}") from error


def json_of(body: bytes, source: str) -> Any:
    """The decoded JSON of an answer.

    Raises:
        SignalError: it is empty, a page for people, cut off, or otherwise not JSON.
    """
    text = text_of(body, source)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if re.match(r"\s*<(!doctype|html|head|\?xml)", text, re.IGNORECASE):
            raise SignalError(
                source, "a page in HTML or XML instead of JSON; is a proxy or login in between?"
            ) from error
        raise SignalError(source, f"not JSON, perhaps cut off ({_fault(error)})") from error


def mapping(value: Any, source: str, where: str = "the answer") -> dict[str, Any]:
    """The value, which must be an object.

    Raises:
        SignalError: it is not.
    """
    if not isinstance(value, dict):
        raise SignalError(source, f"{where} is {shown(value)}, not an object")
    return value


def listing(value: Any, source: str, where: str) -> list[Any]:
    """The value, which must be a list.

    Raises:
        SignalError: it is not.
    """
    if not isinstance(value, list):
        raise SignalError(source, f"{where} is {shown(value)}, not a list")
    return value


def number(value: Any, source: str, where: str) -> float:
    """The value as a finite number; a text of digits counts, true and null do not.

    Raises:
        SignalError: it is none.
    """
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str) or "_" in str(value)[:_SHOWN]:
            raise ValueError
        found = float(value)
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise SignalError(source, f"{where} is {shown(value)}, not a finite number")
    return found


def instant(value: Any, source: str, where: str) -> float:
    """Seconds since the epoch of an ISO time that tells its zone, such as 2026-03-29T00:00Z.

    Raises:
        SignalError: it is none.
    """
    moment = moment_of(value, source, where)
    if moment.tzinfo is None:
        raise SignalError(source, f"{where} {shown(value)} tells no time zone")
    return seconds_of(moment, source, where)


def moment_of(value: Any, source: str, where: str) -> datetime:
    """An ISO time, with or without its zone.

    Raises:
        SignalError: it is none.
    """
    try:
        if not isinstance(value, str):
            raise ValueError
        return datetime.fromisoformat(value.strip())
    except ValueError as error:
        raise SignalError(source, f"{where} is {shown(value)}, not a time such as 2026-03-29T00:00Z") from error


def seconds_of(moment: datetime, source: str, where: str) -> float:
    """Seconds since the epoch of a time with its zone.

    Raises:
        SignalError: before 1970 or beyond what can be told.
    """
    try:
        found = moment.timestamp()
    except (OverflowError, ValueError, OSError):
        found = -1.0
    if found < 0:
        raise SignalError(source, f"{where} {moment.isoformat():.40} is not a time after 1970")
    return found


def shown(value: Any) -> str:
    """A received value as it may stand in a message: short, on one line."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return ascii(value)[:_SHOWN]


def one_line(text: str, most: int = 200) -> str:
    """A received text as it may stand on a terminal: on one line, without what is not printable, cut off."""
    return "".join(character for character in " ".join(text[: 4 * most].split()) if character.isprintable())[:most]


def _fault(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    return "nested too deeply" if isinstance(error, RecursionError) else "a number too long"
