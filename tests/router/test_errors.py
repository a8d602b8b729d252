"""Errors say what to do, and carry the exit code of the command line."""

from __future__ import annotations

import pytest

from router.errors import ListenError, RouterError, SettingsError, TableSourceError, WorkersError


def test_each_error_is_a_router_error_with_its_exit_code() -> None:
    errors: list[tuple[RouterError, int]] = [
        (SettingsError("wattroute.yaml:3: pools: required"), 2),
        (ListenError("127.0.0.1", 8080, "address in use"), 3),
        (TableSourceError("http://c/v1/allocation", "answered 503"), 1),
        (WorkersError("worker 0 does not start"), 4),
    ]
    assert [error.exit_code for error, _ in errors] == [code for _, code in errors]


def test_a_taken_port_is_named_with_its_remedy() -> None:
    with pytest.raises(RouterError, match=r"127\.0\.0\.1:8080: address in use; stop what holds the port"):
        raise ListenError("127.0.0.1", 8080, "address in use")


def test_a_table_source_error_keeps_source_and_reason() -> None:
    error = TableSourceError("redis://r:6379/0", "connection refused")
    assert (error.source, error.reason) == ("redis://r:6379/0", "connection refused")
    assert "redis://r:6379/0: connection refused" in str(error)
