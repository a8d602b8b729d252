from pathlib import Path
from random import Random

import aiohttp
import pytest
from aiohttp import web

from controller.background import Works
from controller.clock import SystemClock
from controller.errors import ConfigError
from controller.model.observation import Rung
from controller.signals.power.http_access import HttpOptions
from controller.signals.power.meter_scope import MeterScope
from controller.signals.power.modbus_meter import ModbusMap, Register
from controller.signals.power.open_source import FORMS, open_power, open_source, parse_source
from controller.signals.power.promql_meter import MeterQueries
from controller.signals.power.redfish_meter import RedfishSpec
from controller.signals.power.specs import AgentSpec, CsvMeterSpec, DcgmSpec, PowerSpecs, PromqlMeterSpec
from tests.fakes.fake_bmc import PASSWORD, POWER, USER, power, running_bmc
from tests.fakes.fake_zeusd import FakeZeusd
from tests.fakes.http_stub import closed_url, http_stub


async def test_a_short_text_opens_a_source(tmp_path):
    async with http_stub() as stub:
        stub.set("/metrics", 'my_watts{id="A"} 300\n')
        text = f"dcgm={stub.url}/metrics?power=my_watts&label=id&collect=gpu"
        async with open_source(text, SystemClock(), Works(Random(0))) as source:
            readings, errors = await source.read(1000.0)
    assert (readings["A"].value_w, errors) == (300.0, ())
    assert stub.requests == ["GET /metrics?collect=gpu"]
    file = tmp_path / "power.csv"
    file.write_text("time,uuid,power_w\n0,A,100\n")
    async with open_source(f"csv={file}", clock := SystemClock(), Works(Random(0))) as source:
        assert (await source.read(clock.wall_s()))[0]["A"].value_w == 100.0


def test_options_of_a_source():
    spec = parse_source("promql=https://prom:9090/base?token_file=/run/t&user=op&ca_file=/ca.pem", timeout_s=0.5)
    assert spec.url == "https://prom:9090/base"
    assert (spec.http.token_file, spec.http.user, spec.http.timeout_s) == (Path("/run/t"), "op", 0.5)
    own = parse_source("promql=http://prom:9090?power=watts[1m]&label=id").queries
    assert (own.power, own.energy, own.uuid_labels) == ("watts[1m]", None, ("id",))


@pytest.mark.parametrize("text", ["", "dcgm", "dcgm=", "meter=http://a", "http://a"])
def test_a_text_that_names_no_source_is_told_the_forms(text):
    with pytest.raises(ConfigError, match="write one of") as caught:
        parse_source(text)
    assert all(form in str(caught.value) for form in FORMS)


def test_an_address_that_is_none_or_carries_a_password_is_refused_without_telling_it():
    with pytest.raises(ConfigError, match=r"write http://HOST:PORT"):
        parse_source("dcgm=10.0.0.7:9400")
    with pytest.raises(ConfigError, match="write user and token_file") as caught:
        parse_source("dcgm=http://me:s3cret@host/metrics")
    assert "s3cret" not in str(caught.value)


def test_a_token_is_not_sent_where_others_could_read_it():
    with pytest.raises(ConfigError, match=r"'http://n1:9410': token_file would go there unencrypted; write https://"):
        parse_source("agent=http://n1:9410?token_file=/run/t")
    parse_source("zeusd=unix:/run/zeusd.sock?gpu_uuids=A&token_file=/run/t")
    parse_source("agent=http://127.0.0.1:9410?token_file=/run/t")


async def test_a_file_that_cannot_be_used_ends_the_opening():
    with pytest.raises(ConfigError, match="no such file"):
        async with open_source("csv=/absent.csv", SystemClock(), Works(Random(0))):
            raise AssertionError("nothing is opened")


async def test_every_kind_opens_and_tells_what_it_cannot_reach(tmp_path):
    dead = closed_url()
    texts = (f"agent={dead}", f"zeusd={dead}?gpu_uuids=GPU-a", f"promql={dead}", f"dcgm={dead}")
    for text in texts:
        async with open_source(text, SystemClock(), Works(Random(0)), timeout_s=0.3) as source:
            readings, errors = await source.read(1000.0)
        assert readings == {}
        assert all(error.source.startswith(dead) for error in errors), text
        assert errors


async def test_zeusd_by_its_socket(tmp_path):
    runner = web.AppRunner(FakeZeusd({0: 250.0}).app(), shutdown_timeout=0.1)
    await runner.setup()
    path = tmp_path / "zeusd.sock"
    await web.UnixSite(runner, str(path)).start()
    async with open_source(f"zeusd=unix:{path}?gpu_uuids=GPU-a", SystemClock(), Works(Random(0))) as source:
        readings, _ = await source.read(1000.0)
    await runner.cleanup()
    assert readings["GPU-a"].value_w == 250.0


def test_zeusd_needs_the_uuids_of_its_indices():
    assert parse_source("zeusd=http://n:4938?gpu_uuids=A,B").gpu_uuids == ("A", "B")
    with pytest.raises(ConfigError, match="add \\?gpu_uuids=GPU-A,GPU-B"):
        parse_source("zeusd=http://n:4938")


async def test_nvml_where_there_is_none_is_a_state():
    async with open_source("nvml", SystemClock(), Works(Random(0))) as source:
        readings, errors = await source.read(1000.0)
    assert not readings or not errors


async def test_all_sources_of_a_site_open_with_their_names_and_rungs(tmp_path):
    file = tmp_path / "meter.csv"
    file.write_text("time,power_w\n0,5000\n")
    specs = PowerSpecs(
        (("node", AgentSpec((closed_url(),))), ("dcgm", DcgmSpec((closed_url(),)))),
        (
            ("main", ModbusMap("127.0.0.1", Register(1))),
            ("prom", PromqlMeterSpec(closed_url(), MeterQueries("m[1m]"))),
            ("spare", CsvMeterSpec(file)),
        ),
    )
    clock = SystemClock()
    works = Works(Random(0))
    async with aiohttp.ClientSession() as session, open_power(specs, session, clock, works) as sources:
        assert [(one.name, one.rung) for one in sources.gpus] == [("node", Rung.NVML), ("dcgm", Rung.DCGM)]
        assert [one.name for one in sources.meters] == ["main", "prom", "spare"]
        assert (await sources.meters[2].source.read(clock.wall_s())).value_w == 5000.0


async def test_machines_are_asked_as_long_as_the_sources_are_open_and_every_meter_keeps_its_scope(tmp_path):
    file = tmp_path / "meter.csv"
    file.write_text("time,power_w\n0,5000\n")
    clock, works, seen = SystemClock(), Works(Random(0)), MeterScope(is_it=True, error_frac=0.1)
    async with running_bmc({POWER: power(4000)}) as bmc, aiohttp.ClientSession() as session:
        secret = tmp_path / "password"
        secret.write_text(PASSWORD)
        redfish = RedfishSpec((bmc.url + POWER,), HttpOptions(token_file=secret, user=USER), wait_s=20.0)
        specs = PowerSpecs(
            meters=(
                ("bmc", redfish),
                ("csv", CsvMeterSpec(file, scope=seen)),
                ("modbus", ModbusMap("127.0.0.1", Register(1), scope=seen)),
                ("prom", PromqlMeterSpec(closed_url(), MeterQueries("m[1m]"), scope=seen)),
            )
        )
        async with open_power(specs, session, clock, works) as sources:
            assert [each.scope for each in sources.meters] == [MeterScope(is_it=True), seen, seen, seen]
            assert (await sources.meters[0].source.read(clock.wall_s())).value_w == 4000.0
    assert works.failing == ()
