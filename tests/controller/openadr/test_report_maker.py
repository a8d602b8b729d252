import logging

import pytest

from controller.model.capability import QosCost
from controller.openadr.messages import Version
from controller.openadr.report_inputs import Shed
from controller.openadr.times import read_moment, write_moment
from tests.controller.openadr.test_reporter import EACH_HOUR, HOURS, asked, step, told
from tests.fakes.vtn.reporting import inputs_of
from tests.fakes.vtn.server import interval


async def test_what_cannot_be_told_is_said_once(tmp_path, caplog):
    strange = {"payloadType": "STORAGE_CHARGE_LEVEL"}
    elsewhere = {"payloadType": "USAGE", "targets": ["south"]}
    with caplog.at_level(logging.WARNING):
        async with asked(tmp_path, strange, elsewhere, EACH_HOUR) as (vtn, site, sender):
            await step(site, sender, 3610)
            await step(site, sender, 3610)
            assert [name for name, _ in told(vtn)] == ["USAGE-2-0", "USAGE-2-1"]
            assert site.metric("report_refusals_total") == 1
    said = [record for record in caplog.records if record.message == "report that is asked for cannot be made"]
    assert ["'STORAGE_CHARGE_LEVEL' is not reported" in record.reason for record in said] == [True]


async def test_every_payload_type_that_is_asked_comes(tmp_path):
    kinds = ("USAGE", "DEMAND", "READING", "OPERATING_STATE", "SIMPLE_LEVEL", "DATA_QUALITY")
    asks = [{"payloadType": kind, "startInterval": 0, "numIntervals": 1} for kind in kinds]
    async with asked(tmp_path, *asks) as (vtn, site, sender):
        await step(site, sender, 3610)
        assert {name.split("-")[0]: value for name, value in told(vtn)} == {
            "USAGE": 20.0,
            "DEMAND": 20.0,
            "READING": 20.0,
            "OPERATING_STATE": "RUNNING_NORMAL",
            "SIMPLE_LEVEL": 0,
            "DATA_QUALITY": "OK",
        }


async def test_an_event_that_was_over_when_it_was_heard_is_not_acknowledged(tmp_path):
    async with asked(tmp_path, intervals=HOURS, acknowledges=True) as (vtn, site, sender):
        await step(site, sender, 10)
        assert vtn.reports() == []  # prices call for nothing
        maker = sender._parts.maker
        assert maker.make({}, Version.V3_1, inputs_of(site)) == 0


async def test_a_refused_event_is_answered_with_an_error_until_it_is_mended(tmp_path):
    percent = interval(0, "CONTROL_LEVEL_OFFSET_PERCENT", 0.2)
    async with asked(tmp_path, EACH_HOUR, intervals=(percent,), acknowledges=True) as (vtn, site, sender):
        await step(site, sender, 10)
        assert told(vtn) == [("OPERATING_STATE-now", "ERROR")]
        (event,) = vtn.store.kinds["events"]
        vtn.change_event(event, intervals=[interval(0, "IMPORT_CAPACITY_LIMIT", 12)])
        await site.poll(30)
        await step(site, sender, 10)
        assert told(vtn) == [("OPERATING_STATE-now", "RUNNING_CURTAILED")]
        vtn.change_event(event, intervals=[interval(0, "IMPORT_CAPACITY_LIMIT", "12")])
        await site.poll(30)
        assert site.limits_w() == [12_000.0]
        await step(site, sender, 10)
        assert told(vtn) == [("OPERATING_STATE-now", "ERROR")], "the change is not followed, and that is said"
        nothing = interval(0, "IMPORT_CAPACITY_LIMIT", 12, start="0001-01-01", duration="PT0S")
        vtn.change_event(event, intervals=[nothing])
        await site.poll(30)
        assert site.limits_w() == []
        await step(site, sender, 10)
        assert told(vtn) == [("OPERATING_STATE-now", "RUNNING_NORMAL")], "what was taken back is no error any more"


async def test_a_refused_event_for_others_is_not_answered(tmp_path):
    async with asked(tmp_path, acknowledges=True) as (vtn, site, sender):
        (program,) = vtn.store.kinds["programs"]
        vtn.store.create("events", {"programID": program, "intervals": "none", "targets": ["south"]})
        vtn.granted["ven-1"] = {"south"}
        await site.poll(30)
        await step(site, sender, 10)
        assert vtn.reports() == []


def hours_from(start_s, *ids):
    """Fields of an event of hours of prices, from a time on."""
    period = {"start": write_moment(start_s), "duration": "PT1H"}
    return {"intervalPeriod": period, "intervals": [interval(n, "PRICE", 0.1) for n in ids]}


