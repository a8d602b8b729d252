"""Where the table comes from."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.settings_files import load, refused


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"table": {"url": "http://c/t", "redis_url": "redis://r"}}, "both set"),
        ({"table": {"url": "ftp://c/t"}}, "http://HOST:PORT/v1/allocation"),
        ({"table": {"url": "controller:8090"}}, "http://HOST:PORT/v1/allocation"),
        ({"table": {"url": "http://user:hunter2/x@c:8090/t"}}, "http://HOST:PORT/v1/allocation"),
        ({"table": {"url": "http://user:p@c:8090/t"}}, "unencrypted; write https://"),
        ({"table": {"redis_url": "http://r"}}, "redis://HOST:PORT/DB"),
        ({"table": {"url": "http://c/t", "tls": {"ca_file": "ca.pem"}}}, "not at https:// or rediss://"),
        ({"table": {"tls": {"ca_file": "ca.pem"}}}, "not at https:// or rediss://"),
        ({"table": {"redis_url": "redis://r/allocation"}}, "'allocation' is no number of a database"),
        ({"table": {"redis_url": "redis:///0", "sentinels": ["s:26379"]}}, "names no master; write redis://MASTER/DB"),
        ({"table": {"redis_key": ""}}, "'' is no key"),
        (
            {"table": {"redis_key": "wattroute allocation"}},
            "'wattroute allocation' is no key; write one without spaces",
        ),
        ({"table": {"redis_key": "wattroute:allocation\n"}}, "is no key"),
        ({"table": {"poll_interval_s": 60, "max_ttl_s": 60}}, "max_ttl_s 60 is not above poll_interval_s 60"),
    ],
)
def test_a_wrong_value_is_refused_with_its_remedy(over: dict[str, Any], said: str) -> None:
    assert said in refused(**over)


@pytest.mark.parametrize("url", ["redis://r:6379/0", "rediss://r", "unix:///run/redis.sock"])
def test_addresses_redis_understands_are_accepted(url: str) -> None:
    assert load(table={"redis_url": url}).table.redis_url == url


@pytest.mark.parametrize("key", ["wattroute:allocation", "{east}:allocation", "m\u00fcnchen"])
def test_keys_redis_and_its_users_rights_can_name_are_accepted(key: str) -> None:
    assert load(table={"redis_key": key}).table.redis_key == key


@pytest.mark.parametrize("source", [{"url": "https://c/t"}, {"redis_url": "rediss://r:6379/0"}])
def test_a_source_behind_tls_may_say_whom_to_believe(source: dict[str, str]) -> None:
    table = load(table={**source, "tls": {"ca_file": "ca.pem"}}).table
    assert table.tls is not None
    assert str(table.tls.ca_file) == "ca.pem"


@pytest.mark.parametrize("url", ["https://user:p@c/t", "http://user:p@127.0.0.1:8090/t", "http://c:8090/t"])
def test_credentials_for_a_table_go_over_tls_or_within_this_machine(url: str) -> None:
    assert load(table={"url": url}).table.url == url
