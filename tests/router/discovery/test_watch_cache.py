"""Lists and events, and what they add up to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from router.discovery.watch_cache import MAX_OBJECTS, WatchCache
from router.errors import DiscoveryError


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


def test_there_is_a_most(cache: WatchCache[int]) -> None:
    with pytest.raises(DiscoveryError, match="narrow the selector"):
        cache.replace([item(str(n), n) for n in range(MAX_OBJECTS + 1)], "30")
    assert (len(cache.objects), cache.version) == (2, "10")
    cache.replace([item(str(n), n) for n in range(MAX_OBJECTS)], "30")
    cache.apply(event("MODIFIED", item("0", 1, 31)))
    with pytest.raises(DiscoveryError, match="narrow the selector"):
        cache.apply(event("ADDED", item("new", 1, 32)))
