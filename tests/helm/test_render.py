"""Each file of values renders for each Kubernetes, and Kubernetes' own schemas take what comes out."""

from __future__ import annotations

import functools
import re
import tarfile
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.helm.charts import (
    CHART,
    NAMESPACE,
    NEWEST,
    VALUES,
    VERSIONS,
    Object,
    engine,
    helm,
    merged,
    named,
    needs_helm,
    needs_kubectl,
    objects,
    patched,
    patched_by_kubectl,
    pod_templates,
    rendered,
    sidecar_patch,
    template,
    values_file,
)
from tests.helm.foreign_kinds import SCHEMAS

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is of the extra dev")
validator = kubernetes_validate.utils

pytestmark = needs_helm


@pytest.fixture(autouse=True)
def _read_schemas_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validator, "schema_contents", _SCHEMAS)


_SCHEMAS = functools.cache(validator.schema_contents)


def is_valid(document: Object, version: str) -> None:
    """By the schema of its kind; those that Kubernetes does not know are the same for all of its versions."""
    if document["apiVersion"].startswith("monitoring.coreos.com/"):
        jsonschema.validate(document, SCHEMAS[document["kind"]])
        return
    assert kubernetes_validate.validate(document, version, strict=True) == version


def test_there_are_values_for_at_least_eight_ways_to_install() -> None:
    assert len(VALUES) >= 8


