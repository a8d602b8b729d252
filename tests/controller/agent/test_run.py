"""The agent as operators run it: a process, on emulated GPUs (stub.c) behind the real binding."""

import asyncio
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from random import Random

import aiohttp
import pytest
import trustme

from controller.background import Works
from controller.clock import SystemClock
from controller.signals.power.agent_sample import PATH, STREAM_PATH, decode
from controller.signals.power.open_source import open_source
from tests.fakes.agent_process import agent_process
from tests.fakes.certificates import Authority
from tests.fakes.nvml import stub as nvml
from tests.fakes.nvml.stub import NvmlStub, needs_a_compiler

ROOT = Path(__file__).parents[3]
TOKEN = "t" * 24
STOP_S = 20.0


async def samples(agent, session, count):
    """The first samples of the agent's stream."""
    found = []
    async with session.get(agent.url + STREAM_PATH) as answer:
        assert answer.status == 200
        async for line in answer.content:
            if line.startswith(b"data: "):
                found.append(decode(line.removeprefix(b"data: ").strip()))
            if len(found) == count:
                return found
    raise AssertionError("the stream ended")


async def until(session, url, status):
    """Asks until the status comes; returns the body."""
    while True:
        async with session.get(url) as answer:
            if answer.status == status:
                return await answer.text()
        await asyncio.sleep(0.05)


@needs_a_compiler
@pytest.mark.parametrize("interval_s", [0.2, 1.0])
async def test_a_controller_elsewhere_sees_power_that_is_at_most_two_seconds_old(tmp_path, interval_s):
    """A reading is replaced by the next sample: it is at most its age when sent and an interval old. From messages."""
    stub = NvmlStub(tmp_path)
    stub.add(uuid="GPU-a", draw=437_000)
    stub.add(uuid="GPU-b", energy_ret=nvml.NOT_SUPPORTED, instant=90_000)
    with agent_process(tmp_path, stub, "--interval", str(interval_s)) as agent:
        async with aiohttp.ClientSession() as session:
            taken = await samples(agent, session, 6)
    assert {sample.interval_s for sample in taken} == {interval_s}
    assert [sample.sequence - taken[0].sequence for sample in taken] == list(range(6))
    assert taken[-1].sent_at_s - taken[0].sent_at_s > 4 * interval_s  # one a poll, and no more
    read = [sample for sample in taken if sample.error is None]
    assert len(read) >= 5
    for sample in read:
        assert [gpu.uuid for gpu in sample.gpus] == ["GPU-a", "GPU-b"]
        for gpu in sample.gpus:
            assert 0 <= sample.sent_at_s - gpu.reading.observed_at_s + interval_s <= 2.0


@needs_a_compiler
async def test_the_controller_s_own_source_reads_it(tmp_path):
    stub = NvmlStub(tmp_path)
    stub.add(uuid="GPU-a", energy_ret=nvml.NOT_SUPPORTED, instant=437_000, power=437_000)
    stub.add(uuid="GPU-b", ret=nvml.NO_PERMISSION)
    (tmp_path / "token").write_text(TOKEN)
    arguments = ("--token-file", str(tmp_path / "token"))
    with agent_process(tmp_path, stub, *arguments) as agent:
        text = f"agent={agent.url}?token_file={tmp_path / 'token'}"
        async with open_source(text, SystemClock(), Works(Random(0)), timeout_s=STOP_S) as source:
            readings, errors = await source.read(0.0)
            while "GPU-a" not in readings:
                await asyncio.sleep(0.05)
                readings, errors = await source.read(0.0)
    assert errors == ()
    assert readings["GPU-a"].value_w == pytest.approx(437.0)
    assert "no permission" in readings["GPU-b"].reason


@needs_a_compiler
async def test_what_the_driver_does_is_seen_in_the_stream_and_the_probes(tmp_path):
    stub = NvmlStub(tmp_path)
    stub.add(uuid="GPU-a", draw=437_000)
    with agent_process(tmp_path, stub) as agent:
        async with aiohttp.ClientSession() as session:
            await until(session, f"{agent.url}/readyz", 200)
            stub.set(init=nvml.NOT_LOADED)
            assert "loaded" in await until(session, f"{agent.url}/readyz", 503)
            (sample,) = await samples(agent, session, 1)
            assert "loaded" in sample.error
            assert sample.driver is None
            assert "loaded" in sample.gpus[0].reading.reason
            stub.set(init=None)
            await until(session, f"{agent.url}/readyz", 200)
            async with session.get(f"{agent.url}/metrics") as answer:
                text = await answer.text()
            assert 'wattroute_agent_events_total{event="reopen"} 1.0' in text
            stub.set(init=nvml.MISMATCH)
            assert "start this process again" in await until(session, f"{agent.url}/healthz", 503)


@needs_a_compiler
async def test_it_ends_cleanly_although_a_stream_is_open(tmp_path):
    stub = NvmlStub(tmp_path)
    stub.add()
    with agent_process(tmp_path, stub) as agent:
        async with aiohttp.ClientSession() as session, session.get(agent.url + STREAM_PATH) as answer:
            await answer.content.readline()
            agent.process.send_signal(signal.SIGTERM)
            while await answer.content.readline():
                pass
        assert agent.process.wait(STOP_S) == 0
        assert "Traceback" not in agent.log.read_text()


