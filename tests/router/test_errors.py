"""Errors say what to do, and carry the exit code of the command line."""

from __future__ import annotations

import pytest

from router.errors import CertificateError, ListenError, RouterError, SettingsError, TableSourceError, WorkersError


def test_each_error_is_a_router_error_with_its_exit_code() -> None:
    errors: list[tuple[RouterError, int]] = [
        (SettingsError("wattroute.yaml:3: pools: required"), 2),
        (ListenError("127.0.0.1", 8080, "address in use"), 3),
        (CertificateError("router.tls.key_file", "a.key", "there is no such file"), 2),
        (TableSourceError("http://c/v1/allocation", "answered 503"), 1),
        (WorkersError("worker 0 does not start"), 4),
    ]
    assert [error.exit_code for error, _ in errors] == [code for _, code in errors]


def test_a_taken_port_is_named_with_its_remedy() -> None:
    with pytest.raises(RouterError, match=r"127\.0\.0\.1:8080: address in use; stop what holds the port"):
        raise ListenError("127.0.0.1", 8080, "address in use")


def test_a_unix_socket_that_cannot_be_had_is_named_with_its_remedy() -> None:
    with pytest.raises(RouterError, match=r"unix:/run/a\.sock: another process listens there; correct router\.listen"):
        raise ListenError("/run/a.sock", 0, "another process listens there")


def test_a_certificate_error_names_setting_and_file() -> None:
    error = CertificateError("router.tls.key_file", "/etc/a.key", "there is no such file")
    assert str(error) == "router.tls.key_file: /etc/a.key: there is no such file"
    assert (error.setting, error.path) == ("router.tls.key_file", "/etc/a.key")


def test_a_table_source_error_keeps_source_and_reason() -> None:
    error = TableSourceError("redis://r:6379/0", "connection refused")
    assert (error.source, error.reason) == ("redis://r:6379/0", "connection refused")
    assert "redis://r:6379/0: connection refused" in str(error)
