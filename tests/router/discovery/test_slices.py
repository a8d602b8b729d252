"""EndpointSlices as the API documents them, and what they come to."""

from __future__ import annotations

from typing import Any

import pytest

from router.discovery.endpoint import Endpoint, Found
from router.discovery.slices import MAX_ENDPOINTS, find, read_slice
from tests.fakes.kube.samples import endpoint, endpoint_slice


def found(*slices: dict[str, Any], port: str | int | None = None) -> Found:
    return find([read_slice(each) for each in slices], port)


def names(some: Found) -> list[str]:
    return [each.name for each in some.ready]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"ready": True, "serving": True, "terminating": False}, (1, 0, 0)),
        ({"ready": None}, (1, 0, 0)),
        ({"ready": False, "serving": False, "terminating": False}, (0, 0, 1)),
        ({"ready": False, "serving": True, "terminating": True}, (0, 1, 0)),
        ({"ready": False, "serving": False, "terminating": True}, (0, 0, 1)),
        # A Service with publishNotReadyAddresses says ready of pods that end.
        ({"ready": True, "serving": True, "terminating": True}, (0, 1, 0)),
        # A server that does not tell serving means what it says of ready.
        ({"ready": True, "serving": None, "terminating": True}, (0, 1, 0)),
    ],
)
def test_conditions(conditions: dict[str, Any], expected: tuple[int, int, int]) -> None:
    some = found(endpoint_slice("s", endpoint("10.0.0.1", "a", **conditions)))
    assert (len(some.ready), some.draining, some.unready) == expected


def test_a_slice_without_conditions_endpoints_or_ports() -> None:
    bare = endpoint_slice("s", {"addresses": ["10.0.0.1"]})
    assert found(bare).ready == (Endpoint("", "10.0.0.1", 8000),)
    empty = {"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": None, "ports": None}
    assert found(empty) == Found(())
    assert found() == Found(())


def test_engines_of_several_slices_are_in_the_order_of_their_names() -> None:
    some = found(
        endpoint_slice("s-2", endpoint("10.0.0.9", "a"), ports={"http": 9000}),
        endpoint_slice("s-1", endpoint("10.0.0.1", "c"), endpoint("10.0.0.2", "b")),
    )
    assert some.ready == (
        Endpoint("a", "10.0.0.9", 9000),
        Endpoint("b", "10.0.0.2", 8000),
        Endpoint("c", "10.0.0.1", 8000),
    )


@pytest.mark.parametrize("families", [("IPv4", "IPv6"), ("IPv6", "IPv4")])
def test_a_pod_with_two_families_counts_once_by_its_ipv4_address(families: tuple[str, str]) -> None:
    hosts = {"IPv4": "10.0.0.1", "IPv6": "fd00::1"}
    slices = [endpoint_slice(f"s-{n}", endpoint(hosts[f], "a"), family=f) for n, f in enumerate(families)]
    assert found(*slices).ready == (Endpoint("a", "10.0.0.1", 8000),)


def test_a_pod_with_ipv6_alone() -> None:
    some = found(endpoint_slice("s", endpoint("fd00::1", "a"), family="IPv6"))
    assert some.ready == (Endpoint("a", "fd00::1", 8000),)


def test_an_endpoint_in_two_slices_is_ending_if_one_says_so() -> None:
    ready = endpoint_slice("s-1", endpoint("10.0.0.1", "a"))
    for ending in ({"ready": False, "serving": True, "terminating": True}, {"ready": False, "terminating": True}):
        other = endpoint_slice("s-2", endpoint("10.0.0.1", "a", **ending))
        assert found(ready, other).ready == found(other, ready).ready == ()
    other = endpoint_slice("s-2", endpoint("10.0.0.1", "a", ready=False))
    assert names(found(ready, other)) == ["a"], "a slice that lags behind while the endpoint is moved"


def test_a_pod_that_follows_another_of_its_name_is_not_held_for_it() -> None:
    old = endpoint("10.0.0.1", "vllm-0", ready=False, serving=True, terminating=True)
    new = endpoint("10.0.0.2", "vllm-0")
    old["targetRef"]["uid"], new["targetRef"]["uid"] = "u-1", "u-2"
    some = found(endpoint_slice("s", old, new))
    assert (some.ready, some.draining) == ((Endpoint("vllm-0", "10.0.0.2", 8000),), 1)


