"""Label and field selectors, as queries write them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.fakes.kube.refusals import Refusal

Matches = Callable[[dict[str, Any]], bool]
_FIELDS = ("metadata.name", "metadata.namespace")


def selector(query: Mapping[str, str]) -> Matches:
    """What objects a query asks for: equality of labels, their presence, and of the name and the namespace.

    Raises:
        Refusal: the query selects by what this server does not know.
    """
    labels = [_label(term.strip()) for term in query.get("labelSelector", "").split(",") if term.strip()]
    fields = [_field(term.strip()) for term in query.get("fieldSelector", "").split(",") if term.strip()]
    return lambda found: all(term(found) for term in (*labels, *fields))


def _label(term: str) -> Matches:
    if " " in term:
        raise Refusal(400, f"the fake API server knows no set-based selectors: {term}")
    key, sign, value = term.partition("=")
    if not sign:
        return lambda found: key in _labels(found)
    if key.endswith("!"):
        return lambda found: _labels(found).get(key[:-1]) != value
    return lambda found: _labels(found).get(key) == value.removeprefix("=")


def _labels(found: dict[str, Any]) -> dict[str, str]:
    labels: dict[str, str] = found["metadata"].get("labels") or {}
    return labels


def _field(term: str) -> Matches:
    key, _, value = term.partition("=")
    if key not in _FIELDS:
        raise Refusal(400, f'field label not supported: "{key}"')
    part = key.removeprefix("metadata.")
    return lambda found: found["metadata"].get(part) == value.removeprefix("=")
