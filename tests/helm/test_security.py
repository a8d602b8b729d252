"""What the pods may do, who may reach them, and what they may ask of the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.settings.election import ElectionSettings
from tests.helm.charts import (
    NAMESPACE,
    RELEASE,
    VALUES,
    Object,
    engine,
    named,
    needs_helm,
    objects,
    pod_templates,
    rendered,
    sidecar_patch,
    template,
    values_file,
)

pytestmark = needs_helm
RESTRICTED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
    "name",
}
EVERYTHING = values_file("everything")


def containers(spec: Object) -> list[Object]:
    return [*spec["containers"], *spec.get("initContainers", [])]


def violations(spec: Object) -> list[str]:
    """What PodSecurity `restricted` has against a pod; https://kubernetes.io/docs/concepts/security/pod-security-standards/."""
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    found += [f"volume {v['name']}" for v in spec.get("volumes", []) if not set(v) <= RESTRICTED_VOLUMES]
    pod = spec.get("securityContext", {})
    for container in containers(spec):
        name, own = container["name"], container.get("securityContext", {})
        if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
            found.append(f"{name}: privileges")
        if own.get("capabilities", {}).get("drop") != ["ALL"] or set(own["capabilities"].get("add", [])) - {
            "NET_BIND_SERVICE"
        }:
            found.append(f"{name}: capabilities")
        if (
            own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True
            or own.get("runAsUser", pod.get("runAsUser")) == 0
        ):
            found.append(f"{name}: root")
        if own.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in ("RuntimeDefault", "Localhost"):
            found.append(f"{name}: seccomp")
        found += [f"{name}: host port" for port in container.get("ports", []) if port.get("hostPort")]
    return found


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_every_pod_is_allowed_in_a_restricted_namespace(values: Path) -> None:
    pods = pod_templates(values)
    assert pods
    assert {name: violations(pod["spec"]) for name, pod in pods.items()} == {name: [] for name in pods}


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_every_container_of_ours_has_a_root_that_cannot_be_written(values: Path) -> None:
    for name, pod in pod_templates(values).items():
        for container in containers(pod["spec"]):
            assert container["securityContext"]["readOnlyRootFilesystem"], name
            mounts = [mount["name"] for mount in container.get("volumeMounts", [])]
            assert set(mounts) <= {*(v["name"] for v in pod["spec"].get("volumes", [])), "data"}, name


