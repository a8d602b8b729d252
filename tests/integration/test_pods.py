"""A controller whose instances are pods: found by EndpointSlices, planned by their names, replaced while it runs.

Real processes; engines and GPUs are EMULATED, and the API server is `tests.fakes.kube`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.kube.kinds import ENDPOINT_SLICES
from tests.fakes.kube.samples import endpoint, endpoint_slice
from tests.fakes.kube.server import KubeServer, kube_server
from tests.fakes.system import System, get, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(240)]

NAMESPACE = "llm"
PODS = {"bf16": ("bf16-x7-aa", "bf16-x7-bb"), "fp8": ("fp8-k2-cc", "fp8-k2-dd"), "int4": ("int4-q9-ee",)}


def tell(kube: KubeServer, emulated: System, pool: str, *names: str, **conditions: bool) -> None:
    """Endpoints of a pool are these pods and no others; each has a slice, as each has a port of its own."""
    (of_pool,) = (each for each in emulated.document["pools"] if each["name"] == pool)
    ports = {each["name"]: int(each["url"].rpartition(":")[2]) for each in of_pool["instances"]}
    told = {each["metadata"]["name"] for each in kube.store.list(ENDPOINT_SLICES, NAMESPACE)}
    for name, port in ports.items():
        slice_name = f"vllm-{pool}-{name}"
        made = endpoint_slice(
            slice_name,
            endpoint("127.0.0.1", name, **(conditions or {"ready": True, "serving": True})),
            service=f"vllm-{pool}",
            ports={"http": port},
        )
        if name in names and slice_name not in told:
            kube.store.create(ENDPOINT_SLICES, NAMESPACE, made)
        elif name not in names and slice_name in told:
            kube.store.delete(ENDPOINT_SLICES, NAMESPACE, slice_name)


def tell_end(kube: KubeServer, pool: str, name: str) -> None:
    """A pod terminates, and still serves what it has."""
    conditions = {"ready": False, "serving": True, "terminating": True}

    def changed(found: dict[str, Any]) -> dict[str, Any]:
        return {**found, "endpoints": [{**each, "conditions": conditions} for each in found["endpoints"]]}

    kube.store.change(ENDPOINT_SLICES, NAMESPACE, f"vllm-{pool}-{name}", changed)


@contextlib.asynccontextmanager
async def pods_under_control(
    folder: Path,
    kube: KubeServer,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    commands: tuple[str, ...] = ("router", "controller"),
) -> AsyncIterator[tuple[System, System]]:
    """The emulated pods, and router and controller that find them, after a change of their configuration."""

    def named(document: dict[str, Any]) -> None:
        for pool in document["pools"]:
            urls = pool["instances"]
            pool["instances"] = [{"name": name, "url": url} for name, url in zip(PODS[pool["name"]], urls, strict=True)]
        document["emulator"]["initially_on"] = {name: len(pods) for name, pods in PODS.items()}

    def found(document: dict[str, Any]) -> None:
        for pool in document["pools"]:
            del pool["instances"]
            pool["discovery"] = {"kind": "kubernetes", "service": f"vllm-{pool['name']}", "namespace": NAMESPACE}
        document["kubernetes"] = {"url": kube.url, "watch_s": 2}
        document["site"]["gpus"] = 32
        document["signals"].pop("dcgm_urls")
        document["controller"].pop("supervisor_url")
        change(document)

    async with contextlib.AsyncExitStack() as stack:
        for name in ("pods", "control"):
            (folder / name).mkdir()

        async def started(*args: Any, **options: Any) -> System:
            entered = running(*args, **options)
            system = await asyncio.to_thread(entered.__enter__)
            stack.push_async_callback(asyncio.to_thread, entered.__exit__, None, None, None)
            return system

        emulated = await started(folder / "pods", "emulate", change=named)
        for pool, names in PODS.items():
            tell(kube, emulated, pool, *names)
        yield emulated, await started(folder / "control", *commands, change=found)


async def until(system: System, holds: Any, what: str) -> None:
    await asyncio.to_thread(system.until, holds, what, 60.0)


async def test_pods_are_planned_by_their_names_and_those_that_are_replaced_are_followed(tmp_path: Path) -> None:
    async with kube_server() as kube, pods_under_control(tmp_path, kube) as (emulated, system):

        def count(pool_id: str) -> int:
            """Instances of a pool that answer."""
            pool = next(each for each in system.state()["pools"] if each["pool_id"] == pool_id)
            return sum(each["state"] not in ("off", "unreachable") for each in pool["instances"])

        def known() -> set[str]:
            table = get(f"{system.api}/v1/allocation")[1].decode()
            every = [name for names in PODS.values() for name in names]
            return {name for name in every if name in table}

        await until(system, lambda: count("bf16") == 2, "pods are planned")
        await until(system, lambda: known() <= set(sum(PODS.values(), ())) and known(), "the table names pods")
        tell(kube, emulated, "bf16", "bf16-x7-aa")
        tell(kube, emulated, "int4")
        await until(system, lambda: "bf16-x7-bb" not in known(), "a pod that is gone is in no table")
        await until(system, lambda: (count("bf16"), count("int4")) == (1, 0), "what is gone is not asked any more")
        await kube.kill()
        await asyncio.sleep(3.0)
        assert await asyncio.to_thread(count, "bf16") == 1, "what was known last stays"
        await kube.start()
        tell(kube, emulated, "bf16", *PODS["bf16"])
        await until(system, lambda: count("bf16") == 2, "it is back")
