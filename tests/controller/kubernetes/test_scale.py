"""Replicas on a fake API server that speaks HTTP."""

from dataclasses import replace

import pytest

from controller.clock import VirtualClock
from controller.errors import ActuationError
from controller.kubernetes.client import FIELD_MANAGER, opened_client
from controller.kubernetes.marks import COST, GOES_FIRST, Marks, opened_marks
from controller.kubernetes.owners import Workload
from controller.kubernetes.scale import Scaled, ScaleDriver
from controller.model.plan import InstanceCommand, Verb
from router.contract import InstanceId, PoolId
from tests.fakes.controller_parts import NOW_S, commands, pool, site
from tests.fakes.kube.config import kubeconfig
from tests.fakes.kube.kinds import (
    AUTOSCALERS,
    DEPLOYMENTS,
    LEADER_WORKER_SETS,
    PODS,
    SCALED_OBJECTS,
    STATEFUL_SETS,
)
from tests.fakes.kube.managers import Writer
from tests.fakes.kube.samples import (
    autoscaler,
    deployment,
    leader_worker_set,
    pod,
    scaled_object,
    stateful_set,
)
from tests.fakes.kube.server import kube_server

NAMESPACE = "llm"
RESOURCES = {"Deployment": DEPLOYMENTS, "StatefulSet": STATEFUL_SETS, "LeaderWorkerSet": LEADER_WORKER_SETS}
MADE = {"Deployment": deployment, "StatefulSet": stateful_set, "LeaderWorkerSet": leader_worker_set}
POOLS = tuple(pool(kind.lower(), tuple(f"http://10.0.0.{n}:8000" for n in range(3))) for kind in RESOURCES)


def names(kind):
    return [f"vllm-{n}" if kind != "Deployment" else f"vllm-x7-{n}" for n in range(3)]


def fleet():
    made = []
    for kind, each in zip(RESOURCES, POOLS, strict=True):
        renamed = [type(one)(InstanceId(name), one.url) for name, one in zip(names(kind), each.instances, strict=True)]
        made.append(type(each)(**{**{f: getattr(each, f) for f in each.__slots__}, "instances": tuple(renamed)}))
    return site(*made)


@pytest.fixture
async def server(tmp_path, monkeypatch):
    async with kube_server() as running:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, running)))
        for kind, resource in RESOURCES.items():
            running.store.create(resource, NAMESPACE, MADE[kind]("vllm", 3), Writer("kubectl"))
        for name in {name for kind in RESOURCES for name in names(kind)}:
            running.store.create(PODS, NAMESPACE, pod(name))
        yield running


POOLS_SCALED = {PoolId(kind.lower()): Scaled(Workload(kind, "vllm", NAMESPACE), least=1, most=5) for kind in RESOURCES}
EVERY = sorted({name for kind in RESOURCES for name in names(kind)} | {"vllm-4"})


@pytest.fixture
async def marks(server):
    async with opened_client() as client:
        workloads = {pool_id: each.workload for pool_id, each in POOLS_SCALED.items()}
        async with opened_marks(Marks(client, workloads, fleet, VirtualClock(NOW_S))) as made:
            await rest(made, *EVERY)
            yield made


async def rest(marks, *resting):
    """Tell a table in which these get nothing."""
    told = commands()
    table = replace(told.table, draining=tuple(InstanceId(name) for name in resting))
    await marks.apply(replace(told, table=table))


@pytest.fixture
async def driver(marks):
    async with opened_client() as client:
        yield ScaleDriver(client, POOLS_SCALED, fleet, marks, pause_s=0.05)


def replicas(server, kind="Deployment"):
    return server.store.get(RESOURCES[kind], NAMESPACE, "vllm")["spec"]["replicas"]


def start(kind, number):
    return InstanceCommand(Verb.START, InstanceId(f"{kind.lower()}~{number}"), "a test")


def stop(name):
    return InstanceCommand(Verb.STOP, InstanceId(name), "a test")


