import contextlib

import pytest
from aiohttp import web

from controller.errors import StoreError
from controller.openadr.reporter import TICK_S
from tests.fakes.vtn.follower import follower
from tests.fakes.vtn.reporting import reporter
from tests.fakes.vtn.server import fake_vtn, interval

VERSIONS = ("3.1.0", "3.0.1")
EACH_HOUR = {"payloadType": "USAGE", "startInterval": 0, "numIntervals": 1, "frequency": 1, "repeat": -1}
HOURS = tuple(interval(n, "PRICE", 0.1) for n in range(6))
PERIOD = {"start": "0001-01-01T00:00:00Z", "duration": "PT1H"}
FAULTS = {403: web.HTTPForbidden, 500: web.HTTPInternalServerError}
PRICED = [{"payloadType": "PRICE", "units": "KWH", "currency": "USD"}]


@contextlib.asynccontextmanager
async def asked(folder, *descriptors, version="3.1.0", intervals=HOURS, **changes):
    """A site whose VTN has an event of six hours that asks for reports."""
    async with fake_vtn(version) as vtn, follower(vtn, folder) as site:
        vtn.add_event(
            vtn.add_program(),
            *intervals,
            intervalPeriod=PERIOD,
            reportDescriptors=list(descriptors),
            payloadDescriptors=PRICED,
        )
        await site.poll()
        sender, queue = reporter(site, folder, **changes)
        yield vtn, site, sender
        queue.close()


async def step(site, sender, later_s):
    site.clock.advance(later_s)
    await sender.step()


def told(vtn):
    return sorted(
        (r["reportName"], r["resources"][0]["intervals"][0]["payloads"][0]["values"][0]) for r in vtn.reports()
    )


@pytest.mark.parametrize("version", VERSIONS)
async def test_reports_come_on_the_schedule_that_is_asked(tmp_path, version):
    async with asked(tmp_path, EACH_HOUR, version=version) as (vtn, site, sender):
        await step(site, sender, 3600)
        assert vtn.reports() == []  # the last readings of the hour are still to come
        await step(site, sender, 10)
        assert told(vtn) == [("USAGE-0-0", 20.0)]
        (first,) = vtn.reports()
        assert first["clientName"] == "ven-1"
        assert first["resources"][0]["resourceName"] == "hall-a"
        assert ("programID" in first) is (version == "3.0.1")
        await step(site, sender, 5 * 3600)
        assert told(vtn) == [(f"USAGE-0-{n}", 20.0) for n in range(6)]
        await step(site, sender, 50 * 3600)
        assert len(vtn.reports()) == 6
        assert site.metric("reports_total", outcome="sent") == 6
        assert site.metric("report_values_total", quality="OK") == 6
        assert site.metric("reports_waiting") == 0


@pytest.mark.parametrize("kind", [503, 429, "malformed"])
async def test_an_outage_loses_nothing_and_doubles_nothing(tmp_path, kind):
    async with asked(tmp_path, EACH_HOUR) as (vtn, site, sender):
        fault = vtn.fail("POST /reports", kind)
        for _ in range(3):
            await step(site, sender, 3610)
        assert site.metric("reports_waiting") == 3
        assert site.metric("reports_total", outcome="failed") >= 3
        assert fault.times < 1_000_000
        vtn.mend()
        await step(site, sender, 400)
        assert told(vtn) == [(f"USAGE-0-{n}", 20.0) for n in range(3)]


async def test_a_report_that_was_taken_though_the_answer_was_lost_is_not_made_twice(tmp_path):
    async with asked(tmp_path, EACH_HOUR) as (vtn, site, sender):
        vtn.lose_answers("POST /reports", 1)
        await step(site, sender, 3610)
        assert len(vtn.reports()) == 1
        assert site.metric("reports_waiting") == 1
        await step(site, sender, 400)
        assert site.metric("reports_waiting") == 0
        assert told(vtn) == [("USAGE-0-0", 20.0)]
        assert any(request.startswith("PUT /reports/") for request in vtn.requests)


async def test_what_falls_due_while_the_process_is_down_is_made_after(tmp_path):
    async with asked(tmp_path, EACH_HOUR) as (vtn, site, sender):
        vtn.fail("POST /reports", 503)
        await step(site, sender, 3610)
        vtn.mend()
        site.clock.advance(2 * 3600)
        second, queue = reporter(site, tmp_path)
        await second.step()
        assert told(vtn) == [(f"USAGE-0-{n}", 20.0) for n in range(3)]
        await second.step()
        third, other = reporter(site, tmp_path)
        await third.step()
        assert len(vtn.reports()) == 3
        queue.close()
        other.close()


async def test_a_vtn_that_has_one_already_gets_it_changed(tmp_path):
    async with asked(tmp_path, EACH_HOUR) as (vtn, site, sender):
        (event,) = vtn.store.kinds["events"]
        content = {"eventID": event, "clientName": "ven-1", "reportName": "USAGE-0-0", "resources": []}
        vtn.store.create("reports", content, clientID="ven-1")
        vtn.fail("POST /reports", 409, times=1)
        await step(site, sender, 3610)
        assert told(vtn) == [("USAGE-0-0", 20.0)]


async def test_a_report_refused_for_good_does_not_hold_up_the_others(tmp_path):
    async with asked(tmp_path, EACH_HOUR) as (vtn, site, sender):
        vtn.fail("POST /reports", 400, times=1)
        await step(site, sender, 2 * 3600 + 10)
        assert [name for name, _ in told(vtn)] == ["USAGE-0-1"]
        assert site.metric("reports_total", outcome="refused") == 1
        assert site.metric("reports_waiting") == 0


