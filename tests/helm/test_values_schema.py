"""Values that are wrong are refused before anything is rendered, with their place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.settings.election import ElectionSettings
from controller.settings.process import ControllerSettings
from tests.helm.charts import CHART, VALUES, template, values_file, with_helm

WRONG = [
    ("router.mod=gateway", "/router", "mod"),
    ("router.mode=daemon", "/router/mode", "daemon|one of"),
    ("router.service.externalTrafficPolicy=local", "/router/service/externalTrafficPolicy", "one of"),
    ("router.gateway.replicas=two", "/router/gateway/replicas", "want"),
    ("router.image.digest=latest", "/router/image/digest", "pattern"),
    ("controller.replicas=3", "/controller/replicas", "maximum"),
    ("controller.persistence.size=much", "/controller/persistence/size", "pattern"),
    ("engines.ports[0]=http", "/engines/ports/0", "want integer"),
    ("agent.hostPort=70000", "/agent/hostPort", "maximum"),
    ("redis.maxMemory=1", "/redis/maxMemory", "want string|pattern"),
    ("networkPolicy.enabled=yes-please", "/networkPolicy/enabled", "want boolean"),
    ("networkPolicy.apiServer.cidrs[0]=10.0.0.1/32", "/networkPolicy/apiServer", "cidrs"),
    ("rbac.workloads[0].kind=DaemonSet", "/rbac/workloads/0", "kind|name"),
    ("router.secrets[0].existingSecret=tenants", "/router/secrets/0", "mountPath"),
    ("controller.secrets[0].mountPath=etc", "/controller/secrets/0/mountPath", "pattern"),
    ("replicas=2", "", "replicas"),
]
KEY = "config.pools[0].name=a,config.pools[0].engine_key_file=/etc/k/key"
CONTRADICTIONS = [
    ("sidecar", "config.table.redis_url=rediss://redis.db/0", "nobody would use it"),
    ("sidecar", "config.table.url=http://c:8090/v1/allocation", "nobody would use it"),
    ("gateway", "config.table.redis_url=redis://redis.db/0,redis.auth.existingSecret=password", "write rediss://"),
    ("gateway", "config.table.redis_url=redis://u@127.db:1/0,redis.auth.existingSecret=password", "write rediss://"),
    ("gateway", "router.serviceAccount.name=same,controller.serviceAccount.name=same", "name them apart"),
    ("gateway", "fullnameOverride=1st", "begin with a letter; set fullnameOverride"),
    ("gateway", "agent.enabled=true", "agent.token.existingSecret"),
    ("gateway", "router.service.externalTrafficPolicy=Local", "router.service.type to LoadBalancer or NodePort"),
    ("gateway", "router.service.loadBalancerClass=nlb,router.service.type=NodePort", "router.service.type: Load"),
    (
        "gateway",
        f"{KEY},router.secrets[0].existingSecret=k,router.secrets[0].mountPath=/etc/k",
        "in controller.secrets",
    ),
    ("gateway", "router.drainQuietSeconds=30,config.router.timeouts.drain_s=20", "a drain ends after config.router"),
    ("gateway", "controller.replicas=2", "redis.enabled or config.table.redis_url"),
    ("sidecar", "controller.replicas=2,config.controller.table_ttl_s=33", "write 34 or more"),
    ("sidecar", "controller.replicas=2,config.controller.election.lease_s=30", "write 74 or more"),
    ("sidecar", "redis.auth.existingSecret=password", "redis.tls.existingSecret"),
    ("deployment", "redis.enabled=true,redis.auth.username=router", "the chart's own Redis does not know"),
    ("deployment", "redis.enabled=false,redis.auth.controller.key=k", "keys of redis.auth.existingSecret"),
    ("sidecar", "engines.namespace=vllm", 'engines.namespace is "vllm"'),
    ("scaling", "router.mode=both,router.sidecar.serviceAccountNames={vllm},engines.namespace=", "discovered in vllm"),
    ("sidecar", "router.sidecar.serviceAccountNames=null", "router.sidecar.serviceAccountNames"),
    ("gateway", "rbac.workloads[0].kind=StatefulSet,rbac.workloads[0].name=rel-wattroute-router", "part of wattroute"),
]


@with_helm
@pytest.mark.parametrize(("setting", "place", "reason"), WRONG)
def test_a_wrong_value_is_refused_with_its_place(setting: str, place: str, reason: str) -> None:
    done = template("-f", str(values_file("gateway")), "--set", setting)
    assert done.returncode != 0, done.stdout
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip().startswith(f"- at '{place}': ")]
    assert any(re.search(reason, line) for line in lines), done.stderr


@with_helm
@pytest.mark.parametrize(("values", "settings", "remedy"), CONTRADICTIONS)
def test_values_that_contradict_each_other_are_refused(values: str, settings: str, remedy: str) -> None:
    done = template("-f", str(values_file(values)), "--set", settings)
    assert done.returncode != 0, done.stdout
    assert remedy in done.stderr


@with_helm
def test_a_table_has_to_outlast_a_takeover_by_the_defaults_of_the_settings() -> None:
    own, election = ControllerSettings(), ElectionSettings(kind="lease")
    least_s = 2 * (election.lease_s + election.renew_every_s + own.tick_s)
    for ttl_s in (None, least_s):
        more = "" if ttl_s is None else f",config.controller.table_ttl_s={ttl_s:g}"
        done = template("-f", str(values_file("sidecar")), "--set", f"controller.replicas=2{more}")
        assert done.returncode == 0, done.stderr


@with_helm
@pytest.mark.parametrize(
    "settings",
    [
        "config.table.redis_url=redis://u@localhost:6380/0,redis.auth.existingSecret=password",
        "config.table.redis_url=redis://[::1]/0,redis.auth.existingSecret=password",
        "config.table.redis_url=redis://redis.db/0",
        f"{KEY},router.secrets[0].existingSecret=k,router.secrets[0].mountPath=/etc/k"
        ",controller.secrets[0].existingSecret=k,controller.secrets[0].mountPath=/etc/k/",
        f"{KEY},router.secrets[0].existingSecret=k,router.secrets[0].mountPath=/etc/k,controller.enabled=false",
        KEY,
        "router.serviceAccount.name=same,controller.serviceAccount.name=same,controller.serviceAccount.create=false",
    ],
)
def test_values_that_only_look_like_a_contradiction_are_taken(settings: str) -> None:
    done = template("-f", str(values_file("gateway")), "--set", settings)
    assert done.returncode == 0, done.stderr


@with_helm
def test_values_without_pools_are_refused_with_an_example() -> None:
    done = template()
    assert done.returncode != 0
    assert "config.pools is empty" in done.stderr
    assert "gateway-values.yaml" in done.stderr


def schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    return document


def closed(part: dict[str, Any], where: str, found: list[str]) -> None:
    """Collect objects with properties of ours that would take others."""
    if "properties" in part:
        if part.get("additionalProperties") is not False:
            found.append(where)
        for name, child in part["properties"].items():
            closed(child, f"{where}/{name}", found)


def test_every_level_that_is_ours_takes_no_other_key() -> None:
    document, found = schema(), []
    closed(document, "", found)
    for name, part in document["$defs"].items():
        closed(part, f"$defs/{name}", found)
    assert not found


def test_the_schema_knows_every_value_and_no_other() -> None:
    document = schema()

    def keys(part: dict[str, Any], values: Any, where: str) -> None:
        part = document["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
        if "properties" not in part or where.endswith(".resources"):
            return
        assert isinstance(values, dict), where
        own = set(part["properties"]) - ({"global", "enabled"} if not where else set())
        assert own == set(values), where
        for key in own:
            keys(part["properties"][key], values[key], f"{where}.{key}")

    keys(document, yaml.safe_load((CHART / "values.yaml").read_text()), "")


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_schema_takes_the_examples(values: Path) -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema())
    Draft202012Validator(schema()).validate(_without_nulls(yaml.safe_load(values.read_text())))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return value