def test_what_restricted_forbids_is_seen() -> None:
    spec = engine()["spec"]["template"]["spec"]
    assert not violations(spec)
    spec["containers"][0]["ports"][0]["hostPort"] = 80
    spec["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    spec["initContainers"][0]["securityContext"].pop("capabilities")
    assert violations(spec) == ["volume host", "vllm: host port", "fetch-weights: capabilities"]


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_no_workload_that_may_be_scaled_is_given_replicas(values: Path) -> None:
    scaled = [each["name"] for each in yaml.safe_load(values.read_text()).get("rbac", {}).get("workloads", [])]
    for document in rendered(values):
        assert document["metadata"]["name"] not in scaled
        if "patch.yaml" in document.get("data", {}):
            assert "replicas" not in yaml.safe_dump(document)
    if values == values_file("scaling"):
        assert scaled == ["vllm-bf16", "vllm-fp8"]


def test_replicas_are_left_to_an_autoscaler_that_has_them() -> None:
    assert "replicas" not in named(values_file("deployment"), "Deployment", "rel-wattroute-router")["spec"]
    assert named(values_file("gateway"), "StatefulSet", "rel-wattroute-router")["spec"]["replicas"] == 2


# Rights


def rules(values: Path, name: str, namespace: str) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    (role,) = (
        d for d in objects(values, "Role") if (d["metadata"]["name"], d["metadata"]["namespace"]) == (name, namespace)
    )
    return [
        (rule["resources"][0], tuple(rule.get("resourceNames", ())), tuple(rule["verbs"])) for rule in role["rules"]
    ]


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_rights_are_namespaced_bound_to_what_runs_and_without_wildcards(values: Path) -> None:
    accounts = {pod["spec"].get("serviceAccountName", "default") for pod in pod_templates(values).values()}
    roles = {(d["metadata"]["name"], d["metadata"]["namespace"]) for d in objects(values, "Role")}
    bound = set()
    for binding in objects(values, "RoleBinding"):
        bound.add((binding["roleRef"]["name"], binding["metadata"]["namespace"]))
        assert {subject["name"] for subject in binding["subjects"]} <= accounts
        assert {subject["namespace"] for subject in binding["subjects"]} == {NAMESPACE}
    assert bound == roles
    assert not objects(values, "ClusterRole")
    for role in objects(values, "Role"):
        for rule in role["rules"]:
            assert "*" not in (*rule["verbs"], *rule["resources"], *rule["apiGroups"])


def test_the_controller_may_scale_the_workloads_that_are_named_and_no_other() -> None:
    assert rules(values_file("scaling"), "rel-wattroute-scale", "vllm") == [
        ("deployments", ("vllm-bf16",), ("get",)),
        ("deployments/scale", ("vllm-bf16",), ("get", "update")),
        ("pods", (), ("patch",)),
        ("statefulsets", ("vllm-fp8",), ("get",)),
        ("statefulsets/scale", ("vllm-fp8",), ("get", "update")),
        ("horizontalpodautoscalers", (), ("list",)),
        ("scaledobjects", (), ("list",)),
    ]
    assert rules(values_file("existing-config"), "rel-wattroute-scale", "vllm")[1][:2] == (
        "leaderworkersets/scale",
        ("vllm-bf16",),
    )


@pytest.mark.parametrize("mode", ["act", "recommend", None])
def test_workloads_that_the_plan_names_count_as_named_where_they_are_written(mode: str | None) -> None:
    workload = "config.plan.pools.bf16.workload"
    told = f"{workload}.kind=Deployment,{workload}.name=vllm" + (f",{workload}.mode={mode}" if mode else "")
    done = template("-f", str(values_file("gateway")), "--set", told)
    if mode != "act":
        assert "deployments/scale" not in done.stdout
        return
    done = template("-f", str(values_file("gateway")), "--set", told, "-s", "templates/rbac-controller.yaml")
    (role,) = (d for d in yaml.safe_load_all(done.stdout) if d and d["kind"] == "Role")
    assert role["metadata"]["namespace"] == NAMESPACE
    assert [rule.get("resourceNames") for rule in role["rules"] if "deployments/scale" in rule["resources"]] == [
        ["vllm"]
    ]


@pytest.mark.parametrize(
    ("told", "role", "place"),
    [("mode=act", "scale", "vllm"), ("mode=recommend", "mark", "vllm"), ("mode=act,{}.namespace=own", "scale", "own")],
)
def test_rights_are_given_where_the_controller_looks_for_the_workload(told: str, role: str, place: str) -> None:
    workload = "config.plan.pools.small.workload"
    words = ("--set", f"{workload}.namespace=null,{workload}.{told.format(workload)}", "-s")
    done = template("-f", str(values_file("scaling")), *words, "templates/rbac-controller.yaml")
    roles = [d for d in yaml.safe_load_all(done.stdout) if d and d["kind"] == "Role"]
    (found,) = (
        d for d in roles if (d["metadata"]["name"], d["metadata"]["namespace"]) == (f"rel-wattroute-{role}", place)
    )
    assert role == "mark" or any("vllm-small" in rule.get("resourceNames", []) for rule in found["rules"])


def test_the_controller_may_mark_pods_where_an_autoscaler_takes_them_and_scale_nothing_there() -> None:
    assert rules(values_file("scaling"), "rel-wattroute-mark", "vllm") == [("pods", (), ("patch",))]
    named_ones = [each[1] for each in rules(values_file("scaling"), "rel-wattroute-scale", "vllm")]
    assert ("vllm-small",) not in named_ones


@pytest.mark.parametrize(
    ("told", "may_mark"),
    [
        ("{pool}.workload.kind=Deployment", False),
        ("{pool}.workload.kind=Deployment,{pool}.can_sleep=false", True),
        ("{pool}.workload.kind=Deployment,config.plan.may_stop=true", True),
        ("{pool}.workload.kind=StatefulSet,{pool}.can_sleep=false", False),
        ("{pool}.workload.kind=Deployment,{pool}.can_sleep=false,{pool}.workload.mode=act", False),
        ("{pool}.can_sleep=false", False),
    ],
)
def test_pods_may_be_marked_only_where_that_says_which_one_goes(told: str, may_mark: bool) -> None:
    values = ("-f", str(values_file("gateway")), "--set", told.format(pool="config.plan.pools.bf16"))
    done = template(*values)
    assert done.returncode == 0, done.stderr
    roles = [d for d in yaml.safe_load_all(done.stdout) if d and d["kind"] == "Role"]
    marks = [d["metadata"]["namespace"] for d in roles if d["metadata"]["name"] == "rel-wattroute-mark"]
    assert marks == ([NAMESPACE] if may_mark else [])


def test_two_controllers_elect_a_leader_by_a_lease_that_they_alone_may_write() -> None:
    values = values_file("scaling")
    file = yaml.safe_load(named(values, "ConfigMap", "rel-wattroute")["data"]["wattroute.yaml"])
    assert file["controller"]["election"] == {"kind": "lease", "name": "rel-wattroute", "namespace": NAMESPACE}
    assert rules(values, "rel-wattroute-election", NAMESPACE) == [
        ("leases", (), ("create",)),
        ("leases", ("rel-wattroute",), ("get", "update")),
    ]
    assert not [d for d in objects(values_file("gateway"), "Role") if "election" in d["metadata"]["name"]]


def test_an_election_without_a_name_is_allowed_the_lease_that_the_program_takes_and_no_other() -> None:
    words = ("--set", "config.controller.election.kind=lease", "-s", "templates/rbac-controller.yaml")
    done = template("-f", str(values_file("gateway")), *words)
    (role,) = (d for d in yaml.safe_load_all(done.stdout) if d and d["kind"] == "Role")
    assert role["rules"][1]["resourceNames"] == [ElectionSettings(kind="lease").name]


def test_engines_are_found_in_the_namespaces_of_their_pools_only() -> None:
    assert rules(values_file("scaling"), "rel-wattroute-discovery", "vllm") == [
        ("endpointslices", (), ("list", "watch"))
    ]
    roles = [
        d["metadata"]["namespace"]
        for d in objects(values_file("scaling"), "Role")
        if "discovery" in d["metadata"]["name"]
    ]
    assert roles == ["vllm"]
    assert not objects(values_file("gateway"), "Role")


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_a_token_of_the_api_is_in_no_pod_that_has_no_use_for_it(values: Path) -> None:
    """And where it is, only in the container that needs it: an engine beside a router gets none by the patch."""
    bound = {subject["name"] for binding in objects(values, "RoleBinding") for subject in binding["subjects"]}
    for name, pod in pod_templates(values).items():
        spec = pod["spec"]
        holders = [
            c["name"] for c in containers(spec) if any("api-token" in m["name"] for m in c.get("volumeMounts", []))
        ]
        if name == "patched engine":
            assert holders == ["wattroute-router"]
        else:
            assert spec["automountServiceAccountToken"] is False, name
            assert bool(holders) == (spec.get("serviceAccountName", "") in bound), name


# Network


def matches(selector: Object, labels: dict[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


class Network:
    """Who may reach whom by the policies of one release, as an enforcing network would have it."""

    def __init__(self, values: Path) -> None:
        self._policies = objects(values, "NetworkPolicy")
        self.pods: dict[str, tuple[str, dict[str, str]]] = {
            "client": ("web", {"app": "chat"}),
            "stranger": (NAMESPACE, {"app": "stranger"}),
            "prometheus": ("monitoring", {"app": "prometheus"}),
            "bastion": (NAMESPACE, {"app": "bastion"}),
            "dns": ("kube-system", {"k8s-app": "kube-dns"}),
        }
        engines = yaml.safe_load(values.read_text()).get("engines", {})
        self.pods["engine"] = (engines.get("namespace", NAMESPACE), {"app": "vllm"})
        for name, pod in pod_templates(values).items():
            labels = pod["metadata"]["labels"]
            key = "engine" if name == "patched engine" else labels["app.kubernetes.io/component"]
            self.pods[key] = (NAMESPACE, labels)
        if self.pods["engine"][1].get("wattroute/router"):
            self.pods["router"] = self.pods["engine"]

    def allows(self, source: str, target: str, port: int) -> bool:
        return self._direction("Egress", "to", source, target, port) and self._direction(
            "Ingress", "from", target, source, port
        )

    def leaves(self, source: str, port: int) -> bool:
        """Whether `source` may reach every address outside at a port."""
        rules = [rule for policy in self._of("Egress", source) for rule in policy["spec"].get("egress", [])]
        return any("to" not in rule and self._has_port(rule, port) for rule in rules)

    def _of(self, direction: str, pod: str) -> list[Object]:
        namespace, labels = self.pods[pod]
        return [
            policy
            for policy in self._policies
            if policy["metadata"]["namespace"] == namespace
            and direction in policy["spec"]["policyTypes"]
            and matches(policy["spec"]["podSelector"], labels)
        ]

    def _direction(self, direction: str, key: str, pod: str, peer: str, port: int) -> bool:
        policies = self._of(direction, pod)
        rules = [rule for policy in policies for rule in policy["spec"].get(direction.lower(), [])]
        return not policies or any(
            self._has_port(rule, port) and (key not in rule or any(self._is(p, peer, pod) for p in rule[key]))
            for rule in rules
        )

    def _has_port(self, rule: Object, port: int) -> bool:
        return "ports" not in rule or port in [entry["port"] for entry in rule["ports"]]

    def _is(self, selector: dict[str, Any], peer: str, pod: str) -> bool:
        namespace, labels = self.pods[peer]
        if "ipBlock" in selector:
            return False
        if "namespaceSelector" in selector:
            inside = matches(selector["namespaceSelector"], {"kubernetes.io/metadata.name": namespace})
        else:
            inside = namespace == self.pods[pod][0]
        return inside and matches(selector.get("podSelector", {}), labels)


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        ("client", "router", 8080),
        ("router", "engine", 8000),
        ("router", "engine", 8001),
        ("router", "redis", 6379),
        ("router", "controller", 8090),
        ("router", "dns", 53),
        ("controller", "engine", 8000),
        ("controller", "router", 8081),
        ("controller", "redis", 6379),
        ("controller", "agent", 9410),
        ("controller", "dns", 53),
        ("prometheus", "router", 8081),
        ("prometheus", "controller", 8090),
        ("prometheus", "agent", 9410),
        ("prometheus", "engine", 8000),
        ("bastion", "controller", 8090),
        ("bastion", "router", 8081),
        ("test", "router", 8080),
        ("test", "controller", 8090),
    ],
)
def test_what_must_reach_each_other_may(source: str, target: str, port: int) -> None:
    assert Network(EVERYTHING).allows(source, target, port)


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        ("client", "router", 8081),
        ("client", "engine", 8000),
        ("client", "controller", 8090),
        ("client", "redis", 6379),
        ("stranger", "engine", 8000),
        ("stranger", "router", 8081),
        ("stranger", "controller", 8090),
        ("stranger", "redis", 6379),
        ("stranger", "agent", 9410),
        ("bastion", "engine", 8000),
        ("router", "agent", 9410),
        ("router", "stranger", 80),
        ("controller", "stranger", 80),
        ("redis", "router", 8080),
        ("redis", "dns", 53),
        ("agent", "dns", 53),
    ],
)
def test_what_has_no_business_with_each_other_may_not(source: str, target: str, port: int) -> None:
    assert not Network(EVERYTHING).allows(source, target, port)