@needs_a_compiler
async def test_it_ends_although_a_call_hangs_in_the_driver_and_meanwhile_says_so(tmp_path):
    stub = NvmlStub(tmp_path)
    stub.add(uuid="GPU-a")
    with agent_process(tmp_path, stub) as agent:
        async with aiohttp.ClientSession() as session:
            await until(session, f"{agent.url}/readyz", 200)
            stub.set(hang_ms=100_000)
            told = await until(session, f"{agent.url}/readyz", 503)
            assert "of GPU-a hangs" in told
            (sample,) = await samples(agent, session, 1)  # the stream goes on
            assert "hangs" in sample.gpus[0].reading.reason
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(STOP_S) == 0


async def test_a_machine_without_the_driver_is_served_with_the_reason(tmp_path):
    with agent_process(tmp_path, None) as agent:
        async with aiohttp.ClientSession() as session:
            await until(session, f"{agent.url}/healthz", 200)
            (sample,) = await samples(agent, session, 1)
            assert sample.gpus == ()
            assert "libnvidia-ml.so.1 is not found" in sample.error
            assert "libnvidia-ml.so.1 is not found" in await until(session, f"{agent.url}/readyz", 503)


@needs_a_compiler
async def test_other_machines_are_served_by_tls_with_a_token(tmp_path):
    stub = NvmlStub(tmp_path)
    stub.add(uuid="GPU-a")
    authority, folder = trustme.CA(), tmp_path / "tls"
    folder.mkdir()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(folder / "tls.key")
    certificate.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    arguments = ("--host", "0.0.0.0", "--tls-dir", str(folder))
    with agent_process(tmp_path, stub, *arguments, WATTROUTE_AGENT_TOKEN=TOKEN) as agent:
        url = agent.url.replace("http:", "https:") + PATH
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
            async with session.get(url) as answer:
                assert answer.status == 401
            session.headers["Authorization"] = f"Bearer {TOKEN}"
            assert decode(await until(session, url, 200)).driver == "580.95.05"
        assert TOKEN not in agent.log.read_text()


@needs_a_compiler
async def test_token_and_certificate_are_renewed_while_a_controller_reads(tmp_path):
    """The controller's own source sees the old token's stream end and comes back with the new one."""
    stub = NvmlStub(tmp_path)
    stub.add(uuid="GPU-a", draw=437_000)
    authority, folder, token = Authority(tmp_path), tmp_path / "tls", tmp_path / "token"
    folder.mkdir()

    def issue():
        pair = authority.issue("agent")
        pair.key_file.replace(folder / "tls.key")
        pair.certificate_file.replace(folder / "tls.crt")

    issue()
    token.write_text(TOKEN)
    arguments = ("--host", "0.0.0.0", "--token-file", str(token), "--tls-dir", str(folder))
    with agent_process(tmp_path, stub, *arguments) as agent:
        url = agent.url.replace("http:", "https:")
        text = f"agent={url}?token_file={token}&ca_file={authority.file}"
        async with open_source(text, SystemClock(), Works(Random(0)), timeout_s=STOP_S) as source, asyncio.timeout(60):
            trust = ssl.create_default_context(cafile=authority.file)
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust, force_close=True)) as session:
                bearer = {"Authorization": f"Bearer {TOKEN}"}
                while "GPU-a" not in (await source.read(0.0))[0]:
                    await asyncio.sleep(0.1)
                issue()
                token.write_text("n" * 24)
                while True:  # within a second or two; until then the old ones hold
                    async with session.get(url + PATH, headers=bearer) as answer:
                        if answer.status == 401:
                            break
                    await asyncio.sleep(0.1)
                bearer["Authorization"] = f"Bearer {'n' * 24}"
                while True:
                    async with session.get(url + "/metrics", headers=bearer) as answer:
                        if "credentials_renewed_total 2.0" in await answer.text():
                            break
                    await asyncio.sleep(0.1)
                before = (await source.read(0.0))[0]["GPU-a"].observed_at_s
                while True:
                    readings, errors = await source.read(0.0)
                    if not errors and readings["GPU-a"].observed_at_s > before:
                        break
                    await asyncio.sleep(0.1)
    assert "renewed" in agent.log.read_text()


def wattroute_agent(*arguments, hide="", **environment):
    code = f"import sys; sys.modules.update(dict.fromkeys({hide.split()!r})); from controller.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "agent", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
        check=False,
    )


@needs_a_compiler
def test_a_check_shows_the_gpus_and_needs_no_more_than_the_bare_install_and_the_binding(tmp_path):
    stub = NvmlStub(tmp_path)
    stub.add(uuid="GPU-a", draw=437_000)
    result = wattroute_agent("--check", hide="numpy scipy cvxpy highspy rich", **stub.environment)
    assert result.returncode == 0, result.stderr
    assert "GPU-a" in result.stdout
    stub.add(uuid="GPU-b", ret=nvml.LOST)
    assert wattroute_agent("--check", **stub.environment).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--host", "0.0.0.0"), 2, "--token-file"),
        (("--tls-dir", "/absent"), 2, "/absent"),
        (("--interval", "nan"), 2, "--interval"),
        (("--interval", "5"), 2, "--interval"),
    ],
)
def test_a_wrong_option_is_told_in_a_line(arguments, status, words):
    result = wattroute_agent(*arguments)
    assert result.returncode == status, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        result = wattroute_agent("--port", str(listener.getsockname()[1]))
    assert result.returncode == 3
    assert "cannot listen on 127.0.0.1" in result.stderr
