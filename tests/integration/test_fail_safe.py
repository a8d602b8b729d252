"""The fail-safe ladder on the whole system, in separate processes: what a user notices when a part is gone."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.fakes.redis_server import START_LIMIT_S, RedisServer, running_redis
from tests.fakes.system import System, get, post, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(180)]
CHAT = {"messages": [{"role": "user", "content": "one two three"}], "max_tokens": 4}


def table(system: System) -> dict[str, Any]:
    return json.loads(get(f"{system.admin}/state")[1])["table"]


def chat(system: System, **more: Any) -> int:
    body = {"model": system.document["model"], **CHAT, **more}
    status, answer = post(f"{system.public}/v1/chat/completions", body)
    if status == 200:
        assert json.loads(answer)["usage"]["completion_tokens"] == 4
    return status


def short_lived_tables(document: dict[str, Any]) -> None:
    document["controller"] |= {"table_ttl_s": 6, "tick_s": 1}
    document["table"]["poll_interval_s"] = 0.5


def test_without_its_controller_the_router_serves_on_the_last_table_then_on_static_weights(tmp_path: Path) -> None:
    with running(tmp_path, "emulate", "router", "controller", change=short_lived_tables) as system:
        system.until(lambda: table(system)["state"] == "fresh", "the router obeys the controller's table")
        assert chat(system) == 200
        sequence = table(system)["sequence"]
        system.kill("controller")
        system.until(lambda: table(system)["state"] == "last_good", "the last table stays in force")
        assert table(system)["sequence"] >= sequence
        assert chat(system) == 200
        system.until(lambda: table(system)["state"] == "static", "an expired table is not obeyed")
        assert table(system)["sequence"] == -1
        assert chat(system) == 200
        system.start("controller")
        system.until(lambda: table(system)["state"] == "fresh", "a new controller takes over")
        assert chat(system) == 200


async def test_the_allocation_may_come_through_redis(tmp_path: Path) -> None:
    async with running_redis() as redis:

        def through_redis(document: dict[str, Any]) -> None:
            short_lived_tables(document)
            document["table"] |= {"url": None, "redis_url": redis.url}

        def play() -> None:
            with running(tmp_path, "emulate", "router", "controller", change=through_redis) as system:
                system.until(lambda: table(system)["state"] == "fresh", "the router obeys the table in Redis")
                assert chat(system) == 200
                system.kill("controller")
                system.until(lambda: table(system)["state"] == "static", "the table expires in Redis and in the router")
                assert chat(system) == 200

        await asyncio.to_thread(play)


async def test_a_redis_that_is_killed_costs_no_request_and_its_energy_is_not_made_up(tmp_path: Path) -> None:
    statuses: list[int] = []

    def told(system: System) -> str:
        """What a client is told of where its energy is known from, after the number that must not be 0."""
        headers = {"content-type": "application/json", "x-wattroute-energy": "1"}
        body = json.dumps({"model": system.document["model"], **CHAT}).encode()
        request = urllib.request.Request(f"{system.public}/v1/chat/completions", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                statuses.append(answer.status)
                value = str(answer.headers["x-wattroute-energy"])
        except urllib.error.HTTPError as error:
            statuses.append(error.code)
            raise
        number, _, parts = value.partition(";")
        assert number == "unknown" or float(number) > 0
        return parts.partition("source=")[2].partition(";")[0] or number

    def play(redis: RedisServer, start_again: Callable[[], None]) -> None:
        def through_redis(document: dict[str, Any]) -> None:
            short_lived_tables(document)
            document["table"] |= {"url": None, "redis_url": redis.url}

        with running(tmp_path, "emulate", "router", "controller", change=through_redis) as system:
            system.until(lambda: told(system) == "emulated", "energy is told as metered")
            assert redis.process is not None
            os.kill(redis.process.pid, signal.SIGKILL)
            system.until(lambda: told(system) == "estimated", "rates that are not renewed make estimates")
            system.until(lambda: told(system) == "unknown", "rates that have expired tell nothing")
            (age,) = re.findall(
                r"^wattroute_router_energy_rates_age_seconds (.+)$", get(f"{system.admin}/metrics")[1].decode(), re.M
            )
            assert float(age) >= 30
            log = (tmp_path / "router.log").read_text()
            assert "energy rates not known" in log
            assert "allocation expired, static weights hold" in log
            assert "loop step failed step=energy" in (tmp_path / "controller.log").read_text()
            start_again()
            system.until(lambda: told(system) == "emulated", "energy is known again")
            assert [process.poll() for process in system.processes.values()] == [None] * 3
        assert set(statuses) == {200}

    async with running_redis() as redis:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(
            play, redis, lambda: asyncio.run_coroutine_threadsafe(redis.start(), loop).result(START_LIMIT_S)
        )


def test_an_observing_controller_moves_nothing(tmp_path: Path) -> None:
    def observe(document: dict[str, Any]) -> None:
        document["controller"]["mode"] = "observe"

    with running(tmp_path, "emulate", "router", "controller", change=observe) as system:
        system.until(lambda: system.state()["power"]["measured_w"] > 0, "power is measured")
        assert chat(system) == 200
        assert get(f"{system.api}/v1/allocation")[0] == 503
        assert table(system)["state"] == "static"


def test_an_engine_that_dies_loses_no_request_that_had_not_begun_to_stream(tmp_path: Path) -> None:
    with running(tmp_path, "emulate", "router") as system:
        assert chat(system) == 200
        for instance in ("bf16-0", "fp8-0"):
            assert post(f"{system.emulator}/instances/{instance}/stop", {})[0] in (200, 202)
        assert [chat(system) for _ in range(30)] == [200] * 30


def test_the_openai_client_streams_through_the_whole_system(tmp_path: Path) -> None:
    with running(tmp_path, "emulate", "router", "controller") as system:
        system.until(lambda: table(system)["state"] == "fresh", "the router obeys the controller's table")
        with openai.OpenAI(base_url=f"{system.public}/v1", api_key="unused", max_retries=0) as client:
            answer = client.chat.completions.create(
                model=system.document["model"],
                messages=[{"role": "user", "content": "hello"}],
                max_tokens=12,
                stream=True,
                stream_options={"include_usage": True},
                extra_headers={"x-wattroute-class": "premium"},
                extra_body={"ignore_eos": True},
            )
            chunks = list(answer)
            headers = answer.response.headers
            plain = client.chat.completions.create(
                model=f"{system.document['model']}@fp8", messages=[{"role": "user", "content": "hello"}], max_tokens=3
            )
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == 12
        assert sum(1 for chunk in chunks if chunk.choices and chunk.choices[0].delta.content) == 12
        assert headers["x-wattroute-precision"] == "bf16"
        assert int(headers["x-wattroute-allocation"]) >= 0
        assert plain.usage is not None
        assert plain.model == system.document["model"]


def test_an_unreachable_engine_is_named_and_refused_clearly_until_it_comes(tmp_path: Path) -> None:
    with running(tmp_path, "router") as system:
        status, answer = post(f"{system.public}/v1/chat/completions", {"model": "m", **CHAT})
        assert status in (502, 503)
        assert "error" in json.loads(answer)
        assert get(f"{system.public}/health")[0] in (200, 503)
        url = system.document["pools"][0]["instances"][0]
        system.until(lambda: url in (tmp_path / "router.log").read_text(), "the log names the engine")
        system.start("emulate")
        system.until(lambda: chat(system) == 200, "engines that come later are used")


@pytest.mark.parametrize(
    ("process", "signal_code"), [("emulate", 0), ("router", 0), ("controller", 0)], ids=lambda value: str(value)
)
def test_every_process_stops_cleanly_on_sigterm(tmp_path: Path, process: str, signal_code: int) -> None:
    with running(tmp_path, process) as system:
        assert system.stop(process) == signal_code
        assert "Traceback" not in (tmp_path / f"{process}.log").read_text()
