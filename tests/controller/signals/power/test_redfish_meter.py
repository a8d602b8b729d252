import asyncio
import contextlib
import json
from random import Random

import aiohttp
import pytest

from controller.background import Works
from controller.clock import SystemClock, VirtualClock
from controller.errors import SignalError
from controller.model.observation import Missing, Quality, Reading
from controller.signals.power.http_access import HttpAccess, HttpOptions
from controller.signals.power.redfish_meter import MAX_BODY_BYTES, TOKEN_HEADER, RedfishMeter, RedfishSpec
from tests.fakes.certificates import Authority
from tests.fakes.fake_bmc import (
    ENVIRONMENT,
    PASSWORD,
    POWER,
    SENSOR,
    TOKEN,
    USER,
    environment,
    power,
    running_bmc,
    sensor,
)
from tests.fakes.http_stub import closed_url


@contextlib.asynccontextmanager
async def opened(spec, clock=None):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        meter = RedfishMeter(HttpAccess(session, spec.http), spec, clock or SystemClock())
        async with meter.open(Works(Random(0))):
            yield meter


def login(folder, *, user=USER, secret=PASSWORD, **more):
    file = folder / "secret"
    file.write_text(f"{secret}\n")
    return HttpOptions(
        token_file=file,
        user=user,
        token_header=TOKEN_HEADER,
        max_body_bytes=MAX_BODY_BYTES,
        **{"timeout_s": 5.0, **more},
    )


async def once(url, options):
    """What the meter says of one machine after its first answer, or its first failure."""
    async with opened(RedfishSpec((url,), options, wait_s=20.0)) as meter:
        return await meter.read(1000.0)


async def test_machines_of_every_kind_are_added_up_over_tls(tmp_path):
    authority, clock = Authority(tmp_path), SystemClock()
    tls = authority.issue("bmc").server()
    async with (
        running_bmc({ENVIRONMENT: environment(5000.5), SENSOR: sensor(300)}, tls) as new,
        running_bmc({POWER: power(4000)}, tls) as old,
    ):
        urls = (new.url + ENVIRONMENT, new.url + SENSOR, old.url + POWER)
        begun_s = clock.wall_s()
        spec = RedfishSpec(urls, login(tmp_path, ca_file=authority.file), wait_s=20.0)
        async with opened(spec) as meter:
            reading = await meter.read(clock.wall_s())
    assert isinstance(reading, Reading), reading
    assert (reading.value_w, reading.energy_j, reading.quality) == (9300.5, None, Quality.DIRECT)
    assert begun_s <= reading.observed_at_s <= clock.wall_s()
    assert reading.source == "Redfish of 127.0.0.1 and 2 more"


async def test_the_token_of_a_session_is_sent_as_redfish_has_it(tmp_path):
    async with running_bmc({ENVIRONMENT: environment(700)}) as bmc:
        reading = await once(bmc.url + ENVIRONMENT, login(tmp_path, user=None, secret=TOKEN))
    assert reading.value_w == 700.0


async def test_a_certificate_of_somebody_else_is_not_believed(tmp_path):
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    async with running_bmc({ENVIRONMENT: environment(700)}, ours.issue("bmc").server()) as bmc:
        told = await once(bmc.url + ENVIRONMENT, login(tmp_path, ca_file=others.file))
        assert "certificate is not believed" in told.reason
        named = await once(
            (bmc.url + ENVIRONMENT).replace("127.0.0.1", "localhost"), login(tmp_path, ca_file=ours.file)
        )
        assert named.value_w == 700.0
    assert bmc.requests == [ENVIRONMENT]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (404, "status 404: there is no such resource; correct the address"),
        (302, "status 302: it redirects to '/login'; configure that address"),
        (500, "status 500"),
        ("<html>", "not JSON (Expecting value"),
        ("[" * 100_000, "not JSON ("),
        (" " * (MAX_BODY_BYTES + 1), f"more than {MAX_BODY_BYTES} bytes"),
        (environment(None), "PowerWatts.Reading is null or absent: the machine does not know its power now"),
        (sensor(40, "Cel"), "ReadingUnits is 'Cel', not 'W'"),
        ({"EnvironmentMetrics": {"@odata.id": ENVIRONMENT}}, f"write '{ENVIRONMENT}', its EnvironmentMetrics"),
    ],
)
async def test_one_that_cannot_be_read_makes_the_whole_missing_and_is_named(tmp_path, answer, told):
    async with running_bmc({POWER: power(4000), ENVIRONMENT: answer}) as bmc:
        spec = RedfishSpec((bmc.url + POWER, bmc.url + ENVIRONMENT), login(tmp_path), wait_s=20.0)
        async with opened(spec) as meter:
            missing = await meter.read(1000.0)
    assert isinstance(missing, Missing)
    assert missing.reason.startswith(f"1 of 2: {bmc.url}{ENVIRONMENT}: ")
    assert told in missing.reason


async def test_credentials_that_are_refused_or_absent_are_told_without_them(tmp_path, caplog):
    async with running_bmc({ENVIRONMENT: environment(700)}) as bmc:
        url = bmc.url + ENVIRONMENT
        wrong = await once(url, login(tmp_path, secret="n0t-it"))
        assert f"status 401: the source does not accept user 'meter' with the password in {tmp_path}" in wrong.reason
        assert "the source wants a token" in (await once(url, HttpOptions())).reason
        lost = await once(url, HttpOptions(token_file=tmp_path / "absent", user=USER))
        assert "absent: cannot be read" in lost.reason
    assert "n0t-it" not in wrong.reason + caplog.text