@pytest.mark.parametrize("values", [None, *VALUES], ids=lambda path: path.stem if path else "defaults")
def test_lint_finds_nothing(values: Path | None) -> None:
    done = helm("lint", "--strict", str(CHART), *(["-f", str(values)] if values else []))
    assert done.returncode == 0, done.stdout
    assert "0 chart(s) failed" in done.stdout


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_what_is_rendered_is_valid(values: Path, version: str) -> None:
    documents = rendered(values, version)
    assert documents
    for document in documents:
        is_valid(document, version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_a_patched_engine_is_valid(kind: str, version: str) -> None:
    patch = sidecar_patch(values_file("sidecar"))
    assert patch is not None
    document = merged({**engine(kind), "kind": kind}, yaml.safe_load(patch))
    if kind == "StatefulSet":
        document["spec"]["serviceName"] = "vllm"
    is_valid(document, version)


@needs_kubectl
def test_kubectl_makes_of_the_patch_what_these_tests_do() -> None:
    patch = sidecar_patch(values_file("sidecar"))
    assert patch is not None
    assert patched_by_kubectl(engine(), patch)["spec"] == patched(patch)["spec"]


def test_a_wrong_object_is_not_taken() -> None:
    wrong = {**engine(), "spec": {**engine()["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        is_valid(wrong, NEWEST)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("PodMonitor", {"podMetricsEndpoints": [{"port": "router-admin", "intervall": "15s"}]}),
        ("PodMonitor", {"podMetricsEndpoints": [{"port": "router-admin", "interval": "15"}]}),
        ("PodMonitor", {"endpoints": []}),
        ("PrometheusRule", {"groups": [{"name": "g", "rules": [{"alert": "A"}]}]}),
        ("PrometheusRule", {"groups": [{"name": "g", "rules": [{"expr": "1", "labels": {"n": 1}}]}]}),
    ],
)
def test_a_wrong_object_of_a_foreign_kind_is_not_taken(kind: str, change: Object) -> None:
    right = next(d for path in VALUES for d in rendered(path) if d["kind"] == kind)
    is_valid(right, NEWEST)
    with pytest.raises(jsonschema.ValidationError):
        is_valid({**right, "spec": {**right["spec"], **change}}, NEWEST)


def test_an_old_cluster_is_refused_with_the_version_that_is_wanted() -> None:
    done = template("-f", str(values_file("gateway")), version="1.28")
    assert done.returncode != 0
    assert ">=1.29" in done.stderr


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_names_are_distinct_and_namespaces_said(values: Path) -> None:
    keys = [(d["kind"], d["metadata"]["namespace"], d["metadata"]["name"]) for d in rendered(values)]
    assert len(keys) == len(set(keys))
    assert {namespace for _, namespace, _ in keys} <= {NAMESPACE, "vllm"}


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_labels_are_those_that_kubernetes_recommends_and_short_enough(values: Path) -> None:
    for document in rendered(values):
        labels = document["metadata"]["labels"]
        assert {"app.kubernetes.io/name", "app.kubernetes.io/instance", "helm.sh/chart"} <= set(labels)
        name = document["metadata"]["name"]
        # A StatefulSet's pods bear its name and a hash of ten characters as a label.
        assert len(name) <= (52 if document["kind"] == "StatefulSet" else 63), name


@pytest.mark.parametrize(
    ("release", "told", "name"),
    [
        ("wattroute.v2", "tests.enabled=true", "wattroute-v2"),
        ("rel", "fullnameOverride=a.b.c", "a-b-c"),
        ("rel", f"fullnameOverride={40 * 'a'}.b", 40 * "a"),
    ],
)
def test_services_have_names_that_every_api_server_takes(release: str, told: str, name: str) -> None:
    """Labels of RFC 1035: names of releases may have dots, those of Services not."""
    done = helm("template", release, str(CHART), "-f", str(values_file("gateway")), "--set", told)
    assert done.returncode == 0, done.stderr
    names = [d["metadata"]["name"] for d in yaml.safe_load_all(done.stdout) if d and d["kind"] == "Service"]
    assert f"{name}-controller" in names
    assert all(re.fullmatch("[a-z]([-a-z0-9]{0,61}[a-z0-9])?", each) for each in names)


def test_a_digest_wins_over_the_tag_and_a_registry_is_shared() -> None:
    values = values_file("everything")
    pods = {d["metadata"]["name"]: d for d in rendered(values) if d["kind"] == "StatefulSet"}
    images = {name: d["spec"]["template"]["spec"]["containers"][0]["image"] for name, d in pods.items()}
    digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    assert images["rel-wattroute-router"] == f"registry.example.org/wattroute/router@{digest}"
    assert images["rel-wattroute-controller"].startswith("registry.example.org/wattroute/controller:")


@pytest.mark.parametrize(
    ("values", "name", "component"),
    [("gateway", "rel-wattroute-router", "router"), ("everything", "rel-wattroute-controller", "controller")],
)
def test_pods_of_one_part_are_spread_over_machines_and_zones_without_waiting_for_a_place(
    values: str, name: str, component: str
) -> None:
    pods = next(found for key, found in pod_templates(values_file(values)).items() if key.endswith(f"/{name}"))
    spread = {each["topologyKey"]: each for each in pods["spec"]["topologySpreadConstraints"]}
    assert spread.keys() == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    for each in spread.values():
        assert (each["maxSkew"], each["whenUnsatisfiable"]) == (1, "ScheduleAnyway")
        chosen = each["labelSelector"]["matchLabels"]
        assert chosen.items() <= pods["metadata"]["labels"].items()
        assert chosen["app.kubernetes.io/component"] == component


def test_what_asks_whether_it_serves_runs_an_image_that_the_release_has_anyhow() -> None:
    for values, image in (("gateway", "wattroute/router:"), ("controller-only", "wattroute/controller:")):
        (pod,) = (d for d in rendered(values_file(values)) if d["kind"] == "Pod")
        assert pod["spec"]["containers"][0]["image"].startswith(image), values


@pytest.mark.parametrize(
    ("told", "image"),
    [
        ("redis.enabled=true", "docker.io/library/redis:7.4"),
        ("image.registry=registry.example.org", "docker.io/library/redis:7.4"),
        ("redis.image.registry=mirror.example.org", "mirror.example.org/library/redis:7.4"),
        ("image.registry=registry.example.org,redis.image.registry=", "registry.example.org/library/redis:7.4"),
    ],
)
def test_redis_comes_from_the_registry_that_publishes_it_unless_another_is_named_for_it(told: str, image: str) -> None:
    done = template("-f", str(values_file("sidecar")), "--set", told, "-s", "templates/redis.yaml")
    (workload,) = (d for d in yaml.safe_load_all(done.stdout) if d["kind"] == "StatefulSet")
    assert workload["spec"]["template"]["spec"]["containers"][0]["image"] == image


def test_the_notes_say_nothing_of_what_stands_in_a_file_that_the_chart_cannot_read() -> None:
    notes = notes_of("existing-config")
    assert "observe" not in notes
    assert "rollout restart statefulset/rel-wattroute-controller" in notes
    assert "rollout restart" not in notes_of("gateway")


def test_the_notes_speak_to_the_router_as_it_listens() -> None:
    assert "curl http://127.0.0.1:8080/v1/models" in notes_of("gateway")
    assert "curl --insecure https://127.0.0.1:8080/v1/models" in notes_of("everything")


def notes_of(values: str, told: str = "tests.enabled=true") -> str:
    words = ["-n", NAMESPACE, "--dry-run=client", "-f", str(values_file(values)), "--set", told]
    done = helm("install", "rel", str(CHART), *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:")[2]


def test_the_notes_warn_of_what_would_not_work() -> None:
    assert "ipBlock" in notes_of("everything"), "clients behind the load balancer"
    assert "ipBlock" not in notes_of("gateway")
    outside = "router.service.externalTrafficPolicy to Local"
    assert outside in notes_of("gateway", "router.service.type=NodePort")
    assert outside not in notes_of("gateway") + notes_of("everything")
    assert "config.signals.router_urls" not in notes_of("gateway") + notes_of("sidecar") + notes_of("existing-config")
    assert "StatefulSet vllm-fp8 in vllm may be scaled" in notes_of("scaling")
    assert "networkPolicy.agent.extraIngress" in notes_of("agents")
    assert "helm test" not in notes_of("agents")
    assert "name their ports in networkPolicy.redis.ports" in notes_of("existing-config")
    assert "Redis asks for no password" in notes_of("sidecar", "networkPolicy.enabled=false")
    assert "Redis asks for no password" not in notes_of("sidecar") + notes_of(
        "everything", "networkPolicy.enabled=false"
    )
    assert "Set router.mode to sidecar once" in notes_of("both")
    assert "controller.election" not in notes_of("existing-config") + notes_of("scaling")
    two = notes_of("existing-config", "controller.replicas=2")
    assert "controller.election {kind: lease, name: rel-wattroute, namespace: inference}" in two
    own = notes_of("gateway", "config.table.redis_url=redis://redis.db.svc:6380/0")
    assert "may reach every address at the ports 6380 of your Redis" in own
    assert "Engines are reached in inference at the ports 8000: name others" in notes_of("sidecar")
    assert "Engines are reached at the ports 8000: name others" in notes_of("existing-config")
    labelled = notes_of("existing-config", "engines.podLabels.app=vllm")
    assert "Engines are reached in inference, vllm at the ports 8000: name others" in labelled
    assert "Engines are reached" not in notes_of("gateway") + notes_of("scaling") + notes_of("agents")
    assert "at the ports 8081 of config.signals.router_urls" in notes_of("deployment")
    assert "networkPolicy.router.peers" not in notes_of("gateway") + notes_of("controller-only")
    assert "networkPolicy.redis" not in notes_of("gateway") + notes_of("sidecar")


def test_the_service_of_clients_is_as_their_cloud_wants_it_and_no_other() -> None:
    services = {service["metadata"]["name"]: service for service in objects(values_file("everything"), "Service")}
    public = services.pop("rel-wattroute-router")
    scheme = "service.beta.kubernetes.io/aws-load-balancer-scheme"
    assert public["metadata"]["annotations"] == {"owner": "inference@example.org", scheme: "internal"}
    assert public["spec"]["loadBalancerClass"] == "service.k8s.aws/nlb"
    assert public["spec"]["externalTrafficPolicy"] == "Local", "clients keep their addresses, which policies go by"
    assert len(services) > 2
    assert all(scheme not in service["metadata"]["annotations"] for service in services.values())
    plain = named(values_file("gateway"), "Service", "rel-wattroute-router")
    assert "externalTrafficPolicy" not in plain["spec"]
    assert "annotations" not in plain["metadata"]


def test_the_package_has_what_installs_and_not_what_tests(tmp_path: Path) -> None:
    done = helm("package", str(CHART), "-d", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.iterdir()
    with tarfile.open(file) as package:
        names = package.getnames()
    assert {"wattroute/values.schema.json", "wattroute/README.md"} <= set(names)
    assert {Path(name).name for name in names if "/files/" in name} == {
        path.name for path in (CHART / "files").iterdir()
    }
    assert not [name for name in names if "/ci/" in name]


def test_the_notes_tell_what_to_do_next() -> None:
    notes = notes_of("gateway")
    for line in ("helm test rel -n inference", "service/rel-wattroute-router 8080:8080", "/v1/models", "observe"):
        assert line in notes, notes


@pytest.mark.parametrize(
    ("mode", "told", "asked"),
    [
        ("gateway", "client_certificates=required", "http://rel-wattroute-router-pods:8081/readyz"),
        ("gateway", "client_ca_file=/ca.pem", "http://rel-wattroute-router-pods:8081/readyz"),
        ("gateway", "client_certificates=optional", "https://rel-wattroute-router:8080/health"),
        ("sidecar", "client_ca_file=/ca.pem", None),
    ],
)
def test_the_test_and_the_notes_go_by_whom_the_public_port_takes(mode: str, told: str, asked: str | None) -> None:
    """`helm test` bears no certificate, and a system that refuses it is sound."""
    tls = "config.router.tls"
    words = f"{tls}.certificate_file=/c,{tls}.key_file=/k,{tls}.client_ca_file=/ca.pem,{tls}.{told}"
    done = template("-f", str(values_file(mode)), "--set", words, "-s", "templates/tests/connection.yaml")
    (container,) = yaml.safe_load(done.stdout)["spec"]["containers"]
    assert [url for url in container["args"] if "-router" in url] == ([asked] if asked else [])
    assert len(container["args"]) == (2 if asked else 1)
    assert ("--cert client.pem" in notes_of(mode, words)) is (asked is None or asked.startswith("http:"))


def test_the_notes_show_the_key_that_tenants_have() -> None:
    assert "authorization" not in notes_of("gateway")
    shown = notes_of("gateway", "config.tenants.tenants_file=/etc/tenants/tenants.yaml")
    assert '/v1/models -H "authorization: Bearer KEY"' in shown
