"""`wattroute-router drain`, beside a router that runs."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import aiohttp
import pytest
import yaml

from router import drain_command
from router.errors import DrainError, SettingsError
from router.settings.process import LONGEST_DRAIN_S
from tests.fakes.fake_engine import FakeEngine, Request, Wire, behave
from tests.fakes.ports import free_ports
from tests.fakes.router_process import router_process


async def drain(file: Path, *words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "router.cli", "drain", "--config", str(file), *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_it_drains_a_router_with_a_token_and_tells_what_is_in_flight_yet(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("sesame-sesame-1\n")
    request = {"model": "qwen", "messages": [{"role": "user", "content": "hi"}]}
    go_on = asyncio.Event()

    async def held(request: Request, wire: Wire) -> None:
        if "chat" in request.target:
            await go_on.wait()
        await behave(request, wire)

    async with (
        FakeEngine(held) as engine,
        aiohttp.ClientSession() as session,
        router_process(tmp_path, engine, admin_token_file=str(token), timeouts={"drain_s": 60.0}) as router,
    ):
        file = tmp_path / "running.yaml"
        written = yaml.safe_load((tmp_path / "wattroute.yaml").read_text())
        written["router"].update(admin_host="0.0.0.0", admin_port=router.admin_port)
        file.write_text(yaml.safe_dump(written))
        answer = asyncio.create_task(session.post(f"{router.url}/v1/chat/completions", json=request))
        async with asyncio.timeout(20):
            while not [r for r in engine.requests if "chat" in r.target]:
                await asyncio.sleep(0.02)
        # As the hook of the engine beside it waits, which begins when the drain does or even before.
        hook = asyncio.create_task(session.get(f"{router.admin_url}/drained?wait_s=60&quiet_s=0"))
        code, said = await drain(file, "--wait-s", "0")
        assert (code, "503" in said, '"in_flight":1' in said) == (1, True, True), said
        assert (await session.get(f"{router.admin_url}/readyz")).status == 503
        assert not hook.done()
        go_on.set()
        assert (await hook).status == 200
        assert (await answer).status == 200
        code, said = await drain(file, "--quiet-s", "0")
        assert (code, said.strip()) == (0, "drained")


def test_a_router_that_does_not_run_is_named(tmp_path: Path) -> None:
    (unused_port,) = free_ports(1)
    file = tmp_path / "wattroute.yaml"
    pools = [{"name": "bf16", "precision": "bf16", "instances": ["http://127.0.0.1:9"]}]
    file.write_text(yaml.safe_dump({"pools": pools, "router": {"admin_port": unused_port}}))
    with pytest.raises(DrainError, match=rf"127\.0\.0\.1:{unused_port}/drain: .*is the router .* running here"):
        drain_command.run(["--config", str(file)])
    with pytest.raises(SettingsError, match="--wait-s 1e\\+06 is not between"):
        drain_command.run(["--config", str(file), "--wait-s", "1e6"])
    with pytest.raises(SettingsError, match="--quiet-s nan is not between"):
        drain_command.run(["--config", str(file), "--quiet-s", "nan"])


def test_the_longest_drain_that_a_configuration_may_name_is_waited_for(tmp_path: Path) -> None:
    (unused_port,) = free_ports(1)
    file = tmp_path / "wattroute.yaml"
    pools = [{"name": "bf16", "precision": "bf16", "instances": ["http://127.0.0.1:9"]}]
    timeouts = {"drain_s": LONGEST_DRAIN_S}
    file.write_text(yaml.safe_dump({"pools": pools, "router": {"admin_port": unused_port, "timeouts": timeouts}}))
    with pytest.raises(DrainError, match=r"is the router .* running here"):
        drain_command.run(["--config", str(file)])
    file.write_text(file.read_text().replace("3600", "3601"))
    with pytest.raises(SettingsError, match=r"router\.timeouts\.drain_s"):
        drain_command.run(["--config", str(file)])


def test_a_configuration_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SystemExit):
        drain_command.run([])
    assert "--config" in capsys.readouterr().err
