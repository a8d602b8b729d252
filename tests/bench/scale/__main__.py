"""See the package: what a tick costs for fleets of growing size. Engines and requests are EMULATED."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from redis.asyncio import Redis

from tests.bench import about
from tests.bench.scale.engines import COUNT_PATH
from tests.fakes.ports import free_ports
from tests.fakes.redis_server import RedisServer, running_redis
from tests.fakes.system import ROOT, get

FIRST_PORT = 20_000
PROFILES = (
    ("bf16", 8, "qwen3-235b-a22b/bf16/8xh100", 0.0),
    ("fp8", 4, "qwen3-235b-a22b/fp8/4xh100", 0.006),
    ("int4", 2, "qwen3-235b-a22b/int4/2xh100", 0.02),
)
CLOCK_HZ = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Size:
    """Of a fleet."""

    routers: int
    instances: int
    pools: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a tick costs, and the table.

    Attributes:
        tick_s: mean, from reading to acting.
        solver_s: of it the solver's.
        cpu_frac: processor time of the controller over the time that passed, 1 for one core.
        commands, bytes_in, bytes_out: of Redis, a tick; in is what it is sent.
        own_commands: of those the controller's.
        asked_per_s: requests a second at an engine that every router probes, those of the controller among them.
        loads_bytes: of the document by which the controller tells of the engines.
    """

    size: Size
    ticks: float
    tick_s: float
    cpu_frac: float
    commands: float
    bytes_in: float
    bytes_out: float
    table_bytes: int
    asked_per_s: float = 0.0
    loads_bytes: int = 0
    solver_s: float = 0.0


SIZES = (Size(50, 125, 12), Size(100, 250, 25), Size(200, 500, 50))


def document(size: Size, redis: RedisServer, port: int, folder: Path, tick_s: float) -> dict[str, Any]:
    """Configuration of controller and routers."""
    pools, plans, first = [], {}, FIRST_PORT
    for number in range(size.pools):
        precision, gpus, curves, loss = PROFILES[number % len(PROFILES)]
        count = size.instances // size.pools + (number < size.instances % size.pools)
        urls = [f"http://127.0.0.1:{first + n}" for n in range(count)]
        first += count
        pools.append({"name": f"{precision}-{number}", "precision": precision, "instances": urls})
        plans[f"{precision}-{number}"] = {
            "gpu": "H100", "gpus_per_instance": gpus, "curves": curves, "quality_loss_frac": loss, "start_usd": 0.02,
        }  # fmt: skip
    return {
        "model": "m",
        "pools": pools,
        "classes": [{"name": "standard"}, {"name": "premium", "priority": 1}, {"name": "flex", "priority": -1}],
        "default_class": "standard",
        "table": {"redis_url": redis.url},
        "plan": {
            "pools": plans,
            "step_s": 300,
            "steps": 12,
            "classes": {"standard": {"quality_budget_frac": 0.01}, "flex": {"quality_budget_frac": 0.02}},
        },
        "controller": {"mode": "act", "port": port, "tick_s": tick_s, "data_dir": str(folder)},
    }


