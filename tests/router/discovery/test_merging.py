"""Settings with what was found."""

from __future__ import annotations

from typing import Any

from router.discovery.endpoint import Endpoint
from router.discovery.merging import merge, without_found
from router.settings import FOUND, RouterFile
from tests.fakes.settings_files import pool


def file(*pools: dict[str, Any]) -> RouterFile:
    return RouterFile.model_validate({"pools": list(pools)})


def discovered(name: str, precision: str = "fp8", **over: Any) -> dict[str, Any]:
    return {"name": name, "precision": precision, "discovery": {"kind": "kubernetes", "service": name, **over}}


def listed(settings: RouterFile) -> list[list[tuple[str | None, str]]]:
    return [[(each.name, each.url) for each in pool.instances] for pool in settings.pools]


def test_found_instances_are_called_by_their_pods_and_listed_ones_stay() -> None:
    settings = file(pool(), discovered("fast"))
    merged = merge(settings, {"fast": (Endpoint("p-1", "10.0.0.1", 8000), Endpoint("", "fd00::1", 8000))})
    assert listed(merged.settings) == [
        [(None, "http://127.0.0.1:9001")],
        [("p-1", "http://10.0.0.1:8000"), ("[fd00::1]:8000", "http://[fd00::1]:8000")],
    ]
    assert merged.settings.pools[1].names() == ("p-1", "[fd00::1]:8000")
    assert merged.left_out == {}


def test_a_pool_of_which_nothing_is_known_has_no_instance() -> None:
    assert listed(merge(file(discovered("fast")), {}).settings) == [[]]


def test_the_scheme_is_the_pools() -> None:
    merged = merge(file(discovered("fast", scheme="https")), {"fast": (Endpoint("p", "10.0.0.1", 8443),)})
    assert listed(merged.settings) == [[("p", "https://10.0.0.1:8443")]]


def test_a_name_that_is_taken_gets_the_port_and_then_the_address() -> None:
    settings = file(discovered("one"), discovered("two"), discovered("three"))
    found = {
        "one": (Endpoint("p", "10.0.0.1", 8000),),
        "two": (Endpoint("p", "10.0.0.1", 8001),),
        "three": (Endpoint("p", "10.9.0.1", 8001),),
    }
    names = [pool.names() for pool in merge(settings, found).settings.pools]
    assert names == [("p",), ("p:8001",), ("10.9.0.1:8001",)]


def test_a_listed_name_is_not_taken_by_a_pod() -> None:
    merged = merge(file(pool(), discovered("fast")), {"fast": (Endpoint("bf16-0", "10.0.0.1", 8000),)})
    assert merged.settings.pools[1].names() == ("bf16-0:8000",)


def test_an_address_that_another_pool_has_is_left_to_it() -> None:
    settings = file(pool(instances=["http://10.0.0.1:8000"]), discovered("fast"), discovered("other"))
    found = {
        "fast": (Endpoint("a", "10.0.0.1", 8000), Endpoint("b", "10.0.0.2", 8000)),
        "other": (Endpoint("b", "10.0.0.2", 8000),),
    }
    merged = merge(settings, found)
    assert [pool.names() for pool in merged.settings.pools] == [("bf16-0",), ("b",), ()]
    assert merged.left_out == {
        "fast": ("10.0.0.1:8000 is an instance of another pool already",),
        "other": ("10.0.0.2:8000 is an instance of another pool already",),
    }


def test_what_is_no_address_is_left_out() -> None:
    merged = merge(file(discovered("fast")), {"fast": (Endpoint("a", "10.0.0.1/x", 8000),)})
    assert listed(merged.settings) == [[]]
    assert "10.0.0.1/x:8000 cannot be used" in merged.left_out["fast"][0]


def test_workers_read_what_was_found_from_json() -> None:
    settings = file(pool(), discovered("fast"), discovered("empty"))
    merged = merge(settings, {"fast": (Endpoint("p-1", "10.0.0.1", 8000),)}).settings
    assert RouterFile.model_validate_json(merged.model_dump_json(), context=FOUND) == merged


def test_what_the_file_says_is_found_again() -> None:
    settings = file(pool(), discovered("fast"))
    merged = merge(settings, {"fast": (Endpoint("p-1", "10.0.0.1", 8000),)}).settings
    assert without_found(merged) == settings
