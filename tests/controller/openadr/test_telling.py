import asyncio
import contextlib
import dataclasses
import json
import socket
import ssl
import sys
from random import Random

import pytest
from prometheus_client import CollectorRegistry

from controller.background import Works
from controller.clock import SystemClock
from controller.errors import ConfigError, ListenError
from controller.openadr.auth import Credentials
from controller.openadr.report_source import Known
from controller.openadr.running import Following, following
from controller.openadr.specs import CallbackSpec, VenSpec
from controller.openadr.telling import Teller, Telling
from controller.openadr.times import write_moment
from controller.openadr.webhook import PATH
from controller.signals.calls import CallBook
from tests.controller.openadr.test_mqtt import TOLD, tell
from tests.controller.openadr.test_ven import limit, until
from tests.fakes.certificates import Authority
from tests.fakes.controller_parts import ListRecorder
from tests.fakes.mosquitto_server import mosquitto
from tests.fakes.vtn.follower import TERMS
from tests.fakes.vtn.reporting import steady
from tests.fakes.vtn.server import fake_vtn


class Site:
    """A service's part that speaks OpenADR, with real sockets, files and clock."""

    def __init__(self, folder):
        self.folder = folder
        self.book = CallBook(ListRecorder(), {"dr": TERMS})
        self.registry = CollectorRegistry()
        self.clock = SystemClock()
        self.works = Works(Random(0))

    @contextlib.asynccontextmanager
    async def follows(self, vtn, **options):
        (self.folder / "secret").write_text("ven-secret")
        credentials = Credentials("ven-1", self.folder / "secret")
        spec = VenSpec("utility", vtn.url, {"shed": "dr"}, credentials=credentials, poll_s=3600.0, **options)
        known = Known(self.book, means=steady(5000.0), programmes={"dr": TERMS})
        teller = Teller(Telling(self.folder, known, self.clock, self.registry, self.works))
        world = Following(self.book, self.clock, self.registry, lambda: None, self.works, (), teller)
        try:
            async with following((spec,), world) as vens:
                yield vens[0]
        finally:
            teller.close()

    def live(self):
        return [view.call.call_id for view in self.book.calls(self.clock.wall_s()) if view.cancelled_s is None]

    def metric(self, name, **labels):
        return self.registry.get_sample_value(f"wattroute_controller_openadr_{name}", {"vtn": "utility", **labels})


async def test_an_event_is_heard_by_webhook_over_tls_and_acknowledged(tmp_path):
    authority = Authority(tmp_path)
    pair = authority.issue("callback")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"https://localhost:{port}{PATH}"
    callback = CallbackSpec(url, "127.0.0.1", port, pair.certificate_file, pair.key_file)
    site = Site(tmp_path)
    async with fake_vtn() as vtn:
        vtn.trust = authority_context(authority)
        program = vtn.add_program()
        async with site.follows(vtn, callback=callback):
            await until(lambda: site.metric("notified", way="webhook") == 1)
            event = vtn.add_event(program, limit(12))
            await until(lambda: site.live() == [event])
            await until(vtn.reports)
            (report,) = vtn.reports()
            payload = report["resources"][0]["intervals"][0]["payloads"][0]
            assert payload == {"type": "OPERATING_STATE", "values": ["RUNNING_CURTAILED"]}
            assert report["clientName"] == "ven-1"
        assert vtn.store.kinds["subscriptions"] == {}


async def test_an_event_is_heard_by_mqtt(tmp_path):
    site = Site(tmp_path)
    async with mosquitto(tmp_path) as broker, fake_vtn() as vtn:
        vtn.notifiers = {"MQTT": {"URIS": [f"mqtt://127.0.0.1:{broker.port}"]}}
        program = vtn.add_program()
        vtn.topics[f"programs/{program}/events"] = {"ALL": "events/+"}
        async with site.follows(vtn, has_mqtt=True, reports=False):
            await until(lambda: site.metric("notified", way="mqtt") == 1)
            event = vtn.add_event(program, limit(12))
            await tell(broker, "events/create", json.dumps(TOLD))
            await until(lambda: site.live() == [event])
            await asyncio.sleep(0.1)
            assert vtn.reports() == []


async def test_mqtt_that_is_asked_for_and_not_installed_is_told_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "controller.openadr.mqtt", None)  # importing it fails
    async with fake_vtn() as vtn:
        with pytest.raises(ConfigError, match=r"wattroute\[mqtt\]"):
            async with Site(tmp_path).follows(vtn, has_mqtt=True):
                pass


async def test_a_port_that_is_taken_ends_the_start(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        callback = CallbackSpec("https://x", "127.0.0.1", taken.getsockname()[1])
        async with fake_vtn() as vtn:
            with pytest.raises(ListenError):
                async with Site(tmp_path).follows(vtn, callback=callback):
                    pass


async def test_the_settlement_interval_of_a_programme_divides_its_reports(tmp_path):
    site = Site(tmp_path)
    async with fake_vtn() as vtn:
        vtn.add_program()
        async with site.follows(vtn, reports=False) as ven:
            terms = dataclasses.replace(TERMS, settlement_interval_s=900.0)
            known = Known(site.book, programmes={"dr": terms})
            teller = Teller(Telling(tmp_path / "other", known, site.clock, CollectorRegistry(), site.works))
            assert teller.reporter(ven)._parts.maker._spec.step_s == {"dr": 900.0}
            teller.close()


def authority_context(authority):
    return ssl.create_default_context(cafile=str(authority.file))


async def test_a_randomised_start_is_the_same_after_a_restart_and_another_at_each_site(tmp_path):
    begin_s = round(SystemClock().wall_s()) + 3600
    period = {"start": write_moment(begin_s), "duration": "PT1H", "randomizeStart": "PT10M"}
    shifts_s = []
    async with fake_vtn() as vtn:
        event = vtn.add_event(vtn.add_program(), limit(12, **period))
        for name in ("one", "one", "two"):
            (tmp_path / name).mkdir(exist_ok=True)
            site = Site(tmp_path / name)
            async with site.follows(vtn, reports=False):
                await until(lambda site=site: site.live() == [event])
                (view,) = site.book.calls(site.clock.wall_s())
                shifts_s.append(view.call.start_s - begin_s)
            begin_s += 600  # the utility puts it off; the next process hears of it so
            vtn.change_event(event, intervals=[limit(12, **{**period, "start": write_moment(begin_s)})])
    first, again, other = shifts_s
    assert first == pytest.approx(again, abs=1e-3)
    assert first != pytest.approx(other, abs=1e-3)
    assert all(0.0 < abs(shift_s) <= 600.0 for shift_s in shifts_s)


async def test_now_is_the_same_after_a_restart_whatever_was_changed_meanwhile(tmp_path):
    starts_s = []
    async with fake_vtn() as vtn:
        event = vtn.add_event(vtn.add_program(), limit(12))
        for kw in (9, 8):
            site = Site(tmp_path)
            async with site.follows(vtn, reports=False):
                await until(lambda site=site: site.live() == [event])
                (view,) = site.book.calls(site.clock.wall_s())
                starts_s.append(view.call.start_s)
            vtn.change_event(event, intervals=[limit(kw)])
    assert starts_s[0] == starts_s[1]
