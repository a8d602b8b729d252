"""A controller put together and served in this process, that reaches no engine and has no solver."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

import aiohttp

from controller.background import Works
from controller.errors import SolverError
from controller.loop.runner import RunnerOptions
from controller.model.programme import Programme
from controller.service.app import assemble
from controller.service.options import Endpoints, Feeds, ServiceOptions
from controller.service.serving import Service, serve
from controller.signals.feeds import ConstantFeed
from controller.signals.power.specs import DcgmSpec, PowerSpecs
from controller.tick import Mode, TickPolicy
from tests.fakes.controller_parts import pool, site
from tests.fakes.http_stub import closed_url
from tests.fakes.plain_engines import PlainEngines

BUILT_IN = {"operator": Programme("operator")}


class NoPlanner:
    """A solver that never has a plan, so that the ladder goes down to its last step."""

    def plan(self, data, *, time_limit_s):
        raise SolverError("no solver in this test")

    def dispatch(self, data, on):
        raise SolverError("no solver in this test")


@contextlib.asynccontextmanager
async def assembled(folder, programmes=BUILT_IN, gpu_limits=(), **more):
    dead = closed_url()
    async with (
        aiohttp.ClientSession() as session,
        assemble(
            site(pool("bf16", (dead,))),
            TickPolicy(mode=Mode.ACT),
            NoPlanner(),
            endpoints=Endpoints(
                PlainEngines(session),
                power=PowerSpecs((("dcgm", DcgmSpec((f"{dead}/metrics",))),)),
                router_urls=(dead,),
                supervisor_url=dead,
                **more,
            ),
            feeds=Feeds(ConstantFeed(50.0, "usd_per_mwh"), ConstantFeed(300.0, "kg_per_mwh")),
            options=ServiceOptions(
                data_dir=folder,
                timeout_s=0.5,
                pace=RunnerOptions(tick_s=0.2, sample_s=0.1),
                programmes=programmes,
                gpu_limits=gpu_limits,
            ),
            works=Works(Random(0)),
        ) as service,
    ):
        yield service


@contextlib.asynccontextmanager
async def serving(service: Service):
    listening = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(service, "127.0.0.1", 0, on_listening=listening.set_result))
    try:
        yield f"http://127.0.0.1:{await listening}", task
    finally:
        service.runner.stop()
        await task


async def eventually(session, url, status=200):
    async with asyncio.timeout(30):
        while True:
            async with session.get(url) as answer:
                if answer.status == status:
                    return await answer.read()
            await asyncio.sleep(0.05)