def test_one_address_is_one_engine() -> None:
    assert len(found(endpoint_slice("s", endpoint("10.0.0.1", "a"), endpoint("10.0.0.1", "b"))).ready) == 1


def test_an_endpoint_that_is_no_pod_has_no_name() -> None:
    node = endpoint("10.0.0.1")
    node["targetRef"] = {"kind": "Node", "name": "n"}
    assert found(endpoint_slice("s", node)).ready == (Endpoint("", "10.0.0.1", 8000),)


@pytest.mark.parametrize(("port", "number"), [("http", 8000), ("metrics", 9400), (7000, 7000)])
def test_a_port_by_name_or_number(port: str | int, number: int) -> None:
    some = found(endpoint_slice("s", endpoint("10.0.0.1", "a"), ports={"http": 8000, "metrics": 9400}), port=port)
    assert some.ready == (Endpoint("a", "10.0.0.1", number),)


def test_the_only_tcp_port_needs_no_name() -> None:
    one = endpoint_slice("s", endpoint("10.0.0.1", "a"), ports={"": 8000})
    one["ports"].append({"name": "quic", "port": 8443, "protocol": "UDP"})
    assert found(one).ready[0].port == 8000


def test_a_port_that_no_slice_has_is_told_with_those_there_are() -> None:
    one = endpoint_slice("s", endpoint("10.0.0.1", "a"))
    with pytest.raises(ValueError, match=r"no TCP port called 'grpc'; it has http \(8000\)"):
        found(one, port="grpc")
    two = endpoint_slice("s", endpoint("10.0.0.1", "a"), ports={"http": 8000, "grpc": 9000})
    with pytest.raises(ValueError, match=r"not one TCP port, but http \(8000\), grpc \(9000\); write"):
        found(two)


def test_a_slice_without_the_port_is_left_out_where_another_has_it() -> None:
    some = found(
        endpoint_slice("s-1", endpoint("10.0.0.1", "old")),
        endpoint_slice("s-2", endpoint("10.0.0.2", "new"), ports={"api": 8001}),
        port="api",
    )
    assert names(some) == ["new"]
    assert "s-1 has no TCP port called 'api'" in some.problems[0]
    assert some.left_out == 1


def test_of_a_slice_that_cannot_be_used_only_ready_engines_that_no_other_has_are_left_out() -> None:
    some = found(
        endpoint_slice("s-1", endpoint("10.0.0.1", "both"), endpoint("10.0.0.3", "not-yet", ready=False)),
        endpoint_slice("s-2", endpoint("10.0.0.1", "both"), ports={"api": 8001}),
        endpoint_slice("s-3", endpoint("example.org"), endpoint("example.net"), family="FQDN"),
        port="api",
    )
    assert names(some) == ["both"]
    assert (some.left_out, len(some.problems)) == (2, 2)


def test_names_of_hosts_are_no_addresses() -> None:
    with pytest.raises(ValueError, match="addresses of type 'FQDN'"):
        found(endpoint_slice("s", endpoint("example.org"), family="FQDN"))


def test_more_engines_than_a_pool_may_have_are_cut_and_told() -> None:
    many = [endpoint(f"10.0.{n // 250}.{n % 250}", f"p-{n:04}") for n in range(MAX_ENDPOINTS + 3)]
    some = found(endpoint_slice("s", *many))
    assert (len(some.ready), some.ready[-1].name) == (MAX_ENDPOINTS, f"p-{MAX_ENDPOINTS - 1:04}")
    assert "the first 512 by name" in some.problems[0]
    assert some.left_out == 3


@pytest.mark.parametrize("bad", [{}, {"metadata": {}}, {"metadata": {"name": "s"}, "endpoints": [1]}])
def test_what_is_no_slice_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not an EndpointSlice"):
        read_slice(bad)


def test_those_that_are_not_ready_yet_are_told_by_name_and_those_that_end_are_not() -> None:
    not_yet = {"ready": False, "serving": False, "terminating": False}
    some = found(
        endpoint_slice(
            "s",
            endpoint("10.0.0.1", "b", **not_yet),
            endpoint("10.0.0.2", "a", **not_yet),
            endpoint("10.0.0.3", "c", ready=False, serving=False, terminating=True),
            endpoint("10.0.0.4", "d"),
        )
    )
    assert some.starting == (Endpoint("a", "10.0.0.2", 8000), Endpoint("b", "10.0.0.1", 8000))
    assert some.unready == 3
