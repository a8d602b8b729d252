"""What docs/how-to/in-your-cluster.md shows goes with the values of the guide and does what it says; no cluster."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.charts import NAMESPACE, VERSIONS, engine, needs_kubectl, patched_here, run, with_helm
from tests.test_docs_deploy import BLOCKS, GUIDE, render, with_block

TEXT = (GUIDE.parent / "in-your-cluster.md").read_text()
VALUES = yaml.safe_load((GUIDE.parents[2] / "helm" / "wattroute" / "values.yaml").read_text())
RELEASE = ["wattroute", "helm/wattroute", "-n", NAMESPACE, "-f", "values.yaml"]


def blocks_of(section: str) -> list[dict[str, Any]]:
    """The YAML under a heading, in its order."""
    body = TEXT.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return [
        yaml.safe_load(re.sub(rf"^{indent}", "", block, flags=re.MULTILINE))
        for indent, block in re.findall(r"^( *)```yaml\n(.*?)```", body, re.MULTILINE | re.DOTALL)
    ]


def rendered(folder: Path, values: dict[str, Any], *words: str) -> dict[tuple[str, str], dict[str, Any]]:
    documents = render([*RELEASE, *words], folder, with_block(BLOCKS[0], values))
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


def pods_of(documents: dict[tuple[str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    return [d["spec"]["template"] for d in documents.values() if "template" in d.get("spec", {})]


def environment(documents: dict[tuple[str, str], dict[str, Any]], workload: str) -> dict[str, Any]:
    (container,) = documents["StatefulSet", workload]["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value") or each["valueFrom"] for each in container["env"]}


@with_helm
def test_without_labels_of_the_engines_nobody_is_cut_off_from_them(tmp_path: Path) -> None:
    with_labels = rendered(tmp_path, {})
    (tmp_path / "without").mkdir()
    without = rendered(tmp_path / "without", {"engines": {"podLabels": None}})
    assert ("NetworkPolicy", "wattroute-engines") in with_labels
    assert ("NetworkPolicy", "wattroute-engines") not in without


def test_the_autoscaler_follows_the_metric_by_the_rule_and_is_one_that_kubernetes_takes() -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is of the extra dev")
    rules, autoscaler = blocks_of("A pool that an autoscaler scales already")
    for version in VERSIONS:
        assert kubernetes_validate.validate(autoscaler, version, strict=True) == version
    (rule,), (metric,) = rules["externalRules"], autoscaler["spec"]["metrics"]
    assert metric["external"]["metric"]["name"] == rule["seriesQuery"] == "wattroute_controller_desired_replicas"
    assert rule["metricsQuery"].startswith("max("), "of two controllers both tell it"
    reference = (GUIDE.parents[1] / "reference" / "kubernetes.md").read_text()
    assert f"`{rule['seriesQuery']}{{pool}}`" in reference
    assert metric["external"]["metric"]["selector"]["matchLabels"].keys() == {"pool"}


@with_helm
def test_curves_lie_where_the_configuration_looks_for_them(tmp_path: Path) -> None:
    (values,) = blocks_of("Curves of your own")
    documents = rendered(tmp_path, values)
    told = yaml.safe_load(documents["ConfigMap", "wattroute"]["data"]["wattroute.yaml"])["plan"]["pools"]["bf16"]
    spec = documents["StatefulSet", "wattroute-controller"]["spec"]["template"]["spec"]
    (mount,) = (m for m in spec["containers"][0]["volumeMounts"] if m["mountPath"] == str(Path(told["curves"]).parent))
    (volume,) = (volume for volume in spec["volumes"] if volume["name"] == mount["name"])
    made = re.search(r"create configmap (\S+) --from-file=(\S+)=\S+", TEXT)
    assert made is not None
    assert (volume["configMap"]["name"], Path(told["curves"]).name) == made.groups()
    assert told["gpus_per_instance"] == 8, "the rest of the pool stays"


@with_helm
@needs_kubectl
def test_kustomize_takes_the_patch_as_kubectl_does(tmp_path: Path) -> None:
    sidecar = {"router": {"mode": "sidecar", "sidecar": {"serviceAccountNames": ["vllm"]}}, "redis": {"enabled": True}}
    patch = rendered(tmp_path, sidecar)["ConfigMap", "wattroute-sidecar"]["data"]["patch.yaml"]
    _, head, listed = blocks_of("Argo CD, Flux, Kustomize")
    target = engine()
    target["spec"]["template"]["spec"]["containers"][0]["lifecycle"] = {"preStop": {"exec": {"command": ["sleep"]}}}
    target["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 150
    (name,) = listed["resources"]
    (tmp_path / name).write_text(yaml.safe_dump(target))
    (tmp_path / listed["patches"][0]["path"]).write_text(yaml.safe_dump(head) + patch)
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(listed))
    done = run("kubectl", "kustomize", str(tmp_path))
    assert done.returncode == 0, done.stderr
    made = yaml.safe_load(done.stdout)["spec"]["template"]["spec"]
    wanted = patched_here(target, patch)["spec"]["template"]["spec"]
    assert made["terminationGracePeriodSeconds"] == wanted["terminationGracePeriodSeconds"] > 150
    hooks = {container["name"]: container["lifecycle"]["preStop"] for container in made["containers"]}
    assert {name: list(hook) for name, hook in hooks.items()} == {"vllm": ["httpGet"]}
    by_name = {container["name"]: container for container in wanted["initContainers"]}
    assert {container["name"]: container for container in made["initContainers"]} == by_name


@with_helm
def test_a_redis_of_ones_own_is_reached_by_two_users_under_a_key_of_the_release(tmp_path: Path) -> None:
    (values,) = blocks_of("A Redis of yours")
    documents = rendered(tmp_path, values)
    assert ("StatefulSet", "wattroute-redis") not in documents
    table = yaml.safe_load(documents["ConfigMap", "wattroute"]["data"]["wattroute.yaml"])["table"]
    assert (table["redis_key"], table["redis_url"].partition(":")[0]) == ("dallas-1:allocation", "rediss")
    assert table["tls"]["ca_file"]
    for workload, user in (("wattroute-router", "router"), ("wattroute-controller", "controller")):
        told = environment(documents, workload)
        assert told["REDIS_USERNAME"] == user
        assert told["REDIS_PASSWORD"]["secretKeyRef"] == {"name": "redis-users", "key": f"{user}-password"}
        rules = documents["NetworkPolicy", workload]["spec"]["egress"]
        (rule,) = (each for each in rules if {"port": 6379, "protocol": "TCP"} in each.get("ports", ()))
        assert rule["to"] == values["networkPolicy"]["redis"]["peers"]


@with_helm
@pytest.mark.parametrize("are_named", [False, True])
def test_releases_of_one_name_meet_in_the_engines_namespace_unless_they_are_named(
    tmp_path: Path, are_named: bool
) -> None:
    pools = [
        {**pool, "discovery": {**pool["discovery"], "namespace": "engines"}} for pool in BLOCKS[0]["config"]["pools"]
    ]
    met = []
    for namespace in ("east", "west"):
        folder = tmp_path / namespace
        folder.mkdir()
        values = {"config": {"pools": pools}} | ({"fullnameOverride": f"wattroute-{namespace}"} if are_named else {})
        words = ["wattroute", "helm/wattroute", "-n", namespace, "-f", "values.yaml"]
        documents = render(words, folder, with_block(BLOCKS[0], values))
        met.append({(d["kind"], d["metadata"]["namespace"], d["metadata"]["name"]) for d in documents})
    assert {namespace for _, namespace, _ in met[0]} == {"east", "engines"}
    assert bool(met[0] & met[1]) is not are_named


@with_helm
def test_no_pod_of_the_charts_own_is_in_the_mesh(tmp_path: Path) -> None:
    values, authentication = blocks_of("A service mesh")
    documents = rendered(tmp_path, {**values, "redis": {"enabled": True}})
    label = values["commonLabels"].items()
    pods = pods_of(documents)
    assert len(pods) == 3
    assert all(label <= pod["metadata"]["labels"].items() for pod in pods)
    assert all(label <= d["metadata"]["labels"].items() for (kind, _), d in documents.items() if kind == "Pod")
    assert authentication["spec"]["selector"]["matchLabels"] == BLOCKS[0]["engines"]["podLabels"]
    ports = {pool["discovery"]["port"] for pool in BLOCKS[0]["config"]["pools"]}
    assert authentication["spec"]["portLevelMtls"].keys() == ports


def test_what_stands_before_the_router_waits_and_takes_as_much_as_the_router_does() -> None:
    from router.settings import RouterSettings

    told = dict(re.findall(r"`([a-z-]+): \"?([\w]+)\"?`", TEXT.partition("## An ingress")[2]))
    settings = RouterSettings()
    assert int(told["proxy-read-timeout"]) > settings.timeouts.first_byte_s
    assert int(told["proxy-body-size"].removesuffix("m")) << 20 == settings.limits.max_body_bytes
    assert f"({settings.timeouts.first_byte_s:g} s)" in TEXT
    assert f"({settings.timeouts.inter_chunk_s:g} s)" in TEXT


def test_every_block_of_values_is_shown_with_keys_that_the_chart_knows() -> None:
    shown = [block for heading in re.findall(r"^## (.+)$", TEXT, re.MULTILINE) for block in blocks_of(heading)]
    values = [block for block in shown if block.keys() <= VALUES.keys()]
    assert len(values) == 3
    assert len(shown) == len(re.findall(r"```yaml", TEXT)) == 9
