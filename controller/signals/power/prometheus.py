"""Queries to a Prometheus, by its HTTP API.

An instant query of a plain expression answers with the time of the query, not with that of the samples behind it: a
value that was scraped five minutes ago then looks new. A range selector, `metric[1m]`, answers with the samples as they
were scraped, each with its own time; that is what power is read by.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.errors import SignalError
from controller.signals.power.http_access import HttpAccess

MAX_SERIES = 65_536
MAX_POINTS = 1_000_000
_RANGE = re.compile(r"\[\s*[0-9a-z]+\s*\]\s*$")
_TOLD_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer: its labels and (time, value) points, oldest first; values are finite."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


def has_sample_times(query: str) -> bool:
    """Whether a query answers with raw samples and their own times: a range selector such as ``metric[1m]``."""
    return _RANGE.search(query) is not None


class Prometheus:
    """A Prometheus, or what speaks its API."""

    def __init__(self, access: HttpAccess, url: str) -> None:
        self._access = access
        self._url = url.rstrip("/") + "/api/v1/query"

    async def query(self, query: str) -> tuple[Series, ...]:
        """Series of an instant query; points that are NaN or infinite are left out.

        Raises:
            SignalError: no answer, Prometheus refuses the query, or the answer is malformed.
        """
        status, body = await self._access.get(self._url, {"query": query})
        try:
            answer = json.loads(body)
            if not isinstance(answer, dict):
                raise ValueError("an object is expected")
        except (ValueError, RecursionError) as error:
            reason = self._access.refusal(status) if status != 200 else f"not the API of a Prometheus ({error})"
            raise SignalError(self._url, reason) from error
        if answer.get("status") != "success":
            told = str(answer.get("error", self._access.refusal(status)))[:_TOLD_CHARACTERS]
            raise SignalError(self._url, f"query {query[:_TOLD_CHARACTERS]!r}: {told}")
        try:
            return read_series(answer.get("data"))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise SignalError(self._url, f"query {query[:_TOLD_CHARACTERS]!r}: malformed answer ({error})") from error


def read_series(data: Any) -> tuple[Series, ...]:
    """Series of a query's ``data``.

    Raises:
        ValueError, TypeError, KeyError, AttributeError, OverflowError: it is malformed, or too large.
    """
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        return (Series({}, _points([result])),)
    if kind not in ("vector", "matrix"):
        raise ValueError(f"resultType is {kind!r:.40}, vector or matrix is expected")
    if len(result) > MAX_SERIES:
        raise ValueError(f"more than {MAX_SERIES} series")
    out: list[Series] = []
    count = 0
    for entry in result:
        pairs = entry["values"] if kind == "matrix" else [entry["value"]]
        count += len(pairs)
        if count > MAX_POINTS:
            raise ValueError(f"more than {MAX_POINTS} points; query a shorter range")
        labels = {str(key): str(value) for key, value in entry["metric"].items()}
        out.append(Series(labels, _points(pairs)))
    return tuple(out)


def _points(pairs: list[Any]) -> tuple[tuple[float, float], ...]:
    points = ((float(at_s), float(value)) for at_s, value in pairs)
    return tuple((at_s, value) for at_s, value in points if math.isfinite(value) and math.isfinite(at_s))
