"""What runs beside a VEN: its reports, and the ways by which its VTN tells of changes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from controller.background import Work, Works, in_background
from controller.clock import Clock
from controller.errors import ConfigError
from controller.openadr.draws import Draws
from controller.openadr.follow import FirstHeard
from controller.openadr.notified import Notified, NotifiedMetrics
from controller.openadr.report_maker import MakerSpec, ReportMaker
from controller.openadr.report_metrics import ReportMetrics
from controller.openadr.report_queue import FILE_NAME, ReportQueue
from controller.openadr.report_sheds import cost_of
from controller.openadr.report_source import Known, LiveSource
from controller.openadr.reporter import Reporter, ReporterParts
from controller.openadr.reports import Reporting
from controller.openadr.subscriptions import Subscriber, SubscriberParts
from controller.openadr.ven import Ven
from controller.openadr.webhook import Callback, listen

log = logging.getLogger(__name__)

UNSUBSCRIBE_S = 3.0
"""Longest time that is given to deleting subscriptions at the end."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What the VENs of a service share beside their calls.

    Attributes:
        data_dir: where reports wait to be sent.
        known: what reports are made from.
        works: where what runs beside the VENs is counted and shown.
    """

    data_dir: Path
    known: Known
    clock: Clock
    registry: CollectorRegistry
    works: Works


class Teller:
    """Sets up what runs beside each VEN; the queue and the metrics are shared."""

    def __init__(self, world: Telling) -> None:
        """Open the queue.

        Raises:
            StoreError: its file cannot be used.
        """
        self._world = world
        self._queue = ReportQueue(world.data_dir / FILE_NAME)
        self._reports = ReportMetrics(world.registry)
        self._notified = NotifiedMetrics(world.registry)
        self._source = LiveSource(world.known)

    def close(self) -> None:
        """Close the queue."""
        self._queue.close()

    def draws(self, vtn: str, fresh: Draws) -> Draws:
        """The draws of a VTN as the first process made them; `fresh` ones where there was none.

        Raises:
            StoreError: they cannot be kept.
        """
        return Draws(self._queue.seed(vtn, fresh.seed))

    def first_heard(self, vtn: str) -> FirstHeard:
        """When events of a VTN were first heard of, by any process; `StoreError` where that cannot be kept."""
        return partial(self._queue.heard_s, vtn)

    @contextlib.asynccontextmanager
    async def beside(self, ven: Ven, tls: ssl.SSLContext) -> AsyncIterator[None]:
        """Report, and listen, as the VEN's spec has it, until the end.

        Raises:
            ConfigError: a certificate cannot be used, or MQTT is asked for and not installed.
            ListenError: the port of the callback cannot be had.
        """
        name, works = ven.spec.name, self._world.works
        async with contextlib.AsyncExitStack() as stack:
            if ven.spec.callback is not None:
                await self._listen(stack, ven)
            if ven.spec.has_mqtt:
                listening = in_background(self._mqtt(ven, tls), Work.OPENADR_MQTT, name, works=works)
                await stack.enter_async_context(listening)
            if ven.spec.reports:
                reporting = in_background(self.reporter(ven).run, Work.OPENADR_REPORTS, name, works=works)
                await stack.enter_async_context(reporting)
            yield

    def reporter(self, ven: Ven) -> Reporter:
        """What reports to a VTN."""
        world, spec = self._world, ven.spec
        steps_s = {name: terms.settlement_interval_s for name, terms in world.known.programmes.items()}
        who = Reporting(client_name(ven), spec.resources, spec.own, spec.source)
        costs = {name: spec.shed_cost or cost_of(terms.precedence) for name, terms in world.known.programmes.items()}
        maker_spec = MakerSpec(spec.name, who, spec.acknowledges, steps_s, costs, spec.reservation_w)
        maker = ReportMaker(maker_spec, self._queue, self._source, self._reports)
        return Reporter(
            ReporterParts(
                vtn=spec.name,
                client=ven.client,
                queue=self._queue,
                maker=maker,
                source=self._source,
                metrics=self._reports,
                clock=world.clock,
                chance=random.SystemRandom(),
                followed=lambda: ven.desk.followed,
            )
        )

    async def _listen(self, stack: contextlib.AsyncExitStack, ven: Ven) -> None:
        callback_spec = ven.spec.callback
        if callback_spec is None:
            return
        notified = Notified(self._notified, ven.spec.name, "webhook")
        callback = Callback(ven.spec.name, self._world.clock, ven.hasten, notified.count)
        runner = await listen(callback.app(), callback_spec)
        stack.push_async_callback(runner.cleanup)
        parts = SubscriberParts(
            client=ven.client,
            client_name=client_name(ven),
            url=callback_spec.url,
            token=callback.token,
            programs=lambda: ven.programs,
            chance=random.SystemRandom(),
            notified=notified,
            on_change=ven.hasten,
        )
        subscriber = Subscriber(parts)
        stack.push_async_callback(_unsubscribe, subscriber)
        name, works = ven.spec.name, self._world.works
        subscribing = in_background(subscriber.run, Work.OPENADR_SUBSCRIPTIONS, name, works=works)
        await stack.enter_async_context(subscribing)

    def _mqtt(self, ven: Ven, tls: ssl.SSLContext) -> Callable[[], Coroutine[Any, Any, None]]:
        try:
            from controller.openadr.mqtt import MqttListener, MqttParts
        except ImportError as error:
            place = f"openadr.{ven.spec.name}.mqtt"
            raise ConfigError(f"{place}: aiomqtt is not installed; pip install 'wattroute[mqtt]'") from error
        credentials = ven.spec.credentials
        parts = MqttParts(
            vtn=ven.spec.name,
            client=ven.client,
            client_id=None if credentials is None else credentials.client_id,
            tls=tls,
            programs=lambda: ven.programs,
            ven_id=lambda: None if ven.registrar.ven is None else ven.registrar.ven.ven_id,
            chance=random.SystemRandom(),
            notified=Notified(self._notified, ven.spec.name, "mqtt"),
            on_change=ven.hasten,
        )
        return MqttListener(parts).run


def client_name(ven: Ven) -> str:
    """The name that our reports and subscriptions carry at a VTN."""
    credentials = ven.spec.credentials
    return ven.spec.ven_name or (credentials.client_id if credentials is not None else "wattroute")


async def _unsubscribe(subscriber: Subscriber) -> None:
    try:
        async with asyncio.timeout(UNSUBSCRIBE_S):
            await subscriber.unsubscribe()
    except TimeoutError:
        log.warning("subscriptions not deleted: the VTN does not answer", extra={"left": sorted(subscriber.held)})