@pytest.mark.parametrize("status", [403, 500])
async def test_an_event_whose_reports_are_not_taken_does_not_hold_up_those_on_others(tmp_path, caplog, status):
    async with asked(tmp_path, EACH_HOUR) as (vtn, site, sender):
        (first,) = vtn.store.kinds["events"]
        (program,) = vtn.store.kinds["programs"]
        asks = {"reportDescriptors": [EACH_HOUR], "payloadDescriptors": PRICED, "intervalPeriod": PERIOD}
        second = vtn.add_event(program, *HOURS, **asks)
        await site.poll()
        is_mended, read = [], vtn._content

        async def content(kind, request, client):
            found = await read(kind, request, client)
            if kind == "reports" and found["eventID"] == first and not is_mended:
                raise FAULTS[status](text="not on this one")
            return found

        vtn._content = content
        await step(site, sender, 2 * 3600 + 10)
        tried = sum(request.startswith("POST /reports") for request in vtn.requests)
        for _ in range(60):
            await step(site, sender, TICK_S)
        assert [(r["eventID"], r["reportName"]) for r in vtn.reports()] == [
            (second, "USAGE-0-0"),
            (second, "USAGE-0-1"),
        ]
        assert site.metric("reports_waiting") == 2
        assert sum("reports on an event wait" in record.message for record in caplog.records) == 1
        assert 3 <= sum(request.startswith("POST /reports") for request in vtn.requests) - tried <= 18
        is_mended.append(True)
        await step(site, sender, 600)
        assert [r["reportName"] for r in vtn.reports() if r["eventID"] == first] == ["USAGE-0-0", "USAGE-0-1"]
        assert site.metric("reports_waiting") == 0


async def test_a_server_that_takes_no_report_on_any_event_is_left_alone(tmp_path, caplog):
    async with asked(tmp_path, EACH_HOUR) as (vtn, site, sender):
        (program,) = vtn.store.kinds["programs"]
        asks = {"reportDescriptors": [EACH_HOUR], "payloadDescriptors": PRICED, "intervalPeriod": PERIOD}
        for _ in range(9):
            vtn.add_event(program, *HOURS, **asks)
        await site.poll()
        vtn.fail("POST /reports", 500)
        await step(site, sender, 3610)
        assert sum(request.startswith("POST /reports") for request in vtn.requests) == 3
        assert "reports wait: the VTN does not take them" in caplog.text
        vtn.mend()
        await step(site, sender, 600)
        assert len(vtn.reports()) == 10


async def test_a_server_that_answers_again_and_takes_no_report_is_not_said_to_take_them(tmp_path, caplog):
    caplog.set_level("INFO")
    async with asked(tmp_path, EACH_HOUR) as (vtn, site, sender):
        for status in (503, 500):
            vtn.fail("POST /reports", status)
            await step(site, sender, 3610)
            vtn.mend()
        assert "reports on an event wait" in caplog.text
        assert "reports are taken again" not in caplog.text
        await step(site, sender, 600)
        assert len(vtn.reports()) == 2
        assert "reports are taken again" in caplog.text


async def test_a_report_of_an_event_that_was_deleted_is_no_fault(tmp_path, caplog):
    async with asked(tmp_path, EACH_HOUR) as (vtn, site, sender):
        (event,) = vtn.store.kinds["events"]
        vtn.delete_event(event)
        await step(site, sender, 3610)
        assert site.metric("reports_total", outcome="gone") == 1
        assert site.metric("reports_total", outcome="refused") == 0
        assert site.metric("reports_waiting") == 0
        assert not any(record.levelname == "ERROR" for record in caplog.records)


async def test_a_vtn_that_fails_is_left_alone_for_longer_each_time(tmp_path):
    async with asked(tmp_path, EACH_HOUR) as (vtn, site, sender):
        vtn.fail("POST /reports", 503)
        await step(site, sender, 3610)

        def tries():
            return sum(request.startswith("POST /reports") for request in vtn.requests)

        for _ in range(60):
            await step(site, sender, TICK_S)
        assert 3 <= tries() <= 9


async def test_measurements_that_cannot_be_read_are_waited_for(tmp_path):
    faults = [StoreError("meter.sqlite: disk I/O error")]

    def means(from_s, until_s, step_s):
        if faults:
            raise faults[0]
        return ()

    async with asked(tmp_path, EACH_HOUR, means=means) as (vtn, site, sender):
        await step(site, sender, 3610)
        assert vtn.reports() == []
        faults.clear()
        await step(site, sender, TICK_S)
        assert told(vtn) == [("USAGE-0-0", "MISSING")]


async def test_an_event_is_acknowledged_within_a_minute_and_opting_out_is_told(tmp_path):
    limit = interval(0, "IMPORT_CAPACITY_LIMIT", 12)
    async with asked(tmp_path, intervals=(limit,), acknowledges=True) as (vtn, site, sender):
        await step(site, sender, TICK_S)
        assert told(vtn) == [("OPERATING_STATE-now", "RUNNING_CURTAILED")]
        await step(site, sender, TICK_S)
        assert sum(request.startswith("POST /reports") for request in vtn.requests) == 1
        (event,) = site.live()
        site.book.opt_out("openadr:utility", event, "maintenance", site.clock.wall_s())
        await step(site, sender, TICK_S)
        assert told(vtn) == [("OPERATING_STATE-now", "RUNNING_OPTED_OUT")]
        site.book.opt_in("openadr:utility", event, site.clock.wall_s())
        await step(site, sender, TICK_S)
        assert told(vtn) == [("OPERATING_STATE-now", "RUNNING_CURTAILED")]
        await step(site, sender, 3600)
        assert told(vtn) == [("OPERATING_STATE-now", "RUNNING_NORMAL")]
        await step(site, sender, 9 * 3600)
        assert len(vtn.reports()) == 1
