"""Names, addresses and durations of the configuration file."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.settings_files import load, pool, refused


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"pools": [pool(name="BF16")]}, "lower-case"),
        ({"pools": [pool(name="a" * 64)]}, "1 to 63"),
        ({"pools": [pool(instances=["ftp://h:1"])]}, "http://HOST:PORT, https://HOST:PORT or unix:/PATH"),
        ({"pools": [pool(instances=["http://h"])]}, "http://HOST:PORT"),
        ({"pools": [pool(instances=["http://h:99999"])]}, "no usable address"),
        ({"pools": [pool(instances=["unix:vllm.sock"])]}, "an absolute path"),
        ({"router": {"listen": "/run/router.sock"}}, "write unix:/PATH"),
        ({"router": {"listen_mode": 0o660}}, 'in quotes, such as "0660"'),
        ({"router": {"listen_mode": "660"}}, "four octal digits"),
        ({"table": {"redis_url": "rediss://r?ssl_cert_reqs=none"}}, "the files under tls"),
        ({"pools": [pool(instances=["http://h:1/v1"])]}, "more than host and port"),
        ({"pools": [pool(instances=["http://u:p@h:1"])]}, "more than host and port"),
        ({"table": {"poll_interval_s": float("inf")}}, "finite"),
        ({"router": {"port": 70_000}}, "less than or equal to 65535"),
    ],
)
def test_a_wrong_value_is_refused_with_its_remedy(over: dict[str, Any], said: str) -> None:
    assert said in refused(**over)


@pytest.mark.parametrize("url", ["http://h:1", "https://h:1", "http://[::1]:8000", "unix:/run/vllm.sock"])
def test_each_way_to_an_engine_can_be_written(url: str) -> None:
    assert load(pools=[pool(instances=[url])]).pools[0].instances[0].url == url


def test_an_ipv6_address_to_listen_on_may_stand_in_brackets() -> None:
    assert load(router={"host": "[::1]", "admin_host": "::"}).router.host == "::1"


def test_a_socket_to_listen_on_is_for_its_group_unless_said_otherwise() -> None:
    router = load(router={"listen": "unix:/run/wattroute.sock"}).router
    assert (router.listen, router.listen_mode) == ("unix:/run/wattroute.sock", "0660")


def test_a_trailing_slash_of_an_engine_is_dropped() -> None:
    settings = load(pools=[pool(instances=["http://h:1/"])])
    assert settings.pools[0].instances[0].url == "http://h:1"
