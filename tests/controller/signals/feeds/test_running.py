import asyncio
from random import Random

import pytest

from controller.background import Works
from controller.clock import SystemClock
from controller.errors import ConfigError
from controller.model.observation import Missing
from controller.signals.feeds.fetch import WebOptions
from controller.signals.feeds.mapped import MappedFeed, Mapping
from controller.signals.feeds.running import LiveSpec, running
from tests.fakes.feed_parts import NINE_S, RULES
from tests.fakes.http_stub import http_stub

MAPPING = Mapping("json", "0", "1", times="unix_s")


def spec(address: str, web: WebOptions | None) -> LiveSpec:
    return LiveSpec(MappedFeed(address, MAPPING, "usd_per_mwh", 1.0), RULES, web)


async def test_feeds_are_asked_in_the_background_until_the_end(tmp_path):
    path = tmp_path / "rates.json"
    path.write_text(f"[[{NINE_S}, 300]]")
    async with http_stub() as stub:
        stub.set("/prices", [[NINE_S, 41], [NINE_S + 3600, 42]])
        specs = {"price": spec(f"{stub.url}/prices", WebOptions()), "carbon": spec(f"file:{path}", None)}
        async with running(specs, SystemClock(), Random(0), Works(Random(0))) as feeds:
            while any(feed.state(0.0).answers == 0 for feed in feeds.values()):
                await asyncio.sleep(0.01)
            assert not isinstance(feeds["carbon"], Missing)
            tasks = asyncio.all_tasks()
        assert len(asyncio.all_tasks()) < len(tasks)
    assert stub.requests == ["GET /prices"]


async def test_a_file_of_tls_that_cannot_be_used_is_told_at_the_start(tmp_path):
    web = WebOptions(ca_file=tmp_path / "absent.pem")
    with pytest.raises(ConfigError, match=r"absent\.pem"):
        async with running({"price": spec("https://x", web)}, SystemClock(), Random(0), Works(Random(0))):
            pass
