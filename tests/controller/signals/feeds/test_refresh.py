import asyncio
from dataclasses import dataclass, field, replace
from random import Random

import pytest

from controller.clock import VirtualClock
from controller.errors import FeedRefused, SignalError
from controller.model.grid import Series
from controller.signals.feeds.live import LiveFeed
from controller.signals.feeds.outlook import Interval, Outlook, outlook
from controller.signals.feeds.refresh import FIRST_S, Refresher
from tests.fakes.feed_parts import NINE_S, RULES, CannedWeb


@dataclass
class Scripted:
    """A publisher that does what stands in its list; the last again and again."""

    script: list
    source: str = "market"
    asked_s: list[float] = field(default_factory=list)

    async def ask(self, web, now_s: float) -> Outlook:
        self.asked_s.append(now_s)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, Exception):
            raise step
        return outlook([Interval(now_s, now_s + 7200, step, now_s)], "usd_per_mwh", "market")


def refresher(*script, **rules) -> Refresher:
    feed = LiveFeed("price_usd_per_mwh", "market", replace(RULES, **rules))
    return Refresher(feed, Scripted(list(script)), CannedWeb({}), VirtualClock(NINE_S), Random(1))


async def test_an_answer_is_handed_over_and_the_next_question_waits():
    one = refresher(42.0)
    wait_s = await one.once()
    assert one.feed.read(NINE_S).at(NINE_S) == 42.0
    assert wait_s == pytest.approx(900.0, rel=0.1)
    assert wait_s != 900.0


async def test_failures_back_off_up_to_the_usual_wait_and_success_ends_them():
    one = refresher(*[SignalError("market", "no")] * 12, 1.0, SignalError("market", "no"))
    waits = [await one.once() for _ in range(12)]
    for n, wait_s in enumerate(waits):
        whole_s = min(900.0, FIRST_S * 2**n)
        assert whole_s / 2 <= wait_s <= whole_s
    await one.once()
    assert await one.once() <= FIRST_S


async def test_a_refused_secret_is_not_tried_faster():
    one = refresher(FeedRefused("market", "status 401", 401))
    assert await one.once() == 900.0


async def test_a_publisher_that_asks_for_time_gets_it():
    one = refresher(FeedRefused("market", "status 429", 429, retry_after_s=1800.0))
    assert await one.once() == 1800.0


async def test_an_insane_answer_counts_as_a_failure():
    one = refresher(50.0, 1e6)
    await one.once()
    await one.once()
    assert one.feed.state(NINE_S).errors == 1
    assert one.feed.read(NINE_S).at(NINE_S) == 50.0


async def test_a_fault_of_our_own_ends_neither_task_nor_series(caplog):
    one = refresher(50.0, KeyError("made-up secret"))
    await one.once()
    await one.once()
    assert one.feed.state(NINE_S).error == "KeyError within the feed"
    assert isinstance(one.feed.read(NINE_S), Series)
    assert "feed has a fault" in caplog.text


async def test_a_secret_in_a_reason_is_taken_out():
    one = refresher(SignalError("market", "no such key: hunter22"))
    one.web.hide("hunter22")
    await one.once()
    assert one.feed.state(NINE_S).error == "no such key: ***"


async def test_it_goes_on_until_it_is_cancelled():
    one = refresher(SignalError("elsewhere", "no"), 7.0)
    task = asyncio.get_running_loop().create_task(one.run())
    while len(one.provider.asked_s) < 5:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert one.feed.state(NINE_S).answers >= 3
    assert one.provider.asked_s[1] - NINE_S <= FIRST_S