def test_agents_of_a_release_of_their_own_are_reached_by_the_controller_of_another() -> None:
    values = values_file("agents")
    assert {d["kind"] for d in rendered(values)} == {"DaemonSet", "NetworkPolicy"}
    network = Network(values)
    network.pods |= {
        "controller": ("inference", {"app.kubernetes.io/component": "controller"}),
        "agent": (NAMESPACE, network.pods["agent"][1]),
    }
    assert network.allows("controller", "agent", 9410)
    assert network.allows("prometheus", "agent", 9410)
    assert not network.allows("stranger", "agent", 9410)
    done = template("-f", str(values), "--set", "agent.hostPort=9410", "-s", "templates/agent.yaml")
    (container,) = yaml.safe_load(done.stdout)["spec"]["template"]["spec"]["containers"]
    assert container["ports"][0]["hostPort"] == 9410


DISCOVERED = "discovery: {kind: kubernetes, service: s, namespace: vllm%s}"


@pytest.mark.parametrize(
    ("pools", "engines", "ports", "namespaces"),
    [
        ([DISCOVERED % ", port: 9001"], "", [8000, 9001], ["vllm"]),
        ([DISCOVERED % ", port: http"], "", [8000], ["vllm"]),
        ([DISCOVERED % ", port: 9001"], "ports: [9000], namespace: own", [9000, 9001], ["own", "vllm"]),
        (["discovery: {kind: kubernetes, service: s}"], "", [8000], [NAMESPACE]),
        (["discovery: {kind: dns, name: vllm.own, port: 9002}"], "namespace: own", [8000, 9002], ["own"]),
        (['instances: ["http://h:9001", "https://h", "http://[fd00::1]", "unix:/run/e"]'], "",
         [8000, 9001, 443, 80], [NAMESPACE]),
        (["instances: [{name: a, url: http://h:9001}]", DISCOVERED % ""], "", [8000, 9001], [NAMESPACE, "vllm"]),
    ],
)  # fmt: skip
def test_engines_are_reached_at_the_ports_and_in_the_namespaces_that_their_pools_tell(
    pools: list[str], engines: str, ports: list[int], namespaces: list[str], tmp_path: Path
) -> None:
    told = [f"{{name: pool-{n}, precision: bf16, {pool}}}" for n, pool in enumerate(pools)]
    labels = "podLabels: {app: vllm}" + (f", {engines}" if engines else "")
    file = tmp_path / "values.yaml"
    file.write_text(f"config: {{pools: [{', '.join(told)}]}}\nengines: {{{labels}}}\n")
    wanted = {"ports": [{"port": port, "protocol": "TCP"} for port in ports]}
    places = [{"matchLabels": {"kubernetes.io/metadata.name": namespace}} for namespace in namespaces]
    for name in ("rel-wattroute-router", "rel-wattroute-controller"):
        rule = named(file, "NetworkPolicy", name)["spec"]["egress"][1]
        assert rule["ports"] == wanted["ports"], name
        assert [peer["namespaceSelector"] for peer in rule["to"]] == places, name
    policies = [d for d in objects(file, "NetworkPolicy") if d["metadata"]["name"] == "rel-wattroute-engines"]
    assert [policy["metadata"]["namespace"] for policy in policies] == namespaces
    assert [policy["spec"]["ingress"][0]["ports"] for policy in policies] == [wanted["ports"]] * len(namespaces)


