"""The order in which a router and the engine beside it start and stop, and what restarts what."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from router.drain_command import COMMAND as DRAIN
from router.drained import QUIET_S
from router.reload import _FIXED
from router.settings import RouterSettings
from router.settings.process import LONGEST_DRAIN_S
from tests.helm.charts import (
    CHART,
    NAMESPACE,
    Object,
    engine,
    helm,
    named,
    needs_helm,
    needs_kubectl,
    objects,
    patched,
    patched_by_kubectl,
    patched_here,
    sidecar_patch,
    template,
    values_file,
)

pytestmark = needs_helm
SIDECAR = "templates/router-sidecar.yaml"


def router_of(values: str) -> Object:
    pod = named(values_file(values), "StatefulSet", "rel-wattroute-router")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return {"pod": pod, "container": container}


def sidecar() -> tuple[Object, Object, Object]:
    patch = sidecar_patch(values_file("sidecar"))
    assert patch is not None
    pod = patched(patch)["spec"]["template"]["spec"]
    (router,) = (container for container in pod["initContainers"] if container["name"] == "wattroute-router")
    return pod, router, pod["containers"][0]


def test_the_sidecar_is_native_and_starts_before_the_engine_without_waiting_for_it() -> None:
    _, router, _ = sidecar()
    assert router["restartPolicy"] == "Always"
    assert router["startupProbe"]["httpGet"]["path"] == "/healthz"


def test_a_sidecars_readiness_does_not_hang_on_the_fleet_but_a_gateways_does() -> None:
    """A pod is an endpoint once all its containers are ready: a router that waits for one keeps it away."""
    assert sidecar()[1]["readinessProbe"]["httpGet"]["path"] == "/healthz"
    assert router_of("gateway")["container"]["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_patch_leaves_the_engine_as_it_is_but_for_its_hook() -> None:
    pod, _, vllm = sidecar()
    own = engine()["spec"]["template"]["spec"]
    assert {key: value for key, value in vllm.items() if key != "lifecycle"} == own["containers"][0]
    assert [c["name"] for c in pod["initContainers"]] == ["wattroute-router", "fetch-weights"]
    assert own["volumes"][0] in pod["volumes"]
    assert pod["serviceAccountName"] == "vllm"


def test_both_containers_drain_before_anything_is_told_to_end() -> None:
    pod, router, vllm = sidecar()
    assert router["lifecycle"]["preStop"]["exec"]["command"][:2] == ["wattroute-router", DRAIN]
    hook = vllm["lifecycle"]["preStop"]["httpGet"]
    address = urlsplit(hook["path"])
    assert address.path == "/drained"
    (wait_s,) = parse_qs(address.query)["wait_s"]
    assert float(wait_s) == RouterSettings().timeouts.drain_s
    assert hook["port"] == RouterSettings().admin_port
    assert pod["terminationGracePeriodSeconds"] >= float(wait_s) + 120 + 10


@pytest.mark.parametrize(("told", "quiet_s"), [("tests.enabled=true", QUIET_S), ("router.drainQuietSeconds=45", 45.0)])
def test_both_hooks_wait_for_as_long_as_balancers_send_new_requests(told: str, quiet_s: float) -> None:
    done = template("-f", str(values_file("both")), "--set", told)
    assert done.returncode == 0, done.stderr
    documents = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(done.stdout) if d}
    gateway = documents["StatefulSet", "rel-wattroute-router"]["spec"]["template"]["spec"]["containers"]
    pod = yaml.safe_load(documents["ConfigMap", "rel-wattroute-sidecar"]["data"]["patch.yaml"])["spec"]["template"][
        "spec"
    ]
    for (container,) in (gateway, pod["initContainers"]):
        command = container["lifecycle"]["preStop"]["exec"]["command"]
        assert float(command[command.index("--quiet-s") + 1]) == quiet_s
    address = urlsplit(pod["containers"][0]["lifecycle"]["preStop"]["httpGet"]["path"])
    assert parse_qs(address.query)["quiet_s"] == [f"{quiet_s:g}"]


@pytest.mark.parametrize("patched_with", [patched_here, pytest.param(patched_by_kubectl, marks=needs_kubectl)])
def test_a_hook_and_secrets_that_an_engine_has_of_its_own_stand_not_in_the_way(
    patched_with: Callable[[Object, str], Object],
) -> None:
    """The API server refuses a hook with two handlers."""
    done = template("-f", str(values_file("sidecar")), "--set", "imagePullSecrets[0].name=ours", "-s", SIDECAR)
    patch = yaml.safe_load(done.stdout)["data"]["patch.yaml"]
    workload = engine()
    pod = workload["spec"]["template"]["spec"]
    pod["imagePullSecrets"] = [{"name": "theirs"}]
    for handler in ({"exec": {"command": ["sleep", "15"]}}, {"sleep": {"seconds": 15}}, {"tcpSocket": {"port": 1}}):
        pod["containers"][0]["lifecycle"] = {"preStop": handler, "postStart": {"exec": {"command": ["warm"]}}}
        changed = patched_with(workload, patch)["spec"]["template"]["spec"]
        assert list(changed["containers"][0]["lifecycle"]["preStop"]) == ["httpGet"]
        assert "postStart" in changed["containers"][0]["lifecycle"]
        assert {each["name"] for each in changed["imagePullSecrets"]} == {"ours", "theirs"}


@pytest.mark.parametrize("drain_s", [None, 300.0])
def test_the_grace_period_is_longer_than_the_drain(drain_s: float | None) -> None:
    words = [] if drain_s is None else ["--set", f"config.router.timeouts.drain_s={drain_s:g}"]
    done = template("-f", str(values_file("gateway")), *words, "-s", "templates/router-gateway.yaml")
    pod = yaml.safe_load(done.stdout)["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= (drain_s or RouterSettings().timeouts.drain_s) + 30


def test_a_drain_that_no_hook_would_wait_for_is_refused() -> None:
    told = [
        template("-f", str(values_file("gateway")), "--set", f"config.router.timeouts.drain_s={drain_s:g}")
        for drain_s in (LONGEST_DRAIN_S, LONGEST_DRAIN_S + 1)
    ]
    assert [done.returncode == 0 for done in told] == [True, False]
    assert "config.router.timeouts.drain_s is 3601" in told[1].stderr


def test_the_controllers_grace_period_is_longer_than_its_wait_for_wakes() -> None:
    for setting, wait_s in (("controller.enabled=true", 20), ("config.controller.exit_wait_s=90", 90)):
        done = template("-f", str(values_file("gateway")), "--set", setting, "-s", "templates/controller.yaml")
        (workload,) = (d for d in yaml.safe_load_all(done.stdout) if d["kind"] == "StatefulSet")
        assert workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > wait_s


def test_limits_on_gpus_are_given_back_within_the_grace_period_after_wakes_that_took_all_of_theirs() -> None:
    limits = "config.controller.zeusd[0].url=http://gpu-node-1:4938,config.controller.exit_wait_s=45"
    done = template("-f", str(values_file("gateway")), "--set", limits, "-s", "templates/controller.yaml")
    (workload,) = (d for d in yaml.safe_load_all(done.stdout) if d["kind"] == "StatefulSet")
    assert workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 45 + 45


def checksums(*words: str) -> dict[str, str]:
    done = template("-f", str(values_file("gateway")), *words)
    assert done.returncode == 0, done.stderr
    workloads = [d for d in yaml.safe_load_all(done.stdout) if d and d["kind"] == "StatefulSet"]
    return {
        d["metadata"]["name"]: d["spec"]["template"]["metadata"]["annotations"]["checksum/config"] for d in workloads
    }


def test_a_changed_configuration_restarts_who_cannot_take_it_while_running() -> None:
    before = checksums()
    router, controller = "rel-wattroute-router", "rel-wattroute-controller"
    pools = checksums("--set", "config.pools[0].static_weight=3")
    assert pools[controller] != before[controller]
    assert pools[router] == before[router], "a router obeys changed pools without a restart"
    workers = checksums("--set", "config.router.workers=4")
    assert workers[router] != before[router]
    again = checksums("--set", "config.router.reload=false,config.pools[0].static_weight=3")
    assert again[router] != checksums("--set", "config.router.reload=false")[router]


def test_routers_are_restarted_for_what_they_take_at_their_start_and_for_nothing_else() -> None:
    router = "rel-wattroute-router"
    before = checksums("--set", "config.table.url=http://c:1/v1/allocation")[router]
    for key in _FIXED:
        changed = checksums("--set", f"config.table.url=http://c:1/v1/allocation,config.{key}=changed")
        assert changed[router] != before, key
    for key in ("router.timeouts.inter_chunk_s", "router.retries.budget_frac", "table.poll_interval_s"):
        changed = checksums("--set", f"config.table.url=http://c:1/v1/allocation,config.{key}=7")
        assert changed[router] == before, key


def test_the_router_is_told_to_read_changes() -> None:
    file = yaml.safe_load(named(values_file("gateway"), "ConfigMap", "rel-wattroute")["data"]["wattroute.yaml"])
    assert file["router"]["reload"] is True
    assert all("subPath" not in mount for mount in router_of("gateway")["container"]["volumeMounts"])


def test_the_controller_writes_into_a_volume_of_its_own() -> None:
    workload = named(values_file("everything"), "StatefulSet", "rel-wattroute-controller")["spec"]
    assert workload["replicas"] == 2
    (claim,) = workload["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "20Gi"
    mounts = {
        mount["name"]: mount["mountPath"] for mount in workload["template"]["spec"]["containers"][0]["volumeMounts"]
    }
    file = yaml.safe_load(named(values_file("everything"), "ConfigMap", "rel-wattroute")["data"]["wattroute.yaml"])
    assert mounts[claim["metadata"]["name"]] == file["controller"]["data_dir"]
    without = named(values_file("controller-only"), "StatefulSet", "rel-wattroute-controller")["spec"]
    assert "volumeClaimTemplates" not in without
    assert {"name": "data", "emptyDir": {}} in without["template"]["spec"]["volumes"]


@pytest.mark.parametrize("values", ["everything", "scaling", "sidecar"])
def test_routers_tell_of_themselves_where_there_is_redis(values: str) -> None:
    file = yaml.safe_load(named(values_file(values), "ConfigMap", "rel-wattroute")["data"]["wattroute.yaml"])
    assert "rel-wattroute-redis" in file["table"]["redis_url"]
    assert "router_urls" not in file.get("signals", {})


@pytest.mark.parametrize("values", ["gateway"])
def test_the_controller_asks_each_router_by_a_name_that_it_has_where_there_is_no_redis(values: str) -> None:
    file = yaml.safe_load(named(values_file(values), "ConfigMap", "rel-wattroute")["data"]["wattroute.yaml"])
    workload = named(values_file(values), "StatefulSet", "rel-wattroute-router")["spec"]
    service = named(values_file(values), "Service", workload["serviceName"])["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is True
    assert file["signals"]["router_urls"] == [
        f"http://rel-wattroute-router-{n}.{workload['serviceName']}.{NAMESPACE}.svc:8081"
        for n in range(workload["replicas"])
    ]


def test_what_the_user_wrote_wins_over_what_the_chart_knows() -> None:
    words = [
        "--set",
        "config.router.port=9000,config.router.reload=false,config.table.url=http://elsewhere:1/v1/allocation",
    ]
    done = template("-f", str(values_file("gateway")), *words)
    documents = [d for d in yaml.safe_load_all(done.stdout) if d]
    (text,) = (d["data"]["wattroute.yaml"] for d in documents if d["kind"] == "ConfigMap")
    file = yaml.safe_load(text)
    assert (file["router"]["port"], file["router"]["reload"]) == (9000, False)
    assert file["table"] == {"url": "http://elsewhere:1/v1/allocation"}
    (service,) = (d for d in documents if d["kind"] == "Service" and d["metadata"]["name"] == "rel-wattroute-router")
    assert service["spec"]["ports"][0]["port"] == 9000


OWN_CHART = {
    "Chart.yaml": "apiVersion: v2\nname: engines\nversion: 1.0.0\ndependencies: [{name: wattroute, version: '*'}]\n",
    "templates/engine.yaml": """apiVersion: apps/v1
