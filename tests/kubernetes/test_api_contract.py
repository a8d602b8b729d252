"""What the router and the controller rely on of a Kubernetes API server.

Without further ado it is played to the fake one. Against a cluster, in a namespace where it may write:

    export WATTROUTE_KUBE_URL=https://... WATTROUTE_KUBE_NAMESPACE=...
    export WATTROUTE_KUBE_TOKEN_FILE=... WATTROUTE_KUBE_CA_FILE=...
    pytest -p no:xdist -o addopts=--import-mode=importlib tests/kubernetes/test_api_contract.py
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from controller.kubernetes.marks import COST, GOES_FIRST
from tests.fakes.kube.client import Client, contract_client
from tests.fakes.kube.kinds import (
    AUTOSCALERS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    LEADER_WORKER_SETS,
    LEASES,
    PODS,
    SCALED_OBJECTS,
    STATEFUL_SETS,
    Resource,
)
from tests.fakes.kube.samples import (
    autoscaler,
    deployment,
    endpoint,
    endpoint_slice,
    leader_worker_set,
    lease,
    pod,
    scaled_object,
    stateful_set,
)

SCALED = {DEPLOYMENTS: deployment, STATEFUL_SETS: stateful_set, LEADER_WORKER_SETS: leader_worker_set}


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    async with contract_client() as found:
        yield found


@contextlib.asynccontextmanager
async def made(client: Client, resource: Resource, sample: Any, **query: str) -> AsyncIterator[Any]:
    """The sample as the server answered to its creation; deleted in the end."""
    answer = await client.create(resource, sample, **query)
    assert answer.status == 201, answer.body
    try:
        yield answer.body
    finally:
        await client.delete(resource, sample["metadata"]["name"])


@pytest.fixture
def name() -> str:
    return f"contract-{uuid.uuid4().hex[:8]}"


async def test_lists_have_a_version_and_come_in_pages(client: Client, name: str) -> None:
    service = {"labelSelector": f"kubernetes.io/service-name={name}"}
    async with contextlib.AsyncExitStack() as stack:
        for n in range(3):
            sample = endpoint_slice(f"{name}-{n}", endpoint("10.0.0.1"), service=name)
            await stack.enter_async_context(made(client, ENDPOINT_SLICES, sample))
        path = client.path(ENDPOINT_SLICES)
        first = (await client.ask("GET", path, limit="2", **service)).body
        token = first["metadata"]["continue"]
        second = (await client.ask("GET", path, limit="2", **service, **{"continue": token})).body
        everything = (await client.ask("GET", path, **service)).body
    names = [item["metadata"]["name"] for page in (first, second) for item in page["items"]]
    assert names == [f"{name}-{n}" for n in range(3)]
    assert first["kind"] == "EndpointSliceList"
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    assert not second["metadata"].get("continue")
    assert len(everything["items"]) == 3


async def test_a_watch_tells_what_happened_since_the_list(client: Client, name: str) -> None:
    service = {"labelSelector": f"kubernetes.io/service-name={name}"}
    listed = (await client.ask("GET", client.path(ENDPOINT_SLICES), **service)).body
    async with made(client, ENDPOINT_SLICES, endpoint_slice(name, endpoint("10.0.0.1"), service=name)):
        changed = {"endpoints": [endpoint("10.0.0.1", ready=False, serving=True, terminating=True)]}
        await client.patch(ENDPOINT_SLICES, name, changed)
    version = listed["metadata"]["resourceVersion"]
    async with client.watch(ENDPOINT_SLICES, resourceVersion=version, timeoutSeconds="5", **service) as events:
        seen = [await anext(events) for _ in range(3)]
    assert [kind for kind, _ in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert [found["metadata"]["name"] for _, found in seen] == [name] * 3
    assert seen[1][1]["endpoints"][0]["conditions"] == {"ready": False, "serving": True, "terminating": True}
    versions = [int(found["metadata"]["resourceVersion"]) for _, found in seen]
    assert versions == sorted(set(versions)), "each change has a later version, a deletion, too"


async def test_an_object_that_loses_its_label_is_gone_for_who_selects_by_it(client: Client, name: str) -> None:
    service = {"labelSelector": f"kubernetes.io/service-name={name}"}
    async with made(client, ENDPOINT_SLICES, endpoint_slice(name, endpoint("10.0.0.1"), service=name)) as first:
        await client.patch(ENDPOINT_SLICES, name, {"metadata": {"labels": {"kubernetes.io/service-name": "other"}}})
        version = first["metadata"]["resourceVersion"]
        async with client.watch(ENDPOINT_SLICES, resourceVersion=version, timeoutSeconds="5", **service) as events:
            kind, found = await anext(events)
    assert (kind, found["metadata"]["name"]) == ("DELETED", name)


async def test_a_watch_gives_bookmarks_and_ends_in_its_time(client: Client, name: str) -> None:
    listed = (await client.ask("GET", client.path(LEASES))).body
    version = listed["metadata"]["resourceVersion"]
    query = {"resourceVersion": version, "timeoutSeconds": "4", "allowWatchBookmarks": "true"}
    async with client.watch(LEASES, **query) as events:
        seen = [event async for event in events]
    bookmarks = [found for kind, found in seen if kind == "BOOKMARK"]
    assert bookmarks
    assert int(bookmarks[-1]["metadata"]["resourceVersion"]) >= int(version)
    assert bookmarks[-1]["kind"] == "Lease"


async def test_a_version_long_gone_is_told_by_410(client: Client) -> None:
    path = client.path(ENDPOINT_SLICES)
    query = {"watch": "1", "resourceVersion": "1", "timeoutSeconds": "5"}
    answer = await client.ask("GET", path, **query)
    told = answer.body if answer.status != 200 else answer.body["object"]
    assert (told["kind"], told["code"]) == ("Status", 410)


async def test_who_creates_what_is_there_is_told_so(client: Client, name: str) -> None:
    async with made(client, LEASES, lease(name, "first")):
        answer = await client.create(LEASES, lease(name, "second"))
        holder = (await client.read(LEASES, name))["spec"]["holderIdentity"]
    assert (answer.status, answer.body["reason"]) == (409, "AlreadyExists")
    assert holder == "first"


async def test_of_two_who_replace_one_version_the_second_is_refused(client: Client, name: str) -> None:
    async with made(client, LEASES, lease(name, "first")) as found:
        mine = {**found, "spec": found["spec"] | {"holderIdentity": "second"}}
        theirs = {**found, "spec": found["spec"] | {"holderIdentity": "third"}}
        taken = await client.ask("PUT", client.path(LEASES, name), body=mine)
        refused = await client.ask("PUT", client.path(LEASES, name), body=theirs)
        holder = (await client.read(LEASES, name))["spec"]["holderIdentity"]
    assert (taken.status, taken.body["spec"]["holderIdentity"]) == (200, "second")
    assert (refused.status, refused.body["reason"]) == (409, "Conflict")
    assert holder == "second"


async def test_a_lease_is_not_replaced_by_who_names_no_version(client: Client, name: str) -> None:
    async with made(client, LEASES, lease(name, "first")) as found:
        blind = {**found, "metadata": {"name": name}}
        answer = await client.ask("PUT", client.path(LEASES, name), body=blind)
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")


async def test_a_patch_that_names_an_old_version_is_refused(client: Client, name: str) -> None:
    async with made(client, LEASES, lease(name, "first")) as found:
        await client.patch(LEASES, name, {"spec": {"holderIdentity": "second"}})
        old = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "spec": {"holderIdentity": "x"}}
        answer = await client.patch(LEASES, name, old)
    assert (answer.status, answer.body["reason"]) == (409, "Conflict")


async def test_what_is_not_there_is_told_by_name(client: Client, name: str) -> None:
    for method in ("GET", "DELETE"):
        answer = await client.ask(method, client.path(DEPLOYMENTS, name))
        assert (answer.status, answer.body["reason"]) == (404, "NotFound")
        assert name in answer.body["message"]


@pytest.mark.parametrize("resource", SCALED, ids=lambda resource: resource.plural)
async def test_scale_is_read_and_written(client: Client, name: str, resource: Resource) -> None:
    if not await client.knows(resource):
        pytest.skip(f"this cluster has no {resource.title}")
    async with made(client, resource, SCALED[resource](name, 0)):
        # A count of zero is not written out by the server.
        assert (await client.read(resource, name, "scale"))["spec"].get("replicas", 0) == 0
        answer = await client.patch(resource, name, {"spec": {"replicas": 2}}, "scale", fieldManager="wattroute")
        assert (answer.status, answer.body["kind"], answer.body["spec"]) == (200, "Scale", {"replicas": 2})
        assert answer.body["metadata"]["name"] == name
        found = await client.read(resource, name)
        assert found["spec"]["replicas"] == 2
        assert (await client.patch(resource, name, {"spec": {"replicas": -1}}, "scale")).status == 422
    owners = [entry["manager"] for entry in found["metadata"]["managedFields"] if _owns_replicas(entry)]
    assert owners == ["wattroute"]
    by_scale = next(e for e in found["metadata"]["managedFields"] if e["manager"] == "wattroute")
    assert by_scale["subresource"] == "scale"


@pytest.mark.parametrize("resource", SCALED, ids=lambda resource: resource.plural)
async def test_a_scale_that_was_read_is_replaced_as_the_controller_does(
    client: Client, name: str, resource: Resource
) -> None:
    if not await client.knows(resource):
        pytest.skip(f"this cluster has no {resource.title}")
    async with made(client, resource, SCALED[resource](name, 0)):
        scale = await client.read(resource, name, "scale")
        body = {**scale, "spec": {"replicas": 1}}
        answer = await client.ask("PUT", client.path(resource, name, "scale"), body=body, fieldManager="wattroute")
        assert (answer.status, answer.body["spec"]) == (200, {"replicas": 1})
        assert answer.body["metadata"]["resourceVersion"] != scale["metadata"]["resourceVersion"]
        found = await client.read(resource, name)
    (owner,) = (entry for entry in found["metadata"]["managedFields"] if _owns_replicas(entry))
    assert (owner["manager"], owner["operation"], owner["subresource"]) == ("wattroute", "Update", "scale")


async def test_a_pod_takes_an_annotation_and_keeps_those_it_has(client: Client, name: str) -> None:
    sample = pod(name)
    sample["metadata"]["annotations"] = {"example.org/kept": "1"}
    async with made(client, PODS, sample):
        mark = {"metadata": {"annotations": {GOES_FIRST: COST}}}
        path = client.path(PODS, name)
        answer = await client.ask("PATCH", path, body=mark, content_type="application/strategic-merge-patch+json")
        assert answer.status == 200, answer.body
        found = await client.read(PODS, name)
    annotations = found["metadata"]["annotations"]
    assert (annotations[GOES_FIRST], annotations["example.org/kept"]) == (COST, "1")


async def test_a_scale_of_an_old_version_is_refused(client: Client, name: str) -> None:
    async with made(client, DEPLOYMENTS, deployment(name, 0)):
        scale = await client.read(DEPLOYMENTS, name, "scale")
        await client.patch(DEPLOYMENTS, name, {"spec": {"paused": True}})
        body = {**scale, "spec": {"replicas": 3}}
        answer = await client.ask("PUT", client.path(DEPLOYMENTS, name, "scale"), body=body)
    assert (answer.status, answer.body["reason"]) == (409, "Conflict")


async def test_who_wrote_replicas_last_owns_them(client: Client, name: str) -> None:
    async with made(client, DEPLOYMENTS, deployment(name, 0), fieldManager="chart") as found:
        assert [e["manager"] for e in found["metadata"]["managedFields"] if _owns_replicas(e)] == ["chart"]
        await client.patch(DEPLOYMENTS, name, {"spec": {"replicas": 1}}, "scale", fieldManager="wattroute")
        await client.patch(DEPLOYMENTS, name, {"spec": {"replicas": 0}}, fieldManager="somebody")
        found = await client.read(DEPLOYMENTS, name)
    assert [e["manager"] for e in found["metadata"]["managedFields"] if _owns_replicas(e)] == ["somebody"]


async def test_a_deployment_that_says_nothing_of_replicas_has_one(client: Client, name: str) -> None:
    async with made(client, DEPLOYMENTS, deployment(name)) as found:
        assert found["spec"]["replicas"] == 1


async def test_autoscalers_say_what_they_scale(client: Client, name: str) -> None:
    async with made(client, AUTOSCALERS, autoscaler(name, "engines")):
        listed = (await client.ask("GET", client.path(AUTOSCALERS))).body
    found = next(item for item in listed["items"] if item["metadata"]["name"] == name)
    assert found["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "engines"}


async def test_scaled_objects_say_what_they_scale(client: Client, name: str) -> None:
    if not await client.knows(SCALED_OBJECTS):
        pytest.skip("this cluster has no KEDA")
    sample = scaled_object(name, "engines", **{"autoscaling.keda.sh/paused": "true"})
    sample["spec"]["triggers"] = [{"type": "cpu", "metricType": "Utilization", "metadata": {"value": "50"}}]
    async with made(client, SCALED_OBJECTS, sample):
        listed = (await client.ask("GET", client.path(SCALED_OBJECTS))).body
    found = next(item for item in listed["items"] if item["metadata"]["name"] == name)
    assert found["spec"]["scaleTargetRef"]["name"] == "engines"
    assert found["metadata"]["annotations"]["autoscaling.keda.sh/paused"] == "true"


async def test_a_kind_that_no_crd_defines_is_not_found(client: Client) -> None:
    answer = await client.ask("GET", client.path(Resource("nowhere.example", "v1", "things")))
    assert answer.status == 404


def _owns_replicas(entry: dict[str, Any]) -> bool:
    return "f:replicas" in entry["fieldsV1"].get("f:spec", {})
