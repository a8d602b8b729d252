"""Keys of engines are followed as their files change."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.service.engine_headers import EngineHeaders
from router.contract import PoolId
from router.settings import PoolSettings

A, B = PoolId("a"), PoolId("b")


def pools(file: Path) -> list[PoolSettings]:
    told = [
        {"name": "a", "engine_key_file": str(file)},
        {"name": "b"},
        {"name": "c", "engine_key_env": "KEY_OF_C"},
    ]
    return [
        PoolSettings.model_validate({"precision": "bf16", "instances": [f"http://127.0.0.1:{n + 1}"], **each})
        for n, each in enumerate(told)
    ]


def test_each_pool_has_its_own_and_one_without_a_key_shows_none(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("first\n")
    headers = EngineHeaders(pools(file), {"KEY_OF_C": "third"})
    assert dict(headers) == {
        "a": {"authorization": "Bearer first"},
        "b": {},
        "c": {"authorization": "Bearer third"},
    }
    assert len(headers) == 3
    assert headers.get(PoolId("d"), {}) == {}


def test_a_key_that_is_replaced_is_followed_and_one_that_is_gone_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "key"
    file.write_text("first")
    headers = EngineHeaders(pools(file), {"KEY_OF_C": "third"})
    file.write_text("second")
    assert headers[A] == {"authorization": "Bearer second"}
    assert not caplog.records
    file.unlink()
    assert headers[A] == {"authorization": "Bearer second"}
    [told] = caplog.records
    assert "cannot be read" in told.__dict__["reason"]
    assert headers[B] == {}


def test_a_key_that_is_not_there_at_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'a': engine_key_file .*: cannot be read"):
        EngineHeaders(pools(tmp_path / "absent"), {"KEY_OF_C": "third"})