@pytest.mark.parametrize("kind", RESOURCES)
async def test_a_place_that_starts_makes_as_many_as_there_are_to_be_with_it_however_often_it_is_told(
    server, driver, kind
):
    assert await driver.carry_out(start(kind, 3)) == f"{kind} llm/vllm: 3 to 4 replicas"
    assert await driver.carry_out(start(kind, 3)) == f"{kind} llm/vllm has 4 replicas already"
    assert replicas(server, kind) == 4
    await driver.carry_out(start(kind, 4))
    assert replicas(server, kind) == 5
    with pytest.raises(ActuationError, match="6 replicas are more than the 5 allowed"):
        await driver.carry_out(start(kind, 5))


async def test_of_a_deployment_the_pod_that_is_stopped_is_marked_to_go_first_and_goes_once(server, driver):
    assert await driver.carry_out(stop("vllm-x7-1")) == "Deployment llm/vllm: 3 to 2 replicas"
    assert mark_of(server, "vllm-x7-1") == COST
    server.store.change(PODS, NAMESPACE, "vllm-x7-1", terminating)
    assert await driver.carry_out(stop("vllm-x7-1")) == "vllm-x7-1 goes already"
    assert replicas(server) == 2
    await driver.carry_out(stop("vllm-x7-0"))
    assert replicas(server) == 1
    with pytest.raises(ActuationError, match="has 1 replicas, and 1 are the least"):
        await driver.carry_out(stop("vllm-x7-2"))


def mark_of(server, name):
    return (server.store.get(PODS, NAMESPACE, name)["metadata"].get("annotations") or {}).get(GOES_FIRST)


def terminating(found):
    return {**found, "metadata": found["metadata"] | {"deletionTimestamp": "2026-01-01T00:00:00Z"}}


def is_put(request):
    return request.method == "PUT" and request.path.endswith("/scale")


async def test_a_stop_whose_write_failed_lowers_by_one_whatever_was_started_since(server, driver):
    server.faults.add(500, is_put)
    with pytest.raises(ActuationError, match="put scale: 500"):
        await driver.carry_out(stop("vllm-x7-1"))
    await driver.carry_out(start("Deployment", 4))
    assert await driver.carry_out(stop("vllm-x7-1")) == "Deployment llm/vllm: 5 to 4 replicas"


async def test_of_a_stateful_set_a_number_that_comes_again_is_not_the_one_that_was_stopped(server, driver):
    await driver.carry_out(stop("vllm-2"))
    assert await driver.carry_out(stop("vllm-2")) == "vllm-2 goes already: StatefulSet llm/vllm has 2 replicas"
    await driver.carry_out(start("StatefulSet", 4))
    with pytest.raises(ActuationError, match="only the last can go: vllm-4"):
        await driver.carry_out(stop("vllm-2"))
    assert replicas(server, "StatefulSet") == 5


async def test_a_stop_that_meets_another_writer_begins_anew(server, driver):
    told = []

    def by_hand(request):
        if is_put(request) and not told:
            told.append(request)
            write(server, 5, "kubectl")
        return False

    server.faults.add(500, by_hand)
    assert await driver.carry_out(stop("vllm-x7-1")) == "Deployment llm/vllm: 5 to 4 replicas"
    assert len(server.asked(is_put)) == 2


def write(server, count, manager):
    def changed(found):
        return {**found, "spec": {**found["spec"], "replicas": count}}

    server.store.change(DEPLOYMENTS, NAMESPACE, "vllm", changed, Writer(manager))


async def test_who_serves_again_is_not_stopped_and_who_serves_bears_no_mark_as_another_goes(server, marks, driver):
    server.faults.add(500, is_put)
    with pytest.raises(ActuationError, match="put scale: 500"):
        await driver.carry_out(stop("vllm-x7-0"))
    server.faults.add(403, lambda request: request.method == "PATCH", times=2)
    await rest(marks, "vllm-x7-2")
    with pytest.raises(ActuationError, match=r"its mark cannot be taken off, and it serves: .*403"):
        await driver.carry_out(stop("vllm-x7-2"))
    assert (replicas(server), mark_of(server, "vllm-x7-0")) == (3, COST)
    server.faults.clear()
    await driver.carry_out(stop("vllm-x7-2"))
    assert (replicas(server), mark_of(server, "vllm-x7-0"), mark_of(server, "vllm-x7-2")) == (2, None, COST)
    with pytest.raises(ActuationError, match="it was taken back meanwhile"):
        await driver.carry_out(stop("vllm-x7-0"))
    assert replicas(server) == 2


