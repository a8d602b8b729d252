"""Which addresses of Redis are taken, and where a password may be sent."""

from __future__ import annotations

import pytest

from router.transport.loopback import without_credentials
from router.transport.redis_address import (
    as_user,
    check_redis_url,
    is_private_redis,
    master_name,
    refuse_readable_password,
    without_password,
)

PRIVATE = [
    "rediss://user:hunter2@redis.example:6379/0",
    "redis://:hunter2@127.0.0.1:6379/0",
    "redis://user@[::1]:6379",
    "redis://:hunter2@localhost/0",
    "redis://:hunter2@/0",
    "unix://:hunter2@/run/redis.sock?db=1",
    "unix:///run/redis@1.sock",
    "redis:///0",
    "rediss://user:a%2Fhunter2@redis.example:6379/0",
]
READABLE = ["redis://redis.example:6379/0", "redis://10.0.0.7", "redis://localhost.evil.example", "redis://127.1/0"]


@pytest.mark.parametrize("url", PRIVATE)
def test_credentials_may_go_over_tls_or_within_this_machine(url: str) -> None:
    assert check_redis_url(url) == url
    assert is_private_redis(url)
    refuse_readable_password(url, "hunter2")


@pytest.mark.parametrize("url", READABLE)
def test_another_machine_without_tls_gets_no_credentials(url: str) -> None:
    assert check_redis_url(url) == url, "plans alone may go"
    refuse_readable_password(url, None)
    refuse_readable_password(url, "")
    for held in (url.replace("//", "//:hunter2@"), url.replace("//", "//hunter2@"), url.replace("//", "//a:hunter2@")):
        with pytest.raises(
            ValueError, match=r"credentials in the address would go there unencrypted; write rediss://, or give"
        ) as caught:
            check_redis_url(held)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(ValueError, match=r"table\.redis_url: .*: REDIS_PASSWORD would go there .*rediss://") as caught:
        refuse_readable_password(url, "hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://:hunter2@r", "write redis://HOST:PORT/DB"),
        ("redis://:hunter2/x@r", "write redis://HOST:PORT/DB"),
        ("redis://[:hunter2@r", "write redis://HOST:PORT/DB"),
        ("redis://r?password=hunter2", "into REDIS_PASSWORD"),
        ("redis://127.0.0.1?host=hunter2", "before the query"),
        ("unix:///run/redis.sock?username=hunter2", "before the query"),
        ("rediss://r?ssl_cert_reqs=hunter2", "the files under tls"),
        ("rediss://:p@x/hunter2@r:6379/0", "written %2F"),
        ("rediss://:1234#hunter2@r:6379/0", "written %2F"),
        ("redis://:1234?hunter2@r:6379/0", "written %2F"),
        ("unix://:1234?hunter2@/run/redis.sock", "written %2F"),
        ("redis://r/name", "'name' is no number of a database; write redis://HOST:PORT/0"),
        ("redis://r/0/1", "'0/1' is no number of a database"),
        ("redis://r/-1", "'-1' is no number of a database"),
        ("redis://r/0?db=name", "'name' is no number of a database"),
        ("unix:///run/redis.sock?db=", "'' is no number of a database"),
        ("redis://r:0/0", "write redis://HOST:PORT/DB"),
        ("redis://r/0?hunter2=1", "only client_name, db, health_check_interval, protocol may stand"),
        ("redis://r/0?max_connections=1", "only client_name, db"),
        ("redis://r/0?protocol=three", "protocol is 'three', which is no number"),
        ("unix://run/redis.sock", "write unix:///PATH"),
        ("unix://", "write unix:///PATH"),
    ],
)
def test_what_is_no_address_is_refused_without_showing_it(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        check_redis_url(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        "redis://r",
        "redis://r/",
        "redis://r:6379/3/",
        "redis://r?db=3&protocol=3&client_name=east&health_check_interval=30",
    ],
)
def test_a_database_is_a_number_and_options_that_change_nothing_else_are_taken(url: str) -> None:
    assert check_redis_url(url) == url


@pytest.mark.parametrize(
    ("url", "name"),
    [("rediss://u:p@MyMaster/0", "MyMaster"), ("redis://mymaster:6379", "mymaster"), ("redis:///0", "")],
)
def test_a_masters_name_is_read_in_its_own_letters(url: str, name: str) -> None:
    assert master_name(url) == name


@pytest.mark.parametrize(
    ("url", "shown", "kept"),
    [
        ("redis://:secret@r:6379/0", "redis://r:6379/0", "redis://@r:6379/0"),
        ("rediss://user:p@ss@r:6379/0", "rediss://r:6379/0", "rediss://user@r:6379/0"),
        ("redis://r:6379", "redis://r:6379", "redis://r:6379"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_credentials_are_not_shown_and_a_password_is_taken_out(url: str, shown: str, kept: str) -> None:
    assert without_credentials(url) == shown
    assert without_password(url) == kept


@pytest.mark.parametrize(
    ("url", "as_seen"),
    [
        ("rediss://r:6380/0", "rediss://a%2Fb@r:6380/0"),
        ("rediss://own:word@r/1", "rediss://a%2Fb:word@r/1"),
        ("rediss://:word@[::1]:6379/1", "rediss://a%2Fb:word@[::1]:6379/1"),
        ("unix:///run/redis.sock?db=1", "unix://a%2Fb@/run/redis.sock?db=1"),
    ],
)
def test_another_user_takes_the_place_of_the_address_user(url: str, as_seen: str) -> None:
    assert as_user(url, "a/b") == as_seen
