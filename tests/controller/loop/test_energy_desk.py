import dataclasses

import pytest
from prometheus_client import CollectorRegistry

from controller.actuators.rates_board import RatesBoard
from controller.errors import ActuationError
from controller.lifecycle.joules import JoulePolicy
from controller.loop.energy_desk import RATES_TTL_S, DeskParts, EnergyDesk, open_book
from controller.metrics.energy import EnergyMetrics
from controller.model.observation import Missing, Quality, Reading, RouterObservation, SpentTokens
from router.contract_rates import decode_rates
from tests.fakes.controller_parts import NOW_S, observation, site

SITE = site()


class Store:
    def __init__(self, failure=None):
        self.put, self.failure = [], failure

    async def put_rates(self, body, ttl_s):
        if self.failure:
            raise self.failure
        self.put.append((body, ttl_s))


def look(second, output=0.0):
    """An observation in which every GPU has drawn 500 W, and bf16-0 made tokens."""
    base = observation()
    uuids = [uuid for pool in SITE.pools for each in pool.instances for uuid in each.gpu_uuids]
    at_s = NOW_S + second
    return dataclasses.replace(
        base,
        now_s=at_s,
        instances=tuple(
            dataclasses.replace(
                each,
                observed_at_s=at_s,
                running=int(each.instance_id == "bf16-0"),
                generation_tokens=output if each.instance_id == "bf16-0" else 0.0,
            )
            for each in base.instances
        ),
        gpu_power=tuple((uuid, Reading(500.0, 500.0 * second, at_s, "nvml", Quality.DIRECT)) for uuid in uuids),
        router=RouterObservation(at_s, 1, (), spent=(SpentTokens("bf16-0", "standard", 0.0, output),)),
        price_usd_per_mwh=Missing("price", "none", at_s),
    )


def desk(folder, store=None, now_s=NOW_S):
    opened = open_book(folder, SITE, JoulePolicy(settle_s=10.0), now_s)
    registry = CollectorRegistry()
    parts = DeskParts(opened.book, EnergyMetrics(registry), RatesBoard(), opened.file, "shared", store)
    return EnergyDesk(parts), parts, registry


async def played(one, seconds=12):
    records = []
    for second in range(seconds):
        record = one.take(look(second, 100.0 * second))
        records += [] if record is None else [record]
        await one.tell(NOW_S + second)
    return records


async def test_routers_are_told_rates_that_expire(tmp_path):
    store = Store()
    one, parts, _ = desk(tmp_path, store)
    await played(one)
    rates = decode_rates(parts.board.current(NOW_S + 12).body)
    assert rates.expires_at_s == NOW_S + 11 + RATES_TTL_S
    assert parts.board.current(NOW_S + 11 + RATES_TTL_S) is None
    by_name = {rate.instance_id: rate for rate in rates.rates}
    # bf16-0 makes 100 tokens a second; its pool of two instances draws 2 kW.
    assert by_name["bf16-0"].decode_j == pytest.approx(20.0, rel=1e-3)
    assert (by_name["bf16-0"].quality, by_name["bf16-1"].quality) == ("direct", "estimated")
    assert store.put[-1] == (parts.board.current(NOW_S + 12).body, RATES_TTL_S)


DECODED = (
    "wattroute_controller_attributed_energy_joules_total",
    {"pool": "bf16", "class": "standard", "phase": "decode"},
)


async def test_a_settlement_is_recorded_and_the_next_process_goes_on_from_it(tmp_path):
    one, _, _ = desk(tmp_path)
    (record,) = await played(one, seconds=16)  # settled at 10 s, killed at 15 s
    assert record["metered_j"]["bf16"] == pytest.approx(20_000.0)
    again, later, _ = desk(tmp_path, now_s=NOW_S + 18)
    assert dict(later.book.totals.shares) != {}
    assert again.take(look(18, 1800.0)) is None  # 8 s after the settlement
    after = again.take(look(21, 2100.0))
    assert (after["began_s"], after["ended_s"]) == (NOW_S + 10, NOW_S + 21)
    assert after["metered_j"]["bf16"] == pytest.approx(22_000.0)
    assert sum(row["output_tokens"] for row in after["classes"]) == 1100.0


async def test_counters_begin_at_zero_and_leave_out_what_a_former_process_may_have_shown(tmp_path):
    one, _, shown = desk(tmp_path)
    await played(one, seconds=16)
    assert shown.get_sample_value(*DECODED) > 0
    again, _, registry = desk(tmp_path, now_s=NOW_S + 18)
    assert registry.get_sample_value(*DECODED) == 0.0
    again.take(look(18, 1800.0))
    assert registry.get_sample_value(*DECODED) == 0.0
    again.take(look(19, 1900.0))
    assert 0.0 < registry.get_sample_value(*DECODED) <= 2_000.0


async def test_a_process_that_ends_keeps_all_that_it_booked(tmp_path):
    one, _, _ = desk(tmp_path)
    await played(one, seconds=16)
    record = one.close()
    assert (record["began_s"], record["ended_s"]) == (NOW_S + 10, NOW_S + 15)
    again, _, _ = desk(tmp_path, now_s=NOW_S + 18)
    again.take(look(18, 1800.0))
    assert again.take(look(25, 2500.0))["began_s"] == NOW_S + 15


@pytest.mark.parametrize("now_s", [NOW_S + 10 + 911, NOW_S - 60])
async def test_what_was_drawn_in_too_long_a_gap_is_nobodys_and_told(tmp_path, caplog, now_s):
    one, _, _ = desk(tmp_path)
    await played(one)
    caplog.clear()
    opened = open_book(tmp_path, SITE, JoulePolicy(settle_s=10.0), now_s)
    assert not opened.book.is_catching_up
    assert dict(opened.book.totals.shares) != {}
    assert "has a gap" in caplog.text


def test_nothing_is_settled_at_an_end_before_anything_was_seen(tmp_path):
    one, _, _ = desk(tmp_path)
    assert one.close() is None


async def test_a_redis_that_fails_costs_neither_record_nor_totals(tmp_path):
    one, parts, _ = desk(tmp_path, Store(ActuationError("redis", "gone")))
    records = []
    for second in range(12):
        record = one.take(look(second, 100.0 * second))
        records += [] if record is None else [record]
        with pytest.raises(ActuationError):
            await one.tell(NOW_S + second)
    assert len(records) == 1
    assert parts.board.current(NOW_S + 12) is not None
    assert dict(open_book(tmp_path, SITE, JoulePolicy(), NOW_S).book.totals.shares)


def test_a_file_that_cannot_be_read_is_set_aside(tmp_path, caplog):
    (tmp_path / "energy.json").write_text("{")
    book = open_book(tmp_path, SITE, JoulePolicy(), NOW_S).book
    assert book.totals.shares == ()
    assert (tmp_path / "energy.json.unreadable").exists()
    assert "begins at zero" in caplog.text


async def test_nothing_is_told_before_anything_was_seen(tmp_path):
    one, parts, _ = desk(tmp_path)
    await one.tell(NOW_S)
    assert parts.board.current(NOW_S) is None
