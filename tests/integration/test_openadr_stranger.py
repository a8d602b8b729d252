"""What an aggregator tries who has a server of his own: every payload, report and notification, and much that is wrong.

The controller is a process of its own; the VTN, engines and GPUs are emulated, the MQTT broker is a real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.controller.openadr.test_mqtt import tell
from tests.fakes.certificates import Authority
from tests.fakes.mosquitto_server import mosquitto
from tests.fakes.ports import free_ports
from tests.fakes.system import System, get, laptop_on_free_ports
from tests.fakes.vtn.section import openadr_section
from tests.fakes.vtn.server import FakeVtn, fake_vtn, interval

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(240)]
NOW = {"start": "0001-01-01T00:00:00Z", "duration": "PT1H"}
OVER = {"start": "0001-01-01", "duration": "PT0S"}
LEVELS = {1: {"at_most_w": 9000}, 2: {"below_baseline_frac": 0.2}, 3: {"at_most_w": 3000}, 7: {"at_most_w": 7000}}
WAIT_S = 40.0


class Site:
    """What the stranger sees of the site, by its own API and by the reports that come."""

    def __init__(self, vtn: FakeVtn, system: System) -> None:
        self.vtn, self.system = vtn, system

    def state(self) -> Any:
        return self.system.state()

    def limit_w(self) -> float | None:
        limit = self.state()["grid"]["limit"]
        return limit["limit_w"] if limit is not None and limit["source"] == "openadr:utility" else None

    def metric(self, name: str, **labels: str) -> float | None:
        """The first sample with these labels."""
        for line in get(f"{self.system.api}/metrics")[1].decode().splitlines():
            found = re.match(rf"wattroute_controller_openadr_{name}\{{(.*?)\}} (\S+)", line)
            if found and all(f'{key}="{value}"' in found[1] for key, value in labels.items()):
                return float(found[2])
        return None

    @property
    def log(self) -> str:
        return (self.system.folder / "controller.log").read_text()

    def states(self) -> dict[str, str]:
        """The acknowledgement of each event."""
        return {
            report["eventID"]: report["resources"][0]["intervals"][0]["payloads"][0]["values"][0]
            for report in self.vtn.reports()
            if report["reportName"] == "OPERATING_STATE-now"
        }

    async def until(self, holds: Any, what: str) -> None:
        end_s = time.monotonic() + WAIT_S
        while time.monotonic() < end_s:
            with contextlib.suppress(OSError, KeyError, ValueError):
                if await asyncio.to_thread(holds):
                    return
            await asyncio.sleep(0.2)
        raise AssertionError(f"never came true: {what}\n{self.log[-3000:]}")

    async def limited(self, limit_w: float | None) -> None:
        await self.until(lambda: self.limit_w() == limit_w, f"a limit of {limit_w} W")


@contextlib.asynccontextmanager
async def site_of(vtn: FakeVtn, folder: Path, *names: str, **options: Any) -> AsyncIterator[Site]:
    def change(document: dict[str, Any]) -> None:
        terms = {"default_limit_w": 5000, "hold_s": 8, "most_w": 500_000, "changes_per_min": 300, "levels": LEVELS}
        document["programmes"] = {"dr": terms}
        (section,) = openadr_section(vtn.url, folder)
        more = {"alerts": {"ALERT_GRID_EMERGENCY": 3}, "percent_levels": {10: 1, 50: 3}, "reservation_kw": 12}
        document["openadr"] = [section | {"resources": ["hall-a"], "timeout_s": 2} | more | options]
        for feed in ("price_usd_per_mwh", "carbon_kg_per_mwh"):
            document["signals"][feed] = {"kind": "openadr", "vtn": "utility"}

    system = System(folder, laptop_on_free_ports(folder, change))
    try:
        for name in (*names, "controller"):
            await asyncio.to_thread(system.start, name)
        yield Site(vtn, system)
    finally:
        for process in system.processes.values():
            process.terminate()
        for process in system.processes.values():
            await asyncio.to_thread(process.wait, 20)


FOLLOWED = [
    ("SIMPLE", 1, 9000.0),
    ("SIMPLE", 3, 3000.0),
    ("CONTROL_LEVEL_OFFSET", 7, 7000.0),
    ("CONTROL_LEVEL_OFFSET_PERCENT", 0.1, 9000.0),
    ("CONTROL_LEVEL_OFFSET_PERCENT", 0.3, 3000.0),
    ("IMPORT_CAPACITY_LIMIT", 8.5, 8500.0),
    ("DISPATCH_SETPOINT", 6, 6000.0),
    ("ALERT_GRID_EMERGENCY", "shed what you can", 3000.0),
]
PASSED_OVER = ["EXPORT_PRICE", "OLS", "CHARGE_STATE_SETPOINT", "CTA2045_REBOOT", "CONTROL_SETPOINT", "MY_OWN"]


async def test_every_payload_is_acted_upon_or_counted(tmp_path: Path) -> None:
    async with fake_vtn() as vtn:
        program = vtn.add_program(payloadDescriptors=[{"payloadType": "PRICE", "units": "KWH", "currency": "USD"}])
        async with site_of(vtn, tmp_path, "emulate", "router") as site:
            for kind, value, limit_w in FOLLOWED:
                event = vtn.add_event(program, interval(0, kind, value, **NOW))
                await site.limited(limit_w)
                vtn.change_event(event, intervals=[interval(0, kind, value, **OVER)])
                await site.limited(None)
            relative = vtn.add_event(program, interval(0, "DISPATCH_SETPOINT_RELATIVE", -0.5, **NOW))
            await site.until(lambda: site.limit_w() is not None, "a limit below what is drawn")
            await site.until(lambda: site.states().get(relative) == "RUNNING_CURTAILED", "the acknowledgement")
            vtn.change_event(relative, intervals=[interval(0, "DISPATCH_SETPOINT_RELATIVE", -0.5, **OVER)])
            await site.limited(None)
            unknown = vtn.add_event(program, interval(0, "CONTROL_LEVEL_OFFSET", 10, **NOW))
            more = vtn.add_event(program, interval(0, "CONTROL_LEVEL_OFFSET", -2, **NOW))
            await site.until(lambda: site.states().get(unknown) == "ERROR", "a level that nobody knows is told")
            for kind in PASSED_OVER:
                vtn.add_event(program, interval(0, kind, 1, **NOW))
            kinds = {kind if kind != "MY_OWN" else "other" for kind in PASSED_OVER} | {"CONTROL_LEVEL_OFFSET"}
            for kind in kinds:
                counted = {"payload_type": kind}
                await site.until(
                    lambda c=counted: site.metric("ignored_payloads_total", **c) == 1, f"{kind} is counted"
                )
            assert site.limit_w() is None
            assert site.states().get(more) != "ERROR"
            vtn.add_event(program, interval(0, "PRICE", 0.25, **NOW))
            vtn.add_event(program, interval(0, "PRICE", 0.5, **NOW), priority=0)
            vtn.add_event(program, interval(0, "GHG", 430, **NOW))
            await site.until(lambda: site.state()["price_usd_per_mwh"] == 500.0, "the price of highest priority")
            await site.until(lambda: site.state()["carbon_kg_per_mwh"] == 430.0, "the emissions")


def limit(kw: Any, **period: str) -> list[Any]:
    return [interval(0, "IMPORT_CAPACITY_LIMIT", kw, **(period or NOW))]


WRONG = {
    "text": ({"intervals": "none"}, "'none' is not a list"),
    "value-text": ({"intervals": limit("5")}, "'5' is not a number"),
    "value-null": ({"intervals": limit(None)}, "None is not a number"),
    "value-huge": ({"intervals": limit(1e300)}, "is outside 0 to 1e+10"),
    "value-less": ({"intervals": limit(-3)}, "-3.0 is less than 0"),
    "unit": ({"payloadDescriptors": [{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "THERMS"}]}, "is not a power"),
    "backwards": ({"intervals": limit(1, start="0001-01-01", duration="-PT1H")}, "runs backwards"),
    "no-duration": ({"intervals": limit(1, start="0001-01-01", duration="an hour")}, "is not a duration"),
    "local": ({"intervals": limit(1, start="2026-11-22T03:00:00", duration="PT1H")}, "has no offset from UTC"),
    "no-start": ({"intervals": limit(1, duration="PT1H")}, "says when it begins"),
    "no-day": ({"intervals": limit(1, start="2026-02-31T00:00:00Z", duration="PT1H")}, "is not a moment"),
    "priority": ({"priority": -1}, "-1 is not a whole number from 0"),
    "level": ({"intervals": [interval(0, "SIMPLE", 9, **NOW)]}, "9.0 is not a level of SIMPLE"),
    "percent": ({"intervals": [interval(0, "CONTROL_LEVEL_OFFSET_PERCENT", 25, **NOW)]}, "25 % is 0.25"),
    "insane": ({"intervals": limit(900)}, "outside 0 to 500000 W; check its unit"),
    "ahead": ({"modificationDateTime": "2999-01-01T00:00:00Z"}, "set the clocks of both sides"),
    "descriptor": ({"reportDescriptors": [{"payloadType": "USAGE", "frequency": "often"}]}, "'often' is not a number"),
    "many": (
        {
            "intervals": [interval(n, "IMPORT_CAPACITY_LIMIT", 1 + n % 2) for n in range(2000)],
            "intervalPeriod": {"start": "0001-01-01", "duration": "PT1M"},
        },
        "2000 intervals; 1 to 1024 are followed",
    ),
    "dizzy": (
        {"duration": "P9999Y", "intervals": limit(1, start="0001-01-01", duration="PT1S")},
        "repeat more than 20000 times",
    ),
}


async def test_whatever_is_wrong_is_told_to_both_sides_and_changes_nothing(tmp_path: Path) -> None:
    async with fake_vtn() as vtn:
        program = vtn.add_program()
        async with site_of(vtn, tmp_path) as site:
            good = vtn.add_event(program, *limit(12))
            await site.limited(12_000.0)
            for name, (fields, _) in WRONG.items():
                bad = {"id": name, "programID": program, "intervals": limit(1)}
                vtn.store.kinds["events"][name] = bad | {"modificationDateTime": "2026-07-01T00:00:00Z"} | fields
            await site.until(lambda: site.metric("refused_events_total") >= len(WRONG), "all are refused")
            for name, (_, said) in WRONG.items():
                told = [line for line in site.log.splitlines() if f"event_id={name} " in line and "refused" in line]
                assert said in told[0], name
                assert len(told) == 1, f"{name} is told more than once"
            assert site.limit_w() == 12_000.0
            await site.until(lambda: set(site.states()) >= {good, *WRONG}, "the acknowledgements")
            states = site.states()
            assert {states[name] for name in WRONG} == {"ERROR"}
            assert states[good] == "RUNNING_CURTAILED"


async def test_a_server_that_forgets_repeats_and_comes_back_as_another_is_followed_all_the_same(tmp_path: Path) -> None:
    async with fake_vtn() as vtn:
        vtn.token_life_s = 2
        program, events = vtn.add_program(), vtn.store.kinds["events"]
        async with site_of(vtn, tmp_path) as site:
            for n in range(120):
                start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600 * (n + 2)))
                vtn.add_event(program, *limit(20 + n / 10, start=start, duration="PT1H"))
            event = vtn.add_event(program, *limit(4))
            await site.limited(4000.0)
            await site.until(lambda: site.metric("events") == 121, "three pages")
            before = copy.deepcopy(events[event])
            vtn.change_event(event, intervals=limit(8))
            await site.limited(8000.0)
            changed, events[event] = events[event], before
            await site.until(lambda: "older than what is followed" in site.log, "a message that was overtaken is told")
            assert site.limit_w() == 8000.0
            events[event] = changed
            vtn.fail("/", 429, Retry_After="2")
            await site.until(lambda: site.metric("failures_in_a_row") >= 1, "a VTN that wants to be left alone")
            vtn.mend()
            await site.until(lambda: site.metric("failures_in_a_row") == 0, "it is followed again")
            assert vtn.tokens_given >= 3, "tokens ran out meanwhile"
            assert site.limit_w() == 8000.0
            for kind in ("reports", "events", "programs"):
                vtn.store.kinds[kind].clear()
            vtn.forget_tokens()
            await site.until(lambda: "does not know programme 'shed' any more" in site.log, "an empty VTN is told")
            assert site.limit_w() == 8000.0, "and has ended nothing"
            vtn.add_event(vtn.add_program(), *limit(6))
            await site.limited(6000.0)
            await site.until(lambda: site.metric("events") == 1, "the former events are over")


KINDS = {
    "READING": "KW",
    "USAGE": "KWH",
    "DEMAND": "KW",
    "BASELINE": "KWH",
    "DELTA_USAGE": "KWH",
    "SETPOINT": "KW",
    "SIMPLE_LEVEL": None,
    "OPERATING_STATE": None,
    "LOAD_SHED_DELTA_AVAILABLE": "KW",
    "USAGE_FORECAST": "KWH",
    "DATA_QUALITY": None,
    "IMPORT_RESERVATION_CAPACITY": "KW",
}
KNOWN_EARLY = {"SETPOINT", "SIMPLE_LEVEL", "OPERATING_STATE", "DATA_QUALITY", "IMPORT_RESERVATION_CAPACITY"}


async def test_every_report_comes_and_changes_are_heard_of_at_once(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair, (port,) = authority.issue("callback"), free_ports(1)
    url = f"https://localhost:{port}/openadr/notifications"
    callback = {"url": url, "host": "127.0.0.1", "port": port, **pair.settings()}
    async with mosquitto(tmp_path) as broker, fake_vtn() as vtn:
        vtn.trust = authority.client()
        vtn.notifiers = {"WEBHOOK": True, "MQTT": {"URIS": [f"mqtt://127.0.0.1:{broker.port}"]}}
        program = vtn.add_program()
        vtn.topics[f"programs/{program}/events"] = {"ALL": "events/+"}
        options = {"poll_s": 3600, "callback": callback, "mqtt": True}
        async with site_of(vtn, tmp_path, "emulate", "router", **options) as site:
            for way in ("webhook", "mqtt"):
                await site.until(lambda way=way: site.metric("notified", way=way) == 1, f"{way} stands")
            asks = [{"payloadType": kind, "startInterval": 0, "numIntervals": 1} for kind in KINDS]
            steps = [interval(n, "SIMPLE", 1) for n in range(3)]
            period = {"start": "0001-01-01", "duration": "PT10S"}
            vtn.add_event(program, *steps, intervalPeriod=period, reportDescriptors=asks)
            await site.limited(9000.0)  # by the webhook: the next poll is an hour away
            await site.until(
                lambda: {r["reportName"].split("-")[0] for r in vtn.reports()} >= set(KINDS), "all reports"
            )
            for report in vtn.reports():
                described, payloads = (
                    report["payloadDescriptors"][0],
                    report["resources"][0]["intervals"][0]["payloads"],
                )
                kind = described["payloadType"]
                assert described.get("units") == KINDS[kind]
                assert report["resources"][0]["resourceName"] == "hall-a"
                assert payloads[-1]["type"] == "DATA_QUALITY"
                if kind in KNOWN_EARLY:
                    assert payloads[0]["type"] == kind
            vtn.store.kinds["subscriptions"].clear()
            silent = copy.deepcopy(next(iter(vtn.store.kinds["events"].values())))
            silent |= {"id": "told-by-mqtt", "intervals": limit(7), "reportDescriptors": None, "intervalPeriod": None}
            vtn.store.kinds["events"]["told-by-mqtt"] = silent
            await tell(
                broker, "events/create", json.dumps({"objectType": "EVENT", "operation": "CREATE", "object": silent})
            )
            await site.limited(7000.0)
        assert vtn.store.kinds["subscriptions"] == {}
