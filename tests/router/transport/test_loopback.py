import pytest

from router.transport.loopback import is_loopback, is_loopback_address, is_loopback_host, is_private, refuse_readable

OWN = ("127.0.0.1", "127.8.9.1", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::ffff:7f00:1")
OTHERS = (
    "", None, "0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "::ffff:0.0.0.0", "fe80::1", "fe80::1%eth0", "2130706433",
    "127.1", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1:80", "[::1]", " 127.0.0.1",
)  # fmt: skip


@pytest.mark.parametrize("address", OWN)
def test_own_addresses_are_known_however_they_are_written(address):
    assert is_loopback_address(address)
    assert is_loopback(address)


@pytest.mark.parametrize("address", OTHERS)
def test_others_and_what_is_no_address_are_not(address):
    assert not is_loopback_address(address)
    assert not is_loopback(address)


def test_of_names_only_the_one_that_every_machine_has_is_its_own():
    assert is_loopback("localhost")
    assert not is_loopback_address("localhost")
    assert not is_loopback("localhost.example")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_host_header_may_hold_a_port(host):
    assert is_loopback_host(host)
    assert is_loopback_host(f"{host}:9420")


@pytest.mark.parametrize("host", ["", ":80", "10.0.0.1:80", "[fe80::1]", "::1", "localhost.example:80", "[]:80"])
def test_a_host_header_that_names_another_machine_or_none_is_not_its_own(host):
    assert not is_loopback_host(host)


@pytest.mark.parametrize("url", ["https://grid.example", "http://127.0.0.1:9090/x", "http://[::1]:1"])
def test_a_secret_may_be_sent_where_nobody_reads_along(url):
    assert is_private(url)
    refuse_readable([url, "unix:/run/zeusd.sock"], "token_file")


@pytest.mark.parametrize(
    "url", ["http://grid.example", "http://10.0.0.7:9090", "http://localhost.evil.example", "ftp://x", ""]
)
def test_a_secret_that_others_could_read_is_refused_with_the_remedy(url):
    with pytest.raises(ValueError, match="token_file would go there unencrypted; write https://, or give an address"):
        refuse_readable(["https://first.example", url], "token_file")


def test_a_refusal_shows_no_credentials_of_the_address():
    with pytest.raises(ValueError, match=r"'http://grid\.example/x': token_file would go") as caught:
        refuse_readable(["http://user:hunter2@grid.example/x"], "token_file")
    assert "hunter2" not in str(caught.value)
