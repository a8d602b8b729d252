"""Lists and events, and what they add up to."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.discovery.slices import read_slice
from router.discovery.watch_cache import MAX_OBJECTS, WatchCache
from router.errors import DiscoveryError

WORDS = st.sampled_from(
    ["metadata", "name", "resourceVersion", "ready", "kind", "uid", "code", "message", "terminating"]
)


def read(found: Mapping[str, Any]) -> int:
    if "value" not in found:
        raise ValueError("no value")
    return int(found["value"])


def item(name: str, value: int, version: int = 1) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, "value": value}


def event(kind: str, found: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": found}


@pytest.fixture
def cache() -> WatchCache[int]:
    some = WatchCache("/things", read)
    some.replace([item("a", 1), item("b", 2)], "10")
    return some


def test_events_change_what_the_list_told(cache: WatchCache[int]) -> None:
    changed = [
        cache.apply(event("MODIFIED", item("a", 5, 11))),
        cache.apply(event("ADDED", item("c", 3, 12))),
        cache.apply(event("DELETED", item("b", 2, 13))),
        cache.apply(event("DELETED", item("b", 2, 14))),
    ]
    assert changed == [True, True, True, False]
    assert (cache.objects, cache.version) == ({"a": 5, "c": 3}, "14")


def test_a_bookmark_moves_the_version_alone(cache: WatchCache[int]) -> None:
    assert cache.apply(event("BOOKMARK", {"metadata": {"resourceVersion": "90"}})) is False
    assert (cache.objects, cache.version) == ({"a": 1, "b": 2}, "90")


def test_what_a_later_list_does_not_name_is_gone(cache: WatchCache[int]) -> None:
    cache.replace([item("b", 7)], "20")
    assert (cache.objects, cache.version) == ({"b": 7}, "20")


def test_a_version_that_is_too_old_is_forgotten_and_the_objects_stay(cache: WatchCache[int]) -> None:
    with pytest.raises(DiscoveryError, match="too old") as caught:
        cache.apply(event("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"}))
    assert (caught.value.status, cache.version, cache.objects) == (410, None, {"a": 1, "b": 2})


def test_another_error_keeps_the_version(cache: WatchCache[int]) -> None:
    with pytest.raises(DiscoveryError, match="etcd is away"):
        cache.apply(event("ERROR", {"kind": "Status", "code": 500, "message": "etcd is away"}))
    assert cache.version == "10"


@pytest.mark.parametrize(
    "bad", [{}, {"type": "ADDED"}, event("RENAMED", item("a", 1)), event("ADDED", {"metadata": {}})]
)
def test_what_cannot_be_read_is_refused(cache: WatchCache[int], bad: dict[str, Any]) -> None:
    with pytest.raises(DiscoveryError, match="/things"):
        cache.apply(bad)
    assert cache.objects == {"a": 1, "b": 2}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.sampled_from(["", "a", "8000", "IPv4"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=12,
)


METADATA = st.fixed_dictionaries({"name": st.just("a")}, optional={"resourceVersion": JSON})
ENDPOINT = st.fixed_dictionaries({}, optional={"addresses": JSON, "conditions": JSON, "targetRef": JSON})
PORT = st.fixed_dictionaries({}, optional={"port": JSON, "name": JSON, "protocol": JSON})
OBJECT = st.fixed_dictionaries(
    {"metadata": METADATA | JSON},
    optional={"endpoints": st.lists(ENDPOINT | JSON, max_size=2) | JSON, "ports": st.lists(PORT | JSON, max_size=2)},
)


@given(found=OBJECT | JSON, kind=st.sampled_from(["ADDED", "DELETED", "BOOKMARK", "ERROR"]))
def test_whatever_a_server_sends_is_taken_or_refused_by_name(found: Any, kind: str) -> None:
    slices = WatchCache("/things", read_slice)
    with contextlib.suppress(DiscoveryError):
        slices.apply({"type": kind, "object": found})
    with contextlib.suppress(DiscoveryError):
        slices.replace([found], "1")


def test_there_is_a_most(cache: WatchCache[int]) -> None:
    with pytest.raises(DiscoveryError, match="narrow the selector"):
        cache.replace([item(str(n), n) for n in range(MAX_OBJECTS + 1)], "30")
    assert (len(cache.objects), cache.version) == (2, "10")
    cache.replace([item(str(n), n) for n in range(MAX_OBJECTS)], "30")
    cache.apply(event("MODIFIED", item("0", 1, 31)))
    with pytest.raises(DiscoveryError, match="narrow the selector"):
        cache.apply(event("ADDED", item("new", 1, 32)))