async def test_nobody_there_and_no_answer_are_told(tmp_path):
    dead = closed_url()
    assert "cannot connect (Connection refused)" in (await once(dead + POWER, login(tmp_path))).reason
    async with running_bmc({POWER: power(700)}) as bmc:
        bmc.hangs = True
        assert "no answer within 0.1 s" in (await once(bmc.url + POWER, login(tmp_path, timeout_s=0.1))).reason


async def test_a_slow_machine_holds_up_neither_the_look_nor_the_others(tmp_path):
    async with running_bmc({POWER: power(4000)}) as slow, running_bmc({POWER: power(700)}) as quick:
        slow.hangs = True
        spec = RedfishSpec((slow.url + POWER, quick.url + POWER), login(tmp_path), period_s=0.01, wait_s=0.05)
        async with opened(spec) as meter:
            async with asyncio.timeout(20):
                while len(quick.requests) < 3:
                    await asyncio.sleep(0.01)
            missing = await meter.read(1000.0)
            assert len(slow.requests) == 1
    assert missing.reason == f"1 of 2: {slow.url}{POWER}: has not answered yet"


async def test_all_machines_are_asked_together_and_few_of_those_that_lack_are_named(tmp_path):
    async with running_bmc() as bmc:
        bmc.hangs = True
        spec = RedfishSpec(tuple(f"{bmc.url}/{n}" for n in range(128)), login(tmp_path), wait_s=0.01)
        async with opened(spec) as meter:
            async with asyncio.timeout(20):
                while bmc.at_once < 128:
                    await asyncio.sleep(0.01)
            missing = await meter.read(1000.0)
    assert missing.reason.startswith("128 of 128: ")
    assert missing.reason.endswith("; and 125 more")


class Scripted:
    """Answers each request of a machine by its script; one without an answer any more waits for ever."""

    def __init__(self, clock, *answers, takes_s=0.0):
        self.clock, self.answers, self.takes_s = clock, list(answers), takes_s
        self.asked_s: list[float] = []
        self.is_done = asyncio.Event()

    async def get(self, url):
        self.asked_s.append(self.clock.wall_s())
        if not self.answers:
            self.is_done.set()
            await asyncio.Event().wait()
        self.clock.advance(self.takes_s)
        answer = self.answers.pop(0)
        if answer is None:
            raise SignalError(url, "no answer within 5 s")
        return (answer, b"") if isinstance(answer, int) else (200, json.dumps(answer).encode())

    def refusal(self, status):
        return f"status {status}"


async def played(*answers, takes_s=0.0, period_s=5.0):
    """What the meter says after those answers, and when the machine was asked."""
    clock = VirtualClock(1000.0)
    access = Scripted(clock, *answers, takes_s=takes_s)
    meter = RedfishMeter(access, RedfishSpec(("https://bmc/x",), period_s=period_s), clock)
    async with meter.open(Works(Random(0))):
        await access.is_done.wait()
        return await meter.read(clock.wall_s()), access.asked_s


@pytest.mark.parametrize("answers", [(environment(700), None), (environment(600), None, environment(700), None)])
async def test_one_request_without_an_answer_is_bridged_by_the_reading_before_it(answers):
    reading, asked_s = await played(*answers)
    assert (reading.value_w, reading.observed_at_s) == (700.0, asked_s[-3])


@pytest.mark.parametrize(
    "answers", [(None,), (environment(700), None, None), (environment(None), None), (environment(700), 503)]
)
async def test_silence_twice_and_an_answer_without_power_once_are_missing(answers):
    missing, _ = await played(*answers)
    assert isinstance(missing, Missing)


async def test_it_comes_back_with_the_first_reading():
    reading, _ = await played(None, None, 503, environment(700))
    assert reading.value_w == 700.0


async def test_a_reading_is_as_old_as_its_request_and_a_slow_machine_is_asked_again_at_once():
    reading, asked_s = await played(environment(700), environment(800), takes_s=3.0)
    assert asked_s == [1000.0, 1005.0, 1010.0]
    assert (reading.value_w, reading.observed_at_s) == (800.0, 1005.0)
    _, asked_s = await played(environment(700), environment(800), takes_s=7.0)
    assert asked_s == [1000.0, 1007.0, 1014.0]


class ByMachine:
    """Scripts of several machines, by their addresses."""

    def __init__(self, **scripts):
        self.scripts = scripts

    async def get(self, url):
        return await self.scripts[url].get(url)


async def test_the_sum_is_as_old_as_its_oldest_part():
    clock = VirtualClock(1000.0)
    asleep, awake = Scripted(clock, environment(700)), Scripted(clock, *[environment(300)] * 4)
    meter = RedfishMeter(ByMachine(asleep=asleep, awake=awake), RedfishSpec(("asleep", "awake")), clock)
    async with meter.open(Works(Random(0))):
        await asyncio.gather(asleep.is_done.wait(), awake.is_done.wait())
        reading = await meter.read(clock.wall_s())
    assert (reading.value_w, reading.observed_at_s) == (1000.0, asleep.asked_s[-2])
    assert asleep.asked_s[-2] < awake.asked_s[-2]


@pytest.mark.parametrize("status", [401, 403])
async def test_who_refuses_the_password_is_left_alone_for_a_minute(status):
    _, asked_s = await played(status, status, environment(700))
    assert asked_s == [1000.0, 1060.0, 1120.0, 1125.0]