def test_a_sidecar_is_reached_by_clients_and_its_engine_is_not() -> None:
    network = Network(values_file("sidecar"))
    assert network.allows("client", "engine", 8080)
    assert not network.allows("client", "engine", 8000)
    assert not network.allows("client", "engine", 8081)
    assert network.allows("router", "engine", 8000)
    assert network.allows("controller", "engine", 8081)
    assert network.allows("engine", "redis", 6379)
    assert network.allows("engine", "stranger", 443), "what an engine may reach is its owner's to say"


def test_sidecars_are_let_in_while_the_gateway_serves_and_serve_as_they_are_without_it() -> None:
    both, after = values_file("both"), values_file("sidecar")
    network = Network(both)
    network.pods["gateway"] = (NAMESPACE, pod_templates(both)["StatefulSet/rel-wattroute-router"]["metadata"]["labels"])
    assert network.allows("gateway", "redis", 6379)
    assert network.allows("engine", "redis", 6379)
    assert network.allows("gateway", "engine", 8000)
    assert network.allows("client", "gateway", 8080)
    assert network.allows("client", "engine", 8080)
    assert not network.allows("client", "engine", 8000)
    left = Network(after)
    left.pods["gateway"] = network.pods["gateway"]
    assert left.allows("gateway", "engine", 8000), "answers that a gateway drains go on"
    (binding,) = objects(both, "RoleBinding")[-1:]
    assert {subject["name"] for subject in binding["subjects"]} >= {"vllm", "rel-wattroute-router"}
    assert sidecar_patch(both) == sidecar_patch(after), "engines are rolled once"
    chosen = [named(values, "Service", "rel-wattroute-router")["spec"]["selector"] for values in (both, after)]
    assert [matches({"matchLabels": each}, network.pods["gateway"][1]) for each in chosen] == [True, False]
    assert [matches({"matchLabels": each}, network.pods["engine"][1]) for each in chosen] == [False, True]