async def test_who_leads_no_more_writes_nothing(server, marks):
    async with opened_client() as client:
        deposed = ScaleDriver(client, POOLS_SCALED, fleet, marks, may_act=lambda: False)
        for command in (start("Deployment", 3), stop("vllm-x7-1")):
            with pytest.raises(ActuationError, match="this controller leads no more"):
                await deposed.carry_out(command)
    assert not server.asked(is_put)


async def test_a_pod_that_another_controller_took_off_is_waited_for_and_not_counted_twice(server, driver):
    server.verbs.follows_scale = False
    told(server, spec=2, status=3)
    with pytest.raises(ActuationError, match="3 pods are there and 2 are to be; those that go are waited for"):
        await driver.carry_out(stop("vllm-x7-0"))
    assert replicas(server) == 2
    told(server, spec=2, status=2)
    await driver.carry_out(stop("vllm-x7-0"))
    assert replicas(server) == 1


def told(server, **replicas_of):
    """What the Deployment is to have, and what it has."""

    def changed(found):
        return {**found, **{part: {**found.get(part, {}), "replicas": count} for part, count in replicas_of.items()}}

    server.store.change(DEPLOYMENTS, NAMESPACE, "vllm", changed, Writer("kube-controller-manager", "status"))


async def test_of_a_stateful_set_only_the_last_goes(server, driver, monkeypatch):
    with pytest.raises(ActuationError, match="only the last can go: vllm-2"):
        await driver.carry_out(stop("vllm-1"))
    await driver.carry_out(stop("vllm-2"))
    assert replicas(server, "StatefulSet") == 2


async def test_who_else_scales_is_named_and_nothing_is_written(server, driver):
    server.store.create(AUTOSCALERS, NAMESPACE, autoscaler("own", "vllm"))
    with pytest.raises(ActuationError, match="HorizontalPodAutoscaler own scales Deployment llm/vllm"):
        await driver.carry_out(start("Deployment", 3))
    server.store.delete(AUTOSCALERS, NAMESPACE, "own")
    server.store.create(SCALED_OBJECTS, NAMESPACE, scaled_object("keda", "vllm"))
    with pytest.raises(ActuationError, match="ScaledObject keda scales"):
        await driver.carry_out(stop("vllm-x7-1"))
    assert replicas(server) == 3


@pytest.mark.parametrize("looks", [0, 1])
async def test_who_takes_the_replicas_over_is_named_from_our_first_write_on(server, driver, looks):
    await driver.carry_out(start("Deployment", 3))
    for _ in range(looks):
        await driver.carry_out(start("Deployment", 3))
    changed = server.store.get(DEPLOYMENTS, NAMESPACE, "vllm")
    assert any(each["manager"] == FIELD_MANAGER for each in changed["metadata"]["managedFields"])
    write(server, 3, "argocd")
    with pytest.raises(ActuationError, match="'argocd' has taken over the replicas"):
        await driver.carry_out(start("Deployment", 3))
    assert replicas(server) == 3


async def test_what_cannot_be_done_says_why(server, driver):
    with pytest.raises(ActuationError, match="there is no such instance"):
        await driver.carry_out(stop("another"))
    with pytest.raises(ActuationError, match="pool bf16 has no workload that this controller scales"):
        await driver.carry_out(InstanceCommand(Verb.START, InstanceId("bf16~1"), "a test"))
    await server.kill()
    with pytest.raises(ActuationError, match="start: Deployment llm/vllm: get"):
        await driver.carry_out(start("Deployment", 3))
