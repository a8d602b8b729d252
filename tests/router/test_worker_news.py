"""What a parent learns once and tells all its workers."""

from __future__ import annotations

import asyncio

from router import contract
from router.contract import AllocationTable, InstanceId
from router.contract_rates import EnergyRate, EnergyRates, decode_rates
from router.fleet import EngineLoad
from router.settings import TableSettings
from router.worker_messages import Probe, Probes, Rates, Share, Table, TableConfirmed, ToWorker, read_by_worker
from router.worker_news import News
from tests.fakes.routing import NOW_S, table

LOAD = EngineLoad(running=3, waiting=1, kv_cache_usage_frac=0.25, awake=True)
ONE, TWO = InstanceId("bf16-0"), InstanceId("bf16-1")


class Told:
    """A worker's standard input."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.news = News(TableSettings(max_ttl_s=60.0), self.lines.append)

    def messages(self) -> list[ToWorker]:
        found = [read_by_worker(line) for line in self.lines]
        self.lines.clear()
        return found

    async def probes(self) -> list[Probe]:
        async with asyncio.timeout(10):
            while not self.lines:
                await asyncio.sleep(0.005)
        (message,) = self.messages()
        assert isinstance(message, Probes)
        return list(message.probes)


def read(message: ToWorker) -> AllocationTable:
    assert isinstance(message, Table)
    return contract.decode(bytes(message.table))


def caught_up(news: News, now_s: float = NOW_S) -> list[ToWorker]:
    return [read_by_worker(line) for line in news.catch_up(now_s).splitlines()]


async def test_probes_that_come_together_are_told_together_and_once() -> None:
    told = Told()
    told.news.probed(ONE, ok=True, load=LOAD, now_s=NOW_S)
    told.news.probed(TWO, ok=False, load=None, now_s=NOW_S)
    assert await told.probes() == [Probe(ONE, True, LOAD), Probe(TWO, False, None)]
    told.news.probed(ONE, ok=False, load=None, now_s=NOW_S)
    assert await told.probes() == [Probe(ONE, False, None)]


async def test_a_worker_that_starts_later_is_told_the_last_of_each_instance() -> None:
    told = Told()
    assert caught_up(told.news) == [Probes(())]
    told.news.probed(ONE, ok=False, load=None, now_s=NOW_S)
    told.news.probed(TWO, ok=False, load=None, now_s=NOW_S)
    told.news.probed(ONE, ok=True, load=LOAD, now_s=NOW_S)
    assert caught_up(told.news) == [Probes((Probe(ONE, True, LOAD), Probe(TWO, False, None)))]


async def test_under_other_settings_what_engines_said_is_told_to_none() -> None:
    told = Told()
    told.news.probed(ONE, ok=True, load=None, now_s=NOW_S)
    told.news.reconfigure(TableSettings())
    assert caught_up(told.news) == [Probes(())]
    told.news.probed(TWO, ok=True, load=None, now_s=NOW_S)
    assert await told.probes() == [Probe(TWO, True, None)]


def test_a_table_is_told_once_and_then_confirmed() -> None:
    told = Told()
    new = table({"standard": {"bf16": 1.0}}, sequence=7, caps={"bf16-0": 5}, draining=("bf16-1",))
    assert told.news.apply_table(new, NOW_S)
    assert not told.news.apply_table(new, NOW_S + 1)
    first, second = told.messages()
    assert read(first) == new
    assert second == TableConfirmed()


def test_a_table_that_is_refused_is_told_to_none_and_counted() -> None:
    told = Told()
    told.news.apply_table(table({"standard": {"bf16": 1.0}}, sequence=7), NOW_S)
    told.messages()
    assert not told.news.apply_table(table({"standard": {"bf16": 1.0}}, sequence=6), NOW_S)
    assert not told.news.apply_table(table({"standard": {"fp8": 1.0}}, sequence=7), NOW_S)
    assert not told.news.apply_table(table(sequence=8, ttl_s=1.0), NOW_S + 2)
    told.news.refuse_table("malformed")
    assert told.messages() == []
    assert told.news.refused == {"older": 1, "altered": 1, "expired": 1, "malformed": 1}


def test_a_worker_that_starts_later_obeys_the_table_of_the_others_until_it_expires() -> None:
    told = Told()
    new = table({"standard": {"bf16": 1.0}}, sequence=7, ttl_s=30.0)
    told.news.apply_table(new, NOW_S)
    first, probes = caught_up(told.news, NOW_S + 29)
    assert read(first) == new
    assert probes == Probes(())
    assert caught_up(told.news, NOW_S + 31) == [Probes(())]


def test_energy_rates_are_told_and_a_worker_that_starts_later_has_them() -> None:
    told = Told()
    rates = EnergyRates(NOW_S, NOW_S + 30, "shared", (EnergyRate(ONE, 0.01, 0.5, "direct"),))
    told.news.apply_rates(rates, NOW_S)
    (message,) = told.messages()
    assert isinstance(message, Rates)
    assert decode_rates(bytes(message.rates)) == rates
    assert [type(each) for each in caught_up(told.news)] == [Rates, Probes]
    told.news.reconfigure(TableSettings())
    assert [type(each) for each in caught_up(told.news)] == [Probes]


def test_the_share_of_caps_is_told_where_it_changes_and_a_worker_that_starts_later_has_it() -> None:
    told = Told()
    told.news.apply_share(1.0)
    assert told.messages() == []
    assert [type(each) for each in caught_up(told.news)] == [Probes]
    for share in (0.25, 0.25, 0.5):
        told.news.apply_share(share)
    assert told.messages() == [Share(0.25), Share(0.5)]
    assert caught_up(told.news)[0] == Share(0.5)


async def test_what_instances_that_stay_have_said_is_told_to_a_worker_that_starts_later() -> None:
    told = Told()
    told.news.probed(ONE, ok=True, load=LOAD, now_s=NOW_S)
    told.news.probed(TWO, ok=True, load=LOAD, now_s=NOW_S)
    told.news.keep({TWO})
    assert [type(message) for message in told.messages()] == [Probes], "before the instances change, not after"
    assert caught_up(told.news) == [Probes((Probe(TWO, True, LOAD),))]


async def test_a_load_that_the_controller_told_hides_from_no_later_worker_how_the_last_probe_ended() -> None:
    told = Told()
    told.news.probed(ONE, ok=False, load=None, now_s=NOW_S)
    told.news.probed(ONE, ok=None, load=LOAD, now_s=NOW_S)
    told.news.probed(TWO, ok=None, load=LOAD, now_s=NOW_S)
    *_, line = told.news.catch_up(NOW_S).splitlines()
    assert read_by_worker(line) == Probes((Probe(ONE, False, LOAD), Probe(TWO, None, LOAD)))
    await asyncio.sleep(0.1)
    (message,) = told.messages()
    assert message == Probes((Probe(ONE, False, None), Probe(ONE, None, LOAD), Probe(TWO, None, LOAD)))