def test_an_engine_beside_a_sidecar_is_reached_as_one_without_where_no_labels_are_told(tmp_path: Path) -> None:
    values = yaml.safe_load(values_file("sidecar").read_text())
    values["engines"] = {"extraIngress": [{"from": [{"podSelector": {"matchLabels": {"app": "stranger"}}}]}]}
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    network = Network(file)
    assert network.allows("prometheus", "engine", 8000)
    assert network.allows("stranger", "engine", 29500), "the other pods of an engine on several machines"
    assert not network.allows("client", "engine", 8000)


def test_only_who_asks_the_api_server_may_leave_to_its_ports() -> None:
    scaling, gateway = Network(values_file("scaling")), Network(values_file("gateway"))
    assert scaling.leaves("controller", 6443)
    assert scaling.leaves("router", 6443)
    assert not gateway.leaves("controller", 6443)
    assert not gateway.leaves("router", 443)
    assert not Network(EVERYTHING).leaves("controller", 443), "its addresses are given"
    elects = template("-f", str(values_file("gateway")), "--set", "config.controller.election.kind=lease")
    (policy,) = (
        d
        for d in yaml.safe_load_all(elects.stdout)
        if d and (d["kind"], d["metadata"]["name"]) == ("NetworkPolicy", "rel-wattroute-controller")
    )
    assert any("to" not in rule and rule["ports"][0]["port"] == 443 for rule in policy["spec"]["egress"])


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_selectors_of_services_policies_and_monitors_find_pods(values: Path) -> None:
    """Budgets, Services, policies and PodMonitors each mean a pod: one of ours, an engine, a gateway that drains."""
    labels = [pod["metadata"]["labels"] for pod in pod_templates(values).values()]
    labels += [
        {"app": "vllm"},
        pod_templates(values_file("both"))["StatefulSet/rel-wattroute-router"]["metadata"]["labels"],
    ]
    for document in rendered(values):
        spec, kind = document.get("spec", {}), document["kind"]
        selector = {
            "Service": lambda spec: {"matchLabels": spec["selector"]},
            "NetworkPolicy": lambda spec: spec["podSelector"],
            "PodMonitor": lambda spec: spec["selector"],
            "PodDisruptionBudget": lambda spec: spec["selector"],
        }.get(kind)
        if selector is not None:
            assert any(matches(selector(spec), own) for own in labels), document["metadata"]["name"]


