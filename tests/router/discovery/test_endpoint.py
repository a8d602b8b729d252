"""Endpoints as text, and in order."""

from __future__ import annotations

from router.discovery.endpoint import Endpoint


def test_an_address_is_written_as_a_url_has_it() -> None:
    assert Endpoint("a", "10.0.0.1", 8000).address == "10.0.0.1:8000"
    assert Endpoint("a", "fd00::1", 8000).address == "[fd00::1]:8000"


def test_endpoints_are_in_the_order_of_their_names() -> None:
    b, a = Endpoint("b", "10.0.0.1", 8000), Endpoint("a", "10.0.0.2", 8000)
    assert sorted([b, a]) == [a, b]
