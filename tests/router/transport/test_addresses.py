import pytest

from router.transport.addresses import EngineAddress, is_number, parse_engine, shown, unix_path


@pytest.mark.parametrize(
    ("text", "address", "is_tls"),
    [
        ("http://engine:8000", ("engine", 8000), False),
        ("http://engine:8000/", ("engine", 8000), False),
        ("https://engine.local:443", ("engine.local", 443), True),
        ("http://[::1]:8000", ("::1", 8000), False),
        ("https://[2001:db8::7]:8443", ("2001:db8::7", 8443), True),
        ("http://[fe80::1%eth0]:8000", ("fe80::1%eth0", 8000), False),
        ("unix:/run/vllm/0.sock", ("/run/vllm/0.sock", 0), False),
    ],
)
def test_addresses_are_taken_apart(text: str, address: tuple[str, int], is_tls: bool) -> None:
    assert parse_engine(text) == EngineAddress(address, is_tls)


@pytest.mark.parametrize(
    "text",
    [
        "engine:8000",
        "http://engine",
        "http://engine:0",
        "http://engine:99999",
        "http://engine:8000/v1",
        "http://engine:8000?x=1",
        "http://user:secret@engine:8000",
        "http://@engine:8000",
        "http://[::1:8000",
        "ftp://engine:8000",
        "https://:8000",
        "",
        "unix:run/vllm.sock",
        "unix://run/",
        "unix:",
        "unix:@abstract",
    ],
)
def test_what_is_no_address_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ValueError, match=r"write (http://HOST:PORT|unix:/PATH)"):
        parse_engine(text)


@pytest.mark.parametrize("host", ["vllm..llm.svc", ".llm.svc", "llm.svc..", "10..0.1", "a" * 64 + ".svc", "é" * 60])
def test_a_host_that_no_resolver_takes_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"1 to 63 characters.* write http://HOST:PORT"):
        parse_engine(f"http://{host}:8000")


@pytest.mark.parametrize("host", ["a" * 63 + ".svc", "llm.svc.", "münchen.example"])
def test_a_host_that_a_resolver_takes_is_an_address(host: str) -> None:
    assert parse_engine(f"http://{host}:8000").host == host


def test_a_socket_and_a_host_can_be_told_apart() -> None:
    assert parse_engine("unix:/run/a").is_unix
    assert not parse_engine("http://a:1").is_unix
    assert parse_engine("http://a:1").host == "a"


def test_a_path_that_the_system_would_cut_is_refused() -> None:
    assert unix_path("unix:/" + "x" * 106) == "/" + "x" * 106
    with pytest.raises(ValueError, match="107 bytes"):
        unix_path("unix:/" + "ü" * 54)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%eth0"])
def test_numbers_need_no_look_up(host: str) -> None:
    assert is_number(host)


@pytest.mark.parametrize("host", ["localhost", "engine-0.engines.svc", "10.example"])
def test_names_do(host: str) -> None:
    assert not is_number(host)


def test_addresses_are_shown_as_one_writes_them() -> None:
    assert shown("::1", 80) == "[::1]:80"
    assert shown("host", 80) == "host:80"
    assert shown("/run/a.sock", 0) == "unix:/run/a.sock"
