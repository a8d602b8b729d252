"""All engines of this machine: those that the configuration names, and those that still run from an earlier one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path

from controller.errors import ActuationError
from controller.supervise.engine import Engine, Tools
from controller.supervise.engine_log import EngineLog
from controller.supervise.proc_table import left_of, read_all
from controller.supervise.records import Record
from controller.supervise.spec import EngineSpec
from router.contract import InstanceId, PoolId


class NoSuchEngine(ActuationError):  # noqa: N818 - reads as the outcome it is
    """Nobody knows an engine of that name."""


class Fleet:
    """The engines by name, and the rule that no two of them share a GPU or an address."""

    def __init__(
        self, specs: Iterable[EngineSpec], tools: Tools, folder: Path, *, log_bytes: int, older_logs: int
    ) -> None:
        known = {record.instance_id: record for record in tools.records.read()}
        self._engines: dict[str, Engine] = {}
        specs = tuple(specs)
        strays = _strays(known, {spec.instance_id for spec in specs}, tools)
        for spec in (*specs, *strays):
            record = known.get(spec.instance_id) or Record(
                spec.instance_id, wanted=spec.is_initially_on, url=spec.url, gpu_uuids=spec.gpu_uuids
            )
            engine_log = EngineLog(folder / f"{spec.instance_id}.log", log_bytes, older_logs)
            engine = Engine(spec, record, engine_log, tools)
            engine.refuse_by(partial(self._held, engine, or_wanted=False))
            self._engines[spec.instance_id] = engine

    @property
    def engines(self) -> tuple[Engine, ...]:
        """All that the configuration names, and the others as long as they run."""
        return tuple(engine for engine in self._engines.values() if engine.spec.is_configured or engine.holds)

    def find(self, instance_id: str) -> Engine:
        """The engine of that name.

        Raises:
            NoSuchEngine: there is none.
        """
        for engine in self.engines:
            if engine.spec.instance_id == instance_id:
                return engine
        names = ", ".join(engine.spec.instance_id for engine in self.engines)
        raise NoSuchEngine(instance_id, f"no such engine; there are {names or 'none'}")

    def order(self, instance_id: str, *, wanted: bool) -> Engine:
        """Have an engine run, or not.

        Raises:
            NoSuchEngine: there is none of that name.
            ActuationError: another one has its GPU or its address, or the configuration does not name it any more.
        """
        engine = self.find(instance_id)
        if wanted and not engine.spec.is_configured:
            raise ActuationError(instance_id, "the configuration does not say how it is started any more")
        held = self._held(engine, or_wanted=True) if wanted else None
        if held is not None:
            raise ActuationError(instance_id, held)
        engine.order(wanted=wanted)
        return engine

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Watch every engine until the end; what runs then goes on to run."""
        tasks = [
            asyncio.create_task(engine.watch(), name=f"engine {engine.spec.instance_id}")
            for engine in self._engines.values()
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _held(self, engine: Engine, *, or_wanted: bool) -> str | None:
        """Who has one of its GPUs or its address; None where nobody has.

        Of two that are to run from the beginning the one that the configuration names first has them, unless the other
        one runs already.
        """
        wants, is_before = engine.spec, True
        for other in self.engines:
            if other is engine:
                is_before = False
                continue
            if not other.holds and not (other.life.wanted and (or_wanted or is_before)):
                continue
            has = other.record if other.holds else other.spec
            shared = sorted(set(wants.gpu_uuids) & set(has.gpu_uuids))
            if shared:
                return f"GPU {shared[0]} is taken by {other.spec.instance_id}; stop that one first"
            if has.url == wants.url:
                return f"{wants.url} is the address of {other.spec.instance_id}; stop that one first"
        return None


def _strays(known: dict[str, Record], configured: set[InstanceId], tools: Tools) -> tuple[EngineSpec, ...]:
    """Engines that still run although the configuration does not name them; the records of others are dropped."""
    table = read_all()
    strays = []
    for record in known.values():
        if record.instance_id in configured:
            continue
        if record.mark is not None and left_of(record.mark, table, tools.boot):
            strays.append(
                EngineSpec(
                    instance_id=InstanceId(record.instance_id),
                    pool_id=PoolId(""),
                    url=record.url,
                    host="",
                    argv=(),
                    environment={},
                    gpu_uuids=record.gpu_uuids,
                )
            )
        else:
            tools.records.drop(record.instance_id)
    return tuple(strays)
