"""Answers of publishers, damaged: cut off, with bytes changed, or with other values in their places."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("2026-03-29T09:00Z")
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def damaged(body: bytes) -> st.SearchStrategy[bytes]:
    """The body as it might come over a bad line or from a publisher that changed its mind."""
    cut = st.integers(0, len(body)).map(lambda end: body[:end])
    spoilt = st.tuples(st.integers(0, len(body) - 1), st.binary(max_size=4)).map(
        lambda at: body[: at[0]] + at[1] + body[at[0] + len(at[1]) :]
    )
    if not body.lstrip().startswith((b"{", b"[")):
        return cut | spoilt | st.binary(max_size=60)
    return cut | spoilt | st.binary(max_size=60) | _changed(body)


def _changed(body: bytes) -> st.SearchStrategy[bytes]:
    paths = list(_paths(json.loads(body)))
    return st.tuples(st.sampled_from(paths), _VALUES).map(lambda change: _with(body, *change))


def _paths(value: Any, above: tuple[Any, ...] = ()) -> Any:
    yield above
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _paths(item, (*above, key))


def _with(body: bytes, path: tuple[Any, ...], value: Any) -> bytes:
    answer = json.loads(body)
    if not path:
        return json.dumps(value).encode()
    place = answer
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(answer).encode()
