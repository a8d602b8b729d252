from random import Random

import pytest

from controller.background import Works
from controller.clock import VirtualClock
from controller.model.grid import SeriesQuality
from controller.service.feed_memory import FILE_NAME, FeedMemory
from controller.signals.feeds.live import Condition, LiveFeed
from controller.signals.feeds.outlook import Interval, outlook
from tests.fakes.feed_parts import NINE_S, RULES

PRICE = "price_usd_per_mwh"


def feed() -> LiveFeed:
    return LiveFeed(PRICE, "market", RULES)


def told():
    intervals = [
        Interval(NINE_S + 3600 * n, NINE_S + 3600 * n + 3600, 10.0 * n - 5, NINE_S, NINE_S - 60) for n in range(30)
    ]
    return outlook(intervals, PRICE, "market", "a remark")


async def test_a_restart_goes_on_from_what_was_told_at_its_age(tmp_path):
    first = feed()
    async with FeedMemory(tmp_path / "data", {PRICE: (first, "one")}).kept(VirtualClock(NINE_S), Works(Random(0))):
        first.take(told(), NINE_S)
    later_s = NINE_S + 2 * 3600
    second = feed()
    async with FeedMemory(tmp_path / "data", {PRICE: (second, "one")}).kept(VirtualClock(later_s), Works(Random(0))):
        series = second.read(later_s)
        assert (series.at(later_s), series.quality, series.issued_at_s) == (15.0, SeriesQuality.PUBLISHED, NINE_S - 60)
        assert (second.state(later_s).age_s, second.state(later_s).condition) == (7200.0, Condition.STALE)
        assert second.state(later_s).answers == 0


async def test_another_configuration_does_not_take_it_up(tmp_path):
    first, second = feed(), feed()
    first.take(told(), NINE_S)
    FeedMemory(tmp_path, {PRICE: (first, "one")}).save()
    FeedMemory(tmp_path, {PRICE: (second, "two")}).take_up(NINE_S)
    assert second.known is None


def test_what_was_kept_after_the_clock_was_set_back_is_not_from_the_future(tmp_path):
    first, second = feed(), feed()
    first.take(told(), NINE_S)
    FeedMemory(tmp_path, {PRICE: (first, "one")}).save()
    FeedMemory(tmp_path, {PRICE: (second, "one")}).take_up(NINE_S - 500)
    assert second.state(NINE_S).age_s == 500.0


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100])
def test_a_damaged_file_is_told_and_set_aside(tmp_path, caplog, content):
    (tmp_path / FILE_NAME).write_bytes(content)
    one = feed()
    FeedMemory(tmp_path, {PRICE: (one, "one")}).take_up(NINE_S)
    assert one.known is None
    assert "feeds not restored" in caplog.text
    assert (tmp_path / f"{FILE_NAME}.unreadable").exists()


def test_what_has_not_changed_is_not_written_again(tmp_path):
    one = feed()
    one.take(told(), NINE_S)
    memory = FeedMemory(tmp_path, {PRICE: (one, "one")})
    memory.save()
    (tmp_path / FILE_NAME).unlink()
    memory.save()
    assert not (tmp_path / FILE_NAME).exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    one = feed()
    one.take(told(), NINE_S)
    FeedMemory(tmp_path / "file", {PRICE: (one, "one")}).save()
    assert "feeds were not kept" in caplog.text


async def test_without_a_live_feed_nothing_is_written(tmp_path):
    async with FeedMemory(tmp_path, {}).kept(VirtualClock(NINE_S), Works(Random(0))):
        pass
    assert not list(tmp_path.iterdir())