def test_while_gateways_give_way_to_sidecars_both_are_scraped() -> None:
    monitors = [d for d in rendered(values_file("both")) if d["kind"] == "PodMonitor"]
    selectors = {monitor["metadata"]["name"]: monitor["spec"]["selector"] for monitor in monitors}
    gateway = pod_templates(values_file("both"))["StatefulSet/rel-wattroute-router"]["metadata"]["labels"]
    assert matches(selectors["rel-wattroute-router"], gateway)
    assert selectors["rel-wattroute-sidecar"] == {"matchLabels": {"wattroute/router": "rel-wattroute"}}


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_ports_that_services_and_monitors_name_exist(values: Path) -> None:
    """Services name none of an init container: before Kubernetes 1.33 EndpointSlices would be without the port."""
    pods = pod_templates(values).values()
    for document in rendered(values):
        if document["kind"] == "Service":
            wanted = [port["targetPort"] for port in document["spec"]["ports"]]
            selector = document["spec"]["selector"]
        elif document["kind"] == "PodMonitor":
            wanted = [endpoint["port"] for endpoint in document["spec"]["podMetricsEndpoints"]]
            selector = document["spec"]["selector"]["matchLabels"]
        else:
            continue
        for pod in pods:
            if matches({"matchLabels": selector}, pod["metadata"]["labels"]):
                ports = [port for c in containers(pod["spec"]) for port in c.get("ports", [])]
                plain = [port for c in pod["spec"]["containers"] for port in c.get("ports", [])]
                names = [port["name"] for port in (plain if document["kind"] == "Service" else ports)]
                numbers = [port["containerPort"] for port in ports]
                assert set(wanted) <= {*names, *numbers}, document["metadata"]["name"]


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        ("table.redis_url=redis://:pw@redis.db.svc:6380/0", {"ports": [6380]}),
        ("table.redis_url=rediss://redis.db.svc/0", {"ports": [6379]}),
        ("table.redis_url=redis://[fd00::1]:6390/0", {"ports": [6390]}),
        ("table.redis_url=redis://[fd00::1]/0", {"ports": [6379]}),
        (
            "table.redis_url=redis://mymaster/0,config.table.sentinels={s0:26379,s1:26380}",
            {"ports": [6379, 26379, 26380]},
        ),
        ("table.redis_url=redis://r:1/0,networkPolicy.redis.ports={7000}", {"ports": [7000]}),
        (
            "table.redis_url=redis://r:1/0,networkPolicy.redis.peers[0].ipBlock.cidr=10.0.0.1/32",
            {"ports": [1], "to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}]},
        ),
        ("table.redis_url=unix:///run/redis.sock", None),
    ],
)
def test_a_redis_of_ones_own_is_reached_by_routers_and_controller(told: str, rule: Object | None) -> None:
    words = ("-f", str(values_file("gateway")), "-s", "templates/networkpolicy.yaml")
    policies = {}
    for case in ([], ["--set", f"config.{told}"]):
        done = template(*words, *case)
        assert done.returncode == 0, done.stderr
        policies[bool(case)] = {
            d["metadata"]["name"]: d["spec"].get("egress", []) for d in yaml.safe_load_all(done.stdout)
        }
    for name in ("rel-wattroute-router", "rel-wattroute-controller"):
        added = [each for each in policies[True][name] if each not in policies[False][name]]
        shown = [{**each, "ports": [port["port"] for port in each["ports"]]} for each in added]
        assert shown == ([rule] if rule else []), name