async def test_reports_go_on_when_past_intervals_are_dropped_and_new_ones_come(tmp_path):
    async with asked(tmp_path, EACH_HOUR) as (vtn, site, sender):
        (event,) = vtn.store.kinds["events"]
        begin_s = site.clock.wall_s()
        vtn.change_event(event, **hours_from(begin_s, 0, 1, 2))
        await site.poll(1)
        await step(site, sender, 2 * 3600 + 10)
        vtn.change_event(event, **hours_from(begin_s + 2 * 3600, 2, 3, 4))
        await site.poll(1)
        for _ in range(3):
            await step(site, sender, 3610)
        found = {r["reportName"]: r["resources"][0]["intervals"][0] for r in vtn.reports()}
        assert list(found) == [f"USAGE-0-{n}" for n in range(5)]
        assert [each["id"] for each in found.values()] == [0, 1, 2, 3, 4]
        assert [read_moment(each["intervalPeriod"]["start"], "start") for each in found.values()] == [
            pytest.approx(begin_s + n * 3600, abs=1e-3) for n in range(5)
        ]


async def test_a_forecast_comes_before_what_it_tells_of_though_nobody_said_so(tmp_path):
    sheds = (Shed(30.0, 4000.0), Shed(30.0, 6000.0, None, QosCost.HELD))
    each = {"payloadType": "LOAD_SHED_DELTA_AVAILABLE"}
    async with asked(tmp_path, each, sheds=lambda now_s: sheds) as (vtn, site, sender):
        (event,) = vtn.store.kinds["events"]
        vtn.change_event(event, **hours_from(site.clock.wall_s() + 60, 0, 1))
        await site.poll(1)
        await step(site, sender, 70)
        (report,) = vtn.reports()
        first, second = report["resources"][0]["intervals"]
        assert second["payloads"][0] == {"type": "LOAD_SHED_DELTA_AVAILABLE", "values": [4.0]}
        assert 3.9 < first["payloads"][0]["values"][0] < 4.0, "some seconds of the first hour are gone"
        assert report["payloadDescriptors"][0]["readingType"] == "FORECAST"


async def test_a_report_of_the_programme_s_cost_tells_what_may_be_spent(tmp_path):
    sheds = (Shed(30.0, 4000.0), Shed(30.0, 6000.0, None, QosCost.HELD))
    each = {"payloadType": "LOAD_SHED_DELTA_AVAILABLE"}
    costs = {"shed_cost": {"dr": QosCost.HELD}}
    async with asked(tmp_path, each, sheds=lambda now_s: sheds, **costs) as (vtn, site, sender):
        (event,) = vtn.store.kinds["events"]
        vtn.change_event(event, **hours_from(site.clock.wall_s() + 60, 0, 1))
        await site.poll(1)
        await step(site, sender, 70)
        assert vtn.reports()[0]["resources"][0]["intervals"][1]["payloads"][0]["values"] == [6.0]


async def test_two_descriptors_that_are_the_same_each_have_their_report(tmp_path):
    async with asked(tmp_path, EACH_HOUR, EACH_HOUR) as (vtn, site, sender):
        await step(site, sender, 3610)
        assert [name for name, _ in told(vtn)] == ["USAGE-0-0", "USAGE-1-0"]


async def test_a_level_that_the_programme_does_not_know_is_answered_with_an_error(tmp_path):
    async with asked(tmp_path, intervals=(interval(0, "SIMPLE", 2),), acknowledges=True) as (vtn, site, sender):
        await step(site, sender, 10)
        assert site.limits_w() == []
        assert told(vtn) == [("OPERATING_STATE-now", "ERROR")]


async def test_each_event_is_told_of_itself_alone(tmp_path):
    limit = interval(0, "IMPORT_CAPACITY_LIMIT", 12)
    async with asked(tmp_path, intervals=(limit,), acknowledges=True) as (vtn, site, sender):
        (program,), (first,) = vtn.store.kinds["programs"], vtn.store.kinds["events"]
        second = vtn.add_event(program, limit, intervalPeriod={"start": "0001-01-01", "duration": "PT1H"})
        later = vtn.add_event(program, limit, intervalPeriod=hours_from(site.clock.wall_s() + 7200)["intervalPeriod"])
        await site.poll(1)
        site.book.opt_out("openadr:utility", first, "maintenance", site.clock.wall_s())
        await step(site, sender, 10)

        def states():
            return {r["eventID"]: r["resources"][0]["intervals"][0]["payloads"][0]["values"][0] for r in vtn.reports()}

        assert states() == {first: "RUNNING_OPTED_OUT", second: "RUNNING_CURTAILED", later: "RUNNING_NORMAL"}
        vtn.requests.clear()
        nothing = interval(0, "IMPORT_CAPACITY_LIMIT", 12, start="0001-01-01", duration="PT0S")
        vtn.change_event(second, intervals=[nothing])
        await site.poll(1)
        await step(site, sender, 10)
        told_of = [r for r in vtn.requests if r.startswith(("POST", "PUT")) and "reports" in r]
        assert len(told_of) <= 1, "what ends elsewhere is no news to the others"
