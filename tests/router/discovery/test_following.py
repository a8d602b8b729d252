"""The sources of all pools together: what the router is told, when, and what changed settings do to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from router import keep_up
from router.discovery import following, watch
from router.discovery.following import Discovery
from router.errors import SettingsError
from router.settings import RouterFile
from tests.fakes.kube.kinds import ENDPOINT_SLICES
from tests.fakes.kube.samples import endpoint, endpoint_slice
from tests.fakes.kube.server import KubeServer, kube_server, until
from tests.fakes.settings_files import pool


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "SETTLE_S", 0.05)
    monkeypatch.setattr(following, "SPACING_S", 0.06)
    monkeypatch.setattr(following, "RETRY_S", 0.1)


def file(server: KubeServer | None, *pools: dict[str, Any]) -> RouterFile:
    section = {} if server is None else {"kubernetes": {"url": server.url}}
    return RouterFile.model_validate({"pools": list(pools), **section})


def discovered(name: str, precision: str = "fp8", **over: Any) -> dict[str, Any]:
    entry = {"kind": "kubernetes", "service": name, "namespace": "llm", **over}
    return {"name": name, "precision": precision, "discovery": entry}


class Router:
    """Goes by what is found, as `router.app.Router` does."""

    def __init__(self, settings: RouterFile) -> None:
        self.settings = settings
        self.obeyed: list[list[tuple[str, ...]]] = []
        self.failing = 0
        self.failure: Exception = SettingsError("the engine's key cannot be read")
        self.asked = 0
        self.may_obey = asyncio.Event()
        self.may_obey.set()
        self.discovery = Discovery(self.obey, environment={}, monotonic_s=lambda: 0.0, rng=random.Random(1))
        self.discovery.use(settings)

    async def obey(self) -> None:
        self.asked += 1
        await self.may_obey.wait()
        if self.failing:
            self.failing -= 1
            raise self.failure
        self.obeyed.append([each.names() for each in self.discovery.merged(self.settings).pools])

    def use(self, settings: RouterFile) -> None:
        self.discovery.use(settings)
        self.settings = settings

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.discovery.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def goes_by(self, *names: tuple[str, ...]) -> None:
        await until(lambda: self.obeyed[-1:] == [list(names)])


def add(server: KubeServer, service: str, *pods: str) -> None:
    for n, pod in enumerate(pods):
        host = f"10.{len(service)}.{len(server.store.objects.get(ENDPOINT_SLICES, {}))}.{n}"
        server.store.create(ENDPOINT_SLICES, "llm", endpoint_slice(f"s-{pod}", endpoint(host, pod), service=service))


async def test_nothing_is_told_and_then_each_pool() -> None:
    async with kube_server() as server:
        add(server, "one", "a")
        router = Router(file(server, pool(), discovered("one"), discovered("second")))
        hanging = server.faults.add(None, lambda r: "second" in r.query["labelSelector"], times=1)
        assert router.discovery.untold() == ("one", "second")
        async with router.running():
            await router.goes_by(("bf16-0",), ("a",), ())
            assert hanging.befell == 1
            assert router.discovery.untold() == ("second",)
            ages = {view.pool_id: view.age_s for view in router.discovery.views()}
            assert ages == {"one": 0.0, "second": None}


async def test_changes_that_come_together_are_obeyed_together() -> None:
    async with kube_server() as server:
        router = Router(file(server, discovered("one")))
        router.may_obey.clear()
        async with router.running():
            await until(lambda: router.asked == 1)
            add(server, "one", *"abcdefgh")
            await until(lambda: router.discovery.views()[0].endpoints["ready"] == 8)
            router.may_obey.set()
            await router.goes_by(tuple("abcdefgh"))
            assert router.asked <= 2


async def test_what_cannot_be_obeyed_is_tried_again() -> None:
    async with kube_server() as server:
        add(server, "one", "a")
        router = Router(file(server, discovered("one")))
        router.failing = 2
        async with router.running():
            await router.goes_by(("a",))
        assert router.failing == 0


def failed_parts(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["part"] for record in caplog.records if record.levelno == logging.CRITICAL]


async def test_a_fault_while_it_is_obeyed_is_told_and_the_same_is_obeyed_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keep_up, "FIRST_S", 0.05)
    async with kube_server() as server:
        add(server, "one", "a")
        router = Router(file(server, discovered("one")))
        router.failing, router.failure = 2, RuntimeError("boom")
        async with router.running():
            await router.goes_by(("a",))
            add(server, "one", "b")
            await router.goes_by(("a", "b"))
    assert failed_parts(caplog) == ["discovery", "discovery"]


async def test_a_source_that_fails_is_told_and_begun_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keep_up, "FIRST_S", 0.05)
    find, failing = watch.find, ["boom"]

    def fail_once(*given: Any) -> Any:
        if failing:
            raise RuntimeError(failing.pop())
        return find(*given)

    monkeypatch.setattr(watch, "find", fail_once)
    async with kube_server() as server:
        add(server, "one", "a")
        router = Router(file(server, discovered("one")))
        async with router.running():
            await until(lambda: router.discovery.views()[0].error == "RuntimeError: boom")
            await router.goes_by(("a",))
            (view,) = router.discovery.views()
            assert (view.failures, view.error) == (1, None)
    assert failed_parts(caplog) == ["discovery of one"]


async def test_once_told_a_pool_that_joins_does_not_take_the_router_out_of_service() -> None:
    async with kube_server() as server:
        add(server, "one", "a")
        router = Router(file(server, discovered("one")))
        async with router.running():
            await router.goes_by(("a",))
            assert router.discovery.untold() == ()
            server.faults.add(500, times=None)
            router.use(file(server, discovered("one"), discovered("second")))
            assert router.discovery.untold() == ()
            assert [view.told for view in router.discovery.views()] == [True, False]


async def test_other_settings_of_a_pool_keep_its_instances_until_the_new_source_tells() -> None:
    async with kube_server() as server:
        add(server, "one", "a")
        add(server, "other", "z")
        router = Router(file(server, discovered("one")))
        async with router.running():
            await router.goes_by(("a",))
            changed = discovered("one", service="other")
            held = server.faults.add(500, times=None)
            router.use(file(server, changed))
            await until(lambda: held.befell > 0)
            assert router.discovery.merged(router.settings).pools[0].names() == ("a",)
            server.faults.clear()
            await router.goes_by(("z",))


async def test_a_pool_that_stays_is_not_asked_anew_and_one_that_leaves_is_not_followed() -> None:
    async with kube_server() as server:
        add(server, "one", "a")
        add(server, "second", "b")
        router = Router(file(server, discovered("one"), discovered("second")))
        async with router.running():
            await router.goes_by(("a",), ("b",))
            await until(lambda: len(server.watches.open) == 2)
            asked = len(server.lists(ENDPOINT_SLICES))
            router.use(file(server, discovered("one")))
            await until(lambda: len(server.watches.open) == 1)
            assert [view.pool_id for view in router.discovery.views()] == ["one"]
            assert len(server.lists(ENDPOINT_SLICES)) == asked
        await until(lambda: not server.watches.open)


async def test_another_api_server_is_asked_from_then_on() -> None:
    async with kube_server() as server, kube_server() as second:
        add(server, "one", "a")
        add(second, "one", "b")
        router = Router(file(server, discovered("one")))
        async with router.running():
            await router.goes_by(("a",))
            router.use(file(second, discovered("one")))
            await router.goes_by(("b",))


async def test_a_name_is_looked_up() -> None:
    entry = {"kind": "dns", "name": "localhost", "port": 8000}
    router = Router(file(None, {"name": "one", "precision": "fp8", "discovery": entry}))
    async with router.running():
        await until(lambda: bool(router.obeyed))
    assert "127.0.0.1:8000" in router.obeyed[-1][0]


def test_where_to_look_has_to_be_known(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"write kubernetes\.url"):
        Router(file(None, discovered("one")))
    entry = {**discovered("one"), "discovery": {"kind": "kubernetes", "service": "one"}}
    settings = RouterFile.model_validate({"pools": [entry], "kubernetes": {"url": "https://h:6443"}})
    with pytest.raises(SettingsError, match=r"pools\.one\.discovery: .*write namespace"):
        Router(settings)


async def test_settings_that_are_refused_change_nothing() -> None:
    async with kube_server() as server:
        add(server, "one", "a")
        router = Router(file(server, discovered("one")))
        async with router.running():
            await router.goes_by(("a",))
            with pytest.raises(SettingsError):
                router.discovery.use(file(None, discovered("one")))
            add(server, "one", "b")
            await router.goes_by(("a", "b"))