@pytest.mark.parametrize(
    ("told", "rule", "enters"),
    [
        ("config.signals.router_urls={http://10.0.0.5:8081,https://r}", {"ports": [8081, 443]}, False),
        (
            "config.signals.router_urls={http://10.0.0.5:8081},networkPolicy.router.peers[0].ipBlock.cidr=10.0.0.5/32",
            {"ports": [8081], "to": [{"ipBlock": {"cidr": "10.0.0.5/32"}}]},
            True,
        ),
        ("tests.enabled=true", None, False),
    ],
)
def test_routers_elsewhere_are_reached_by_the_controller_and_reach_it_from_the_addresses_that_are_told(
    told: str, rule: Object | None, enters: bool
) -> None:
    done = template("-f", str(values_file("gateway")), "--set", told, "-s", "templates/networkpolicy.yaml")
    assert done.returncode == 0, done.stderr
    policies = {d["metadata"]["name"]: d["spec"] for d in yaml.safe_load_all(done.stdout)}
    controller = policies["rel-wattroute-controller"]
    usual = named(values_file("gateway"), "NetworkPolicy", "rel-wattroute-controller")["spec"]["egress"]
    added = [each for each in controller["egress"] if each not in usual]
    shown = [{**each, "ports": [port["port"] for port in each["ports"]]} for each in added]
    assert shown == ([rule] if rule else [])
    assert ({"ipBlock": {"cidr": "10.0.0.5/32"}} in controller["ingress"][0]["from"]) is enters


def test_policies_can_be_left_out() -> None:
    assert not objects(values_file("router-only"), "NetworkPolicy")
    done = template("-f", str(values_file("gateway")), "--set", "networkPolicy.enabled=false")
    assert "NetworkPolicy" not in done.stdout


def test_a_budget_is_there_from_two_replicas_on_and_where_an_autoscaler_sets_them() -> None:
    assert {d["metadata"]["name"] for d in objects(EVERYTHING, "PodDisruptionBudget")} == {
        "rel-wattroute-router",
        "rel-wattroute-controller",
    }
    assert {d["metadata"]["name"] for d in objects(values_file("gateway"), "PodDisruptionBudget")} == {
        "rel-wattroute-router"
    }
    assert {d["metadata"]["name"] for d in objects(values_file("deployment"), "PodDisruptionBudget")} == {
        "rel-wattroute-router"
    }
    assert not objects(values_file("router-only"), "PodDisruptionBudget")


