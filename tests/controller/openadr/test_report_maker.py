import logging

from controller.openadr.messages import Version
from tests.controller.openadr.test_reporter import EACH_HOUR, HOURS, asked, step, told
from tests.fakes.vtn.reporting import inputs_of


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
