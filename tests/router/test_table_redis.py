"""What the Redis source does without a Redis; with one, see tests/integration/test_redis_table.py."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random

import pytest
from aiohttp.test_utils import unused_port

from router.settings import TableSettings
from router.table_redis import RedisTableSource, without_credentials
from tests.fakes.routing import NOW_S
from tests.fakes.table_sink import RecordingSink


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@r:6379/0", "redis://r:6379/0"),
        ("rediss://user:p%40ss@r:6379/0", "rediss://r:6379/0"),
        ("redis://r:6379", "redis://r:6379"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_credentials_are_not_shown(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


async def test_an_unreachable_redis_is_logged_once_without_its_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "router.table_source")
    url = f"redis://:hunter2@127.0.0.1:{unused_port()}/0"
    sink = RecordingSink()
    source = RedisTableSource(
        url, TableSettings(redis_url=url), sink=sink, wall_s=lambda: NOW_S, rng=random.Random(1), password="hunter3"
    )
    task = asyncio.create_task(source.run())
    async with asyncio.timeout(20):
        while not caplog.records:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
    assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert caplog.messages == ["allocation not fetched"]
    assert "hunter" not in str(caplog.records[0].__dict__)
    assert sink.tables == []


async def test_an_address_redis_does_not_understand_is_trouble_and_no_crash(caplog: pytest.LogCaptureFixture) -> None:
    source = RedisTableSource(
        "ftp://r", TableSettings(), sink=RecordingSink(), wall_s=lambda: NOW_S, rng=random.Random(1)
    )
    task = asyncio.create_task(source.run())
    async with asyncio.timeout(20):
        while not caplog.records:
            await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
