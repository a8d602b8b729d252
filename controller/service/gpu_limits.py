"""The part of a service that limits GPUs, where that is configured, or others may have left some limited."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp

from controller.actuators.gpu_limits import Daemon, GpuLimiter
from controller.loop.custody import firm_limit_of
from controller.loop.gpu_limit_desk import DeskParts, GpuLimitDesk, GpuLimitMetrics
from controller.loop.status import Status
from controller.service.options import Frame
from controller.signals.power.http_access import HttpAccess
from controller.signals.power.specs import ZeusdSpec
from controller.store.state import StateFile

FILE_NAME = "gpu-limits.json"


@contextlib.asynccontextmanager
async def opened_limiter(
    frame: Frame, share: Callable[[], Awaitable[None]], may_act: Callable[[], bool] = lambda: True
) -> AsyncIterator[GpuLimiter | None]:
    """What limits GPUs; None where nothing is configured, and nobody else may have left any limited.

    Args:
        frame: of the service.
        share: leaves what was found to the controllers that may follow.
        may_act: whether this controller leads.

    Raises:
        StoreError: the file that tells which GPUs are limited is damaged.
        ConfigError: a file of TLS cannot be used.
    """
    options = frame.options
    path = options.data_dir / FILE_NAME
    if not options.gpu_limits and not path.exists() and options.election is None:
        yield None
        return
    async with contextlib.AsyncExitStack() as stack:
        daemons = [await stack.enter_async_context(_reached(spec)) for spec in frame.endpoints.zeusd]
        yield GpuLimiter(tuple(daemons), StateFile(path), share, may_act)


@contextlib.asynccontextmanager
async def limiting_gpus(
    frame: Frame, limiter: GpuLimiter | None, has_heir: Callable[[], bool]
) -> AsyncIterator[tuple[Callable[[Status], None], ...]]:
    """What is to look at each status; limits are given back at the end, unless another controller takes over."""
    if limiter is None:
        yield ()
        return
    options = frame.options
    parts = DeskParts(
        options.gpu_limits,
        limiter,
        GpuLimitMetrics(frame.telemetry.registry),
        lambda events, now_s: firm_limit_of(events, None, frame.policy.precedence, now_s),
        frame.policy.reading_stale_s,
        options.exit_wait_s,
        has_heir,
    )
    desk = GpuLimitDesk(parts)
    async with desk.open(frame.works):
        yield (desk.take,)


@contextlib.asynccontextmanager
async def _reached(spec: ZeusdSpec) -> AsyncIterator[Daemon]:
    is_unix = spec.url.startswith("unix:")
    connector = aiohttp.UnixConnector(path=spec.url.removeprefix("unix:")) if is_unix else None
    async with aiohttp.ClientSession(connector=connector) as session:
        url = "http://localhost" if is_unix else spec.url.rstrip("/")
        yield Daemon(HttpAccess(session, spec.http), url, spec.gpu_uuids)
