"""What the parts of a controller's service are put together for, where nothing can be reached."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from controller.background import Works
from controller.clock import Clock, VirtualClock
from controller.lifecycle.policy import Mode
from controller.metrics.telemetry import Telemetry
from controller.service.options import Endpoints, Feeds, Frame, ServiceOptions
from controller.service.proof import Proof, ProofOptions, opened_proof
from controller.signals.feeds import ConstantFeed
from controller.signals.present import Present
from controller.tick import TickPolicy
from tests.fakes.controller_parts import NOW_S, site
from tests.fakes.http_stub import closed_url
from tests.fakes.plain_engines import PlainEngines


@contextlib.asynccontextmanager
async def framed(
    folder: Path, *, mode: Mode = Mode.ACT, clock: Clock | None = None, import_limit_w: float | None = None, **ends: Any
) -> AsyncIterator[tuple[Frame, aiohttp.ClientSession]]:
    """A frame whose files are in a folder, and the session of its parts; `ends` are fields of `Endpoints`."""
    fleet, policy, dead = site(import_limit_w=import_limit_w), TickPolicy(mode=mode), closed_url()
    async with aiohttp.ClientSession() as session:
        yield (
            Frame(
                fleet,
                Present(fleet),
                policy,
                Endpoints(**{"engines": PlainEngines(session), "router_urls": (dead,), **ends}),
                Feeds(ConstantFeed(50.0, "usd_per_mwh"), ConstantFeed(300.0, "kg_per_mwh")),
                ServiceOptions(data_dir=folder, timeout_s=0.5),
                Works(Random(0)),
                clock or VirtualClock(NOW_S),
                Telemetry(fleet, policy.precedence),
            ),
            session,
        )


def proof_of(frame: Frame) -> contextlib.AbstractContextManager[Proof]:
    """Its records, opened."""
    return opened_proof(
        frame.options.data_dir,
        frame.site,
        frame.options.programmes,
        ProofOptions(),
        mode=frame.policy.mode,
        keep_records=None,
        clock=frame.clock,
        registry=frame.telemetry.registry,
    )