@contextlib.asynccontextmanager
async def started(
    folder: Path, name: str, *command: str, ready: bool = True
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python process, until the end; it has said that it is ready, where it does so."""
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            stdout=asyncio.subprocess.PIPE if ready else log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            if ready and process.stdout is not None and await process.stdout.readline() != b"ready\n":
                raise RuntimeError(f"{name} ended: {(folder / f'{name}.log').read_text()[-2000:]}")
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def cpu_s(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_HZ


def ticked(api: str) -> tuple[float, float, float]:
    """Ticks so far, their time, and the solver's in them."""
    return times_of(get(f"{api}/metrics")[1].decode())


def times_of(text: str) -> tuple[float, float, float]:
    """The same of the metrics' text."""
    names = (r"tick_seconds_count", r"tick_seconds_sum", r"solver_seconds_sum")
    found = [re.findall(rf"^wattroute_controller_{name}(?:\{{.*?\}})? (\S+)", text, re.M) for name in names]
    count, total_s, solver_s = (sum(map(float, values)) for values in found)
    return count, total_s, solver_s


async def traffic(client: Redis) -> tuple[float, float, float]:
    """Commands, bytes in and bytes out of Redis so far."""
    stats = await client.info("stats")
    return tuple(
        float(stats[name]) for name in ("total_commands_processed", "total_net_input_bytes", "total_net_output_bytes")
    )  # type: ignore[return-value]


def asked() -> int:
    """How often the first engine was asked so far."""
    return int(get(f"http://127.0.0.1:{FIRST_PORT}{COUNT_PATH.decode()}")[1])


async def until_ticks(api: str, process: asyncio.subprocess.Process, count: float, limit_s: float) -> None:
    """Wait until the controller has decided so often."""
    async with asyncio.timeout(limit_s):
        while process.returncode is None:
            with contextlib.suppress(OSError):
                if (await asyncio.to_thread(ticked, api))[0] >= count:
                    return
            await asyncio.sleep(0.5)
    raise RuntimeError(f"the controller ended with {process.returncode}")


async def measured(size: Size, tick_s: float, seconds: float) -> Found:
    """One size, once the plan has settled."""
    async with running_redis() as redis, Redis.from_url(redis.url) as client:
        with tempfile.TemporaryDirectory() as name:
            folder, (port,) = Path(name), free_ports(1)
            config = folder / "wattroute.yaml"
            config.write_text(yaml.safe_dump(document(size, redis, port, folder, tick_s)))
            api, module = f"http://127.0.0.1:{port}", "tests.bench.scale"
            async with (
                started(folder, "engines", "-m", f"{module}.engines", str(FIRST_PORT), str(size.instances)),
                started(folder, "routers", "-m", f"{module}.routers", str(config), str(size.routers)),
                started(
                    folder, "controller", "-m", "controller.cli", "controller", "--config", str(config), ready=False
                ) as controller,
            ):
                try:
                    await until_ticks(api, controller, 5.0, 120.0 + 20.0 * tick_s)
                except TimeoutError as error:
                    told = (folder / "controller.log").read_text()[-2000:]
                    raise RuntimeError(f"the controller does not decide: {told}") from error
                asked_before = await asyncio.to_thread(asked)
                before = (await asyncio.to_thread(ticked, api), cpu_s(controller.pid), await traffic(client))
                await asyncio.sleep(seconds)
                after = (await asyncio.to_thread(ticked, api), cpu_s(controller.pid), await traffic(client))
                asked_per_s = (await asyncio.to_thread(asked) - asked_before) / seconds
                table_bytes = int(await client.strlen("wattroute:allocation"))
                loads_bytes = int(await client.strlen("wattroute:allocation:loads"))
    ticks = after[0][0] - before[0][0]
    per_tick = [(late - early) / ticks for early, late in zip(before[2], after[2], strict=True)]
    cpu_frac = (after[1] - before[1]) / seconds
    sizes = {"table_bytes": table_bytes, "loads_bytes": loads_bytes}
    tick_s, solver_s = ((after[0][n] - before[0][n]) / ticks for n in (1, 2))
    return Found(size, ticks, tick_s, cpu_frac, *per_tick, **sizes, asked_per_s=asked_per_s, solver_s=solver_s)


def table_of(found: list[Found]) -> str:
    """Markdown; the last columns are for one instance."""
    heads = (
        "routers", "instances", "pools", "tick, s", "of it the solver, s", "controller, cores",
        "Redis commands a tick", "MB in", "MB out", "table, kB", "requests a second at an engine", "loads, kB",
        "ms a tick and instance", "commands and instance", "kB and instance", "table, B and instance",
    )  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|" + "---:|" * len(heads)]
    for each in found:
        n = each.size.instances
        cells = (
            each.size.routers, n, each.size.pools, f"{each.tick_s:.2f}", f"{each.solver_s:.3f}", f"{each.cpu_frac:.2f}",
            f"{each.commands:.0f}", f"{each.bytes_in / 1e6:.2f}", f"{each.bytes_out / 1e6:.2f}",
            f"{each.table_bytes / 1e3:.1f}", f"{each.asked_per_s:.1f}", f"{each.loads_bytes / 1e3:.1f}",
            f"{1e3 * each.tick_s / n:.2f}", f"{each.commands / n:.2f}",
            f"{(each.bytes_in + each.bytes_out) / n / 1e3:.1f}", f"{each.table_bytes / n:.0f}",
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


async def main(sizes: tuple[Size, ...], tick_s: float, seconds: float) -> None:
    """Measure each size and print."""
    found = []
    for size in sizes:
        found.append(await measured(size, tick_s, seconds))
        sys.stderr.write(f"{found[-1]}\n")
    machine = about.line(ROOT)
    sys.stdout.write(f"{machine}; engines and requests EMULATED\n\n{table_of(found)}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tick-s", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=60.0, help="measured for each size")
    parser.add_argument("--size", default=None, help="ROUTERS,INSTANCES,POOLS in place of the usual ones")
    given = parser.parse_args()
    chosen = SIZES if given.size is None else (Size(*map(int, given.size.split(","))),)
    asyncio.run(main(chosen, given.tick_s, given.seconds))