kind: Deployment
metadata: {name: vllm, namespace: {{ .Release.Namespace }}}
spec:
  selector: {matchLabels: {app: vllm}}
  template:
    metadata: {labels: {app: vllm}}
    spec:
      initContainers:
        {{- include "wattroute.router.sidecar" .Subcharts.wattroute | nindent 8 }}
      containers:
        - name: vllm
          image: vllm/vllm-openai:v0.32.0
          lifecycle:
            {{- include "wattroute.router.enginePreStop" .Subcharts.wattroute | nindent 12 }}
      volumes:
        {{- include "wattroute.router.sidecarVolumes" .Subcharts.wattroute | nindent 8 }}
""",
}


def test_a_chart_of_your_own_includes_the_sidecar_as_the_readme_shows(tmp_path: Path) -> None:
    for name, content in OWN_CHART.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    shutil.copytree(CHART, tmp_path / "charts" / "wattroute")
    (tmp_path / "values.yaml").write_text(
        yaml.safe_dump({"wattroute": yaml.safe_load(values_file("sidecar").read_text())})
    )
    assert helm("lint", str(tmp_path)).returncode == 0
    done = template("-s", "templates/engine.yaml", chart=tmp_path)
    assert done.returncode == 0, done.stderr
    pod = yaml.safe_load(done.stdout)["spec"]["template"]["spec"]
    _, router, vllm = sidecar()
    (found,) = pod["initContainers"]
    assert {key: value for key, value in found.items() if key != "image"} == {
        key: value for key, value in router.items() if key != "image"
    }
    assert pod["containers"][0]["lifecycle"] == vllm["lifecycle"]
    shown = (CHART / "README.md").read_text()
    for line in OWN_CHART["templates/engine.yaml"].splitlines():
        if "include" in line:
            assert line in shown


def test_the_readme_command_shows_the_patch() -> None:
    done = template("-f", str(values_file("sidecar")), "-s", SIDECAR)
    assert "restartPolicy: Always" in done.stdout
    assert not [d for d in objects(values_file("gateway"), "ConfigMap") if "patch.yaml" in d["data"]]