def test_secrets_are_named_and_never_written() -> None:
    assert not objects(EVERYTHING, "Secret")
    names = {
        volume["secret"]["secretName"]
        for pod in pod_templates(EVERYTHING).values()
        for volume in pod["spec"].get("volumes", [])
        if "secret" in volume
    }
    assert names == {"router-tls", "router-admin", "operators", "agent-token", "agent-tls", "redis-tls", "tenants"}
    assert RELEASE not in names


@pytest.mark.parametrize(
    ("values", "pod", "prefix"),
    [("gateway", "gateway", ""), ("sidecar", "patched engine", "wattroute-"), ("gateway", "controller", "")],
)
def test_secrets_that_settings_name_files_of_are_mounted_as_folders(
    values: str, pod: str, prefix: str, tmp_path: Path
) -> None:
    told = yaml.safe_load(values_file(values).read_text())
    part = "controller" if pod == "controller" else "router"
    secrets = [{"existingSecret": name, "mountPath": f"/etc/{name}"} for name in ("tenants", "keys")]
    told[part] = {**told.get(part, {}), "secrets": secrets}
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(told))
    template = pod_templates(file)[
        {"gateway": "StatefulSet/rel-wattroute-router", "controller": "StatefulSet/rel-wattroute-controller"}.get(
            pod, pod
        )
    ]
    name = "controller" if pod == "controller" else "wattroute-router"
    (container,) = (each for each in containers(template["spec"]) if each["name"] == name)
    for number, secret in enumerate(("tenants", "keys")):
        volume = f"{prefix}secret-{number}"
        assert {"name": volume, "mountPath": f"/etc/{secret}", "readOnly": True} in container["volumeMounts"]
        assert {"name": volume, "secret": {"secretName": secret}} in template["spec"]["volumes"]


def test_routers_reach_a_table_of_another_release() -> None:
    def egress(told: str) -> list[Object]:
        words = ("-f", str(values_file("router-only")), "--set", f"networkPolicy.enabled=true,{told}")
        done = template(*words, "-s", "templates/networkpolicy.yaml")
        assert done.returncode == 0, done.stderr
        (policy,) = (d for d in yaml.safe_load_all(done.stdout) if d["metadata"]["name"] == "rel-wattroute-router")
        rules: list[Object] = policy["spec"]["egress"]
        return rules

    usual = egress("tests.enabled=false")
    for url, port in (("http://c.other.svc:8090/v1/allocation", 8090), ("https://c.example/v1/allocation", 443)):
        added = [rule for rule in egress(f"config.table.url={url}") if rule not in usual]
        assert added == [{"ports": [{"port": port, "protocol": "TCP"}]}]


def shown_to_redis(values: Path, pod: str) -> dict[str, str]:
    """What the only container of a pod is told of Redis: values, or SECRET/KEY."""
    (container,) = pod_templates(values)[pod]["spec"]["containers"]
    told = {entry["name"]: entry for entry in container["env"] if entry["name"].startswith("REDIS_")}
    secrets = {name: entry.get("valueFrom", {}).get("secretKeyRef", {}) for name, entry in told.items()}
    return {name: entry.get("value") or "{name}/{key}".format(**secrets[name]) for name, entry in told.items()}


def test_routers_and_controller_may_be_users_of_their_own_of_a_redis_behind_sentinels(tmp_path: Path) -> None:
    values = yaml.safe_load(values_file("gateway").read_text())
    values["config"]["table"] = {"redis_url": "rediss://mymaster/0", "sentinels": ["s0:26379"]}
    own = {"username": "controller", "key": "of-controller"}
    auth = {"existingSecret": "redis", "username": "router", "controller": own, "sentinelKey": "of-sentinels"}
    values["redis"] = {"enabled": False, "auth": auth}
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    assert shown_to_redis(file, "StatefulSet/rel-wattroute-router") == {
        "REDIS_USERNAME": "router",
        "REDIS_PASSWORD": "redis/password",
        "REDIS_SENTINEL_PASSWORD": "redis/of-sentinels",
    }
    assert shown_to_redis(file, "StatefulSet/rel-wattroute-controller") == {
        "REDIS_USERNAME": "controller",
        "REDIS_PASSWORD": "redis/of-controller",
        "REDIS_SENTINEL_PASSWORD": "redis/of-sentinels",
    }
