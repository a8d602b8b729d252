"""The commands of docs/how-to/deploy.md: charts are rendered, objects made without a cluster, files looked for."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from router import config_file
from router.settings import CONTROLLER_SECTIONS, RouterFile, RouterSettings
from router.version import VERSION
from tests.fakes.system import ROOT
from tests.helm.charts import NAMESPACE, helm, needs_kubectl, run, values_file, with_helm
from tests.test_docs import cases

GUIDE = ROOT / "docs" / "how-to" / "deploy.md"
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)]
ONLY_WITH_A_CLUSTER = ("--wait", "--create-namespace")


def render(words: list[str], folder: Path, values: dict = BLOCKS[0]) -> list[dict]:
    """What `helm install` or `helm upgrade` with these words would bring to the cluster."""
    (folder / "values.yaml").write_text(yaml.safe_dump(values))
    (folder / "helm").symlink_to(ROOT / "helm")
    words = [str(folder / word) if word.startswith(("values.yaml", "helm/wattroute")) else word for word in words]
    done = helm("template", *(word for word in words if word not in ONLY_WITH_A_CLUSTER))
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@with_helm
@pytest.mark.parametrize("command", cases("helm"))
def test_the_chart_renders_as_shown(command: str, tmp_path: Path) -> None:
    _, verb, *words = shlex.split(command)
    assert (words[0], words[words.index("-n") + 1]) in (("wattroute", NAMESPACE), ("wattroute-agents", "gpu-agents"))
    if words[0] == "wattroute-agents":
        assert {document["kind"] for document in render(words, tmp_path)} == {"DaemonSet", "NetworkPolicy"}
    elif verb in ("install", "upgrade"):
        assert "Service" in {document["kind"] for document in render(words, tmp_path)}
    else:
        assert verb in ("test", "rollback", "uninstall")


def followed() -> list[tuple[dict, str]]:
    """Every install and upgrade of the guides, in their order, with the values.yaml that the reader has by then."""
    text = GUIDE.read_text() + (GUIDE.parent / "upgrade.md").read_text()
    values, found = {}, []
    shown = r"```yaml\n(.*?)```|^(helm (?:install|upgrade) wattroute [^\n]*)$"
    for block, command in re.findall(shown, text, re.MULTILINE | re.DOTALL):
        values = with_block(values, yaml.safe_load(block)) if block else values
        found += [(values, command)] if command else []
    return found


def with_block(values: dict, block: dict) -> dict:
    """A block merged into the file: maps by their keys, and lists as a whole."""
    both = {
        key: with_block(values[key], block[key]) for key in values.keys() & block.keys() if isinstance(block[key], dict)
    }
    return {**values, **block, **both}


@with_helm
def test_what_the_guide_has_set_every_later_command_keeps(tmp_path: Path) -> None:
    seen = []
    for number, (values, command) in enumerate(followed()):
        words = shlex.split(command)[2:]
        assert "--set" not in words, "the next upgrade takes it back"
        folder = tmp_path / str(number)
        folder.mkdir()
        documents = render(words, folder, values)
        (file,) = (d["data"]["wattroute.yaml"] for d in documents if "wattroute.yaml" in d.get("data", {}))
        names = {(d["kind"], d["metadata"]["name"]) for d in documents}
        mode = yaml.safe_load(file)["controller"]["mode"]
        routers = ("StatefulSet", "wattroute-router") in names, ("ConfigMap", "wattroute-sidecar") in names
        redis = ("StatefulSet", "wattroute-redis") in names
        seen.append((mode, *routers, redis, any(kind == "PodMonitor" for kind, _ in names)))
    both, beside, watched = (
        ("act", True, True, True, False),
        ("act", False, True, True, False),
        ("act", False, True, True, True),
    )
    observing, acting = (("observe", True, False, False, False), ("act", True, False, False, False))
    assert seen == [observing, acting, both, beside, beside, watched, watched]


def images(documents: list[dict]) -> set[str]:
    specs = [document["spec"].get("template", document)["spec"] for document in documents if "spec" in document]
    return {container["image"] for spec in specs for container in spec.get("containers", [])}


@with_helm
def test_every_image_is_one_that_the_guide_pushes_or_redis_own(tmp_path: Path) -> None:
    prefix = re.search(r"IMAGE_PREFIX=(\S+)", GUIDE.read_text())[1]
    ours = {f"{prefix}/{name}:{VERSION}" for name in ("router", "controller")}
    (agents,) = (shlex.split(str(case.values[0]))[2:] for case in cases("helm") if "gpu-agents" in str(case.values[0]))
    values, command = followed()[-1]
    for number, words in enumerate((agents, shlex.split(command)[2:])):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = images(render(words, folder, values))
        assert found == ({f"{prefix}/router:{VERSION}"} if number == 0 else {*ours, "docker.io/library/redis:7.4"})
    (shown,) = re.findall(r"^ +image: (\S+)$", (GUIDE.parent / "agent.md").read_text(), re.M)
    assert shown == f"{prefix}/router:{VERSION}"


@with_helm
def test_power_by_agents_comes_beside_what_was_there_with_what_it_reads(tmp_path: Path) -> None:
    from controller.settings.file import load

    values, _ = followed()[-1]
    documents = render(["wattroute", "helm/wattroute", "-n", NAMESPACE, "-f", "values.yaml"], tmp_path, values)
    (file,) = (d["data"]["wattroute.yaml"] for d in documents if "wattroute.yaml" in d.get("data", {}))
    (tmp_path / "wattroute.yaml").write_text(file)
    sources = load(tmp_path / "wattroute.yaml").signals.power
    assert [source.kind for source in sources] == ["promql", "agent"]
    (pod,) = (
        d["spec"]["template"]["spec"]
        for d in documents
        if (d["kind"], d["metadata"]["name"]) == ("StatefulSet", "wattroute-controller")
    )
    mounts = {Path(mount["mountPath"]): mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts[sources[1].ca_file.parent] == "ca"
    token = mounts[sources[1].token_file.parent]
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == token)
    agents = yaml.safe_load(values_file("agents").read_text())["agent"]
    assert volume["secret"]["secretName"] == agents["token"]["existingSecret"]
    (policy,) = (
        d["spec"]["egress"]
        for d in documents
        if (d["kind"], d["metadata"]["name"]) == ("NetworkPolicy", "wattroute-controller")
    )
    assert {9090, 9410} <= {port["port"] for rule in policy for port in rule["ports"]}
    assert "DaemonSet" not in {d["kind"] for d in documents}


@with_helm
@pytest.mark.parametrize(
    ("told", "kind", "container"),
    [("gateway.kind=Deployment", "Deployment", None), ("mode=sidecar", "ConfigMap", "wattroute-router")],
)
def test_routers_are_found_by_the_names_that_the_guide_tells(
    told: str, kind: str, container: str | None, tmp_path: Path
) -> None:
    key, value = told.split("=")
    (row,) = re.findall(
        rf"^\| `router\.{re.escape(key)}: {value}` .*$", (GUIDE.parent / "operate.md").read_text(), re.M
    )
    words = ["wattroute", "helm/wattroute", "-n", NAMESPACE, "-f", "values.yaml", "--set", f"router.{told}"]
    documents = render([*words, "--set", "router.sidecar.serviceAccountNames={vllm}"], tmp_path)
    made = [d for d in documents if d["kind"] == kind and "wattroute.yaml" not in d.get("data", {})]
    (patch,) = (yaml.safe_load(d["data"]["patch.yaml"]) if container else d for d in made)
    label, _, wanted = re.search(r"`-l (\S+)`", row)[1].partition("=")
    assert patch["spec"]["template"]["metadata"]["labels"][label] == wanted
    if container:
        assert f"-c {container}" in row
        assert patch["spec"]["template"]["spec"]["initContainers"][0]["name"] == container
    else:
        assert f"deployment/{patch['metadata']['name']}" in row


@with_helm
@pytest.mark.parametrize("block", BLOCKS[1:], ids=lambda block: ",".join(block))
def test_further_values_go_with_those_of_the_guide(block: dict, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text(yaml.safe_dump(block))
    words = ["wattroute", "helm/wattroute", "-n", NAMESPACE, "-f", "values.yaml", "-f", str(tmp_path / "more.yaml")]
    assert render(words, tmp_path)


@with_helm
def test_the_configuration_of_the_guide_is_what_router_and_controller_take(tmp_path: Path) -> None:
    from controller.service.compose import build_site
    from controller.settings.file import load

    documents = render(["wattroute", "helm/wattroute", "-n", NAMESPACE, "-f", "values.yaml"], tmp_path)
    (made,) = (d for d in documents if d["kind"] == "ConfigMap" and "wattroute.yaml" in d["data"])
    file = tmp_path / "wattroute.yaml"
    file.write_text(made["data"]["wattroute.yaml"])
    assert config_file.load(file, RouterFile, ignore=CONTROLLER_SECTIONS).router.reload
    settings = load(file)
    assert settings.controller.token_file == Path("/etc/wattroute-operator/token")
    assert len(settings.signals.router_urls) == 2
    known = {uuid for pool in build_site(settings).pools for each in pool.instances for uuid in each.gpu_uuids}
    assert not known, "GPUs are those that dcgm-exporter tells of, and not the emulator's"


@with_helm
def test_the_redis_that_is_restarted_for_its_certificate_is_the_charts(tmp_path: Path) -> None:
    (row,) = re.findall(r"^\| certificate of the chart's Redis .*$", (GUIDE.parent / "operate.md").read_text(), re.M)
    words = ["wattroute", "helm/wattroute", "-n", NAMESPACE, "-f", "values.yaml", "--set", "redis.enabled=true"]
    names = {f"{d['kind'].lower()}/{d['metadata']['name']}" for d in render(words, tmp_path)}
    assert re.search(r"rollout restart (\S+)`", row)[1] in names


@needs_kubectl
@pytest.mark.parametrize("command", [case for case in cases("kubectl") if " create " in str(case.values[0])])
def test_objects_that_are_made_by_hand_are_made_as_shown(command: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("of the reader")
    assert created(shlex.split(re.sub(r"(--from-file=[\w.]+=)\S+", rf"\g<1>{file}", command)))


@with_helm
@pytest.mark.parametrize("command", [case for case in cases("kubectl") if " create " not in str(case.values[0])])
def test_objects_that_kubectl_is_pointed_at_are_the_charts_or_the_readers(command: str, tmp_path: Path) -> None:
    words = shlex.split(re.split(r" >>? ", command)[0])
    mode = "sidecar" if "wattroute-sidecar" in words or "patch" in words else "gateway"
    shown = ["wattroute", "helm/wattroute", "-n", NAMESPACE, "-f", "values.yaml", "--set", f"router.mode={mode}"]
    shown += ["--set", "router.sidecar.serviceAccountNames={vllm}"]
    shown += ["--set", "redis.enabled=true"] if "statefulset/wattroute-redis" in words else []
    documents = render(shown, tmp_path)
    names = {f"{d['kind'].lower()}/{d['metadata']['name']}" for d in documents} | claims(documents)
    names |= {f"namespace/{NAMESPACE}", "deployment/vllm-bf16"}
    names |= {f"pod/{name.partition('/')[2]}-0" for name in names if name.startswith("statefulset/")}
    if "cp" in words:
        pod, _, path = words[words.index("cp") + 1].partition(":")
        assert f"pod/{pod}" in names
        assert path.startswith(("/tmp/", "/var/lib/wattroute/")), "the root cannot be written"
        return
    pairs = [word if "/" in word else f"{word}/{after}" for word, after in itertools.pairwise(words)]
    assert names & {*pairs, *words}, command
    if "port-forward" in words and any(word.startswith("pod/") for word in words):
        assert words[-1].rpartition(":")[2] == str(RouterSettings().admin_port)
    elif "port-forward" in words:
        (service,) = (
            d
            for d in render_again(shown, tmp_path)
            if f"service/{d['metadata']['name']}" in words and d["kind"] == "Service"
        )
        assert words[-1].rpartition(":")[2] in {str(port["port"]) for port in service["spec"]["ports"]}


def claims(documents: list[dict]) -> set[str]:
    """Those of the first pod of each StatefulSet."""
    return {
        f"persistentvolumeclaim/{claim['metadata']['name']}-{document['metadata']['name']}-0"
        for document in documents
        if document["kind"] == "StatefulSet"
        for claim in document["spec"].get("volumeClaimTemplates", ())
    }


@with_helm
@pytest.mark.parametrize("command", [case for case in cases("kubectl") if " -- wattroute " in str(case.values[0])])
def test_what_is_run_in_a_pod_is_there_with_the_options_and_the_file(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)
    words = words[words.index("--") + 1 :]
    documents = render(["wattroute", "helm/wattroute", "-n", NAMESPACE, "-f", "values.yaml"], tmp_path)
    (spec,) = (
        d["spec"]["template"]["spec"]
        for d in documents
        if d["kind"] == "StatefulSet" and d["metadata"]["name"] == "wattroute-controller"
    )
    (file,) = (word for word in words if word.startswith("/etc/"))
    assert file in spec["containers"][0]["args"]
    verb = list(itertools.takewhile(lambda word: not word.startswith("-"), words[1:2]))
    done = subprocess.run(
        [sys.executable, "-m", "controller.cli", *verb, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in words if word.startswith("--")), command


@with_helm
def test_a_volume_is_made_anew_and_taken_back_under_the_name_that_the_chart_gives_it(tmp_path: Path) -> None:
    documents = render(["wattroute", "helm/wattroute", "-n", NAMESPACE, "-f", "values.yaml"], tmp_path)
    (claim,) = (name.partition("/")[2] for name in claims(documents))
    section = GUIDE.read_text().partition("### Another volume")[2].partition("\n## ")[0]
    taken = re.findall(r"^kubectl .* delete (\S+)$", section, re.MULTILINE)
    assert taken == ["statefulset/wattroute-controller", f"persistentvolumeclaim/{claim}"]
    troubles = (GUIDE.parent / "troubleshoot.md").read_text()
    (pending,) = re.findall(r"^\| controller, `Pending` .*$", troubles, re.MULTILINE)
    assert "(deploy.md#another-volume)" in pending, "an upgrade alone is refused"
    prove = (GUIDE.parent / "prove.md").read_text().partition("### On Kubernetes")[2].partition("\n## ")[0]
    snapshot, anew = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", prove, re.DOTALL))
    assert snapshot["spec"]["source"]["persistentVolumeClaimName"] == anew["metadata"]["name"] == claim
    (usual,) = (d for d in documents if d["kind"] == "StatefulSet" and "volumeClaimTemplates" in d["spec"])
    spec = usual["spec"]["volumeClaimTemplates"][0]["spec"]
    assert {key: anew["spec"][key] for key in spec} == spec
    assert anew["spec"]["dataSource"]["name"] == snapshot["metadata"]["name"]


@with_helm
def test_a_server_that_calls_back_reaches_the_controller_by_the_service_and_the_rule_that_are_shown(
    tmp_path: Path,
) -> None:
    text = (GUIDE.parent / "openadr.md").read_text().partition("## Hear of events at once")[2].partition("\n## ")[0]
    settings, service, values = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL))
    words = ["wattroute", "helm/wattroute", "-n", NAMESPACE, "-f", "values.yaml"]
    documents = {(d["kind"], d["metadata"]["name"]): d for d in render(words, tmp_path, with_block(BLOCKS[0], values))}
    pod = documents["StatefulSet", "wattroute-controller"]["spec"]["template"]
    others = documents["StatefulSet", "wattroute-router"]["spec"]["template"]
    selector = service["spec"]["selector"].items()
    assert selector <= pod["metadata"]["labels"].items()
    assert not selector <= others["metadata"]["labels"].items()
    (port,) = (each["targetPort"] for each in service["spec"]["ports"])
    assert settings["openadr"][0]["callback"]["port"] == port
    (rule,) = documents["NetworkPolicy", "wattroute-controller"]["spec"]["ingress"][1:]
    assert [each["port"] for each in rule["ports"]] == [port]


def test_evidence_is_copied_within_the_volume_of_the_pod(tmp_path: Path) -> None:
    (command,) = (str(case.values[0]) for case in cases("kubectl") if " -- python " in str(case.values[0]))
    with contextlib.closing(sqlite3.connect(tmp_path / "evidence.sqlite", isolation_level=None)) as evidence:
        evidence.execute("create table row (n)")
        evidence.execute("insert into row values (7)")
    words = shlex.split(command.replace("/var/lib/wattroute", str(tmp_path)))
    subprocess.run([sys.executable, *words[words.index("python") + 1 :]], check=True, timeout=60)
    with contextlib.closing(sqlite3.connect(tmp_path / "copy.sqlite")) as copy:
        assert copy.execute("select n from row").fetchall() == [(7,)]


def render_again(words: list[str], folder: Path) -> list[dict]:
    other = folder / "again"
    other.mkdir()
    return render(words, other)


def created(words: list[str]) -> bool:
    """Whether kubectl makes the object, without a cluster."""
    done = run(*words, "--dry-run=client", "-o", "yaml")
    assert done.returncode == 0, done.stderr
    return bool(yaml.safe_load(done.stdout)["kind"])


@pytest.mark.parametrize("command", cases("machine"))
def test_files_that_are_installed_are_there(command: str) -> None:
    words = shlex.split(command)
    named = [word for word in words if word.startswith("deploy/")]
    assert all((ROOT / word).exists() for word in named)
    if words[0] == "systemctl" and "--now" in words:
        assert all((ROOT / "deploy" / "systemd" / f"{unit}.service").exists() for unit in words[3:])
    if words[0] == "install":
        assert named


def test_settings_that_name_files_of_secrets_exist_and_so_do_the_values_that_mount_them() -> None:
    section = GUIDE.read_text().partition("## Secrets that settings name")[2].partition("\n## ")[0]
    rows = re.findall(r"^.*\| `config\.(\S+)` \| (.*) \|$", section, re.MULTILINE)
    assert len(rows) == 4
    mounted = {path: re.findall(r"`(\w+)\.(\w+)`", by) for path, by in rows}
    assert {part for part, _ in mounted["pools[].engine_key_file"]} == {"router", "controller"}, "both ask engines"
    values = yaml.safe_load((ROOT / "helm" / "wattroute" / "values.yaml").read_text())
    schema = json.loads((ROOT / "deploy" / "wattroute.schema.json").read_text())
    for path, by in mounted.items():
        assert by
        assert all(values[part][value] == [] for part, value in by)
        place = schema
        for key in path.split("."):
            place = resolved(schema, resolved(schema, place)["properties"][key.removesuffix("[]")])
            place = place["items"] if key.endswith("[]") else place


def resolved(schema: dict, part: dict) -> dict:
    """What a part of the schema refers to; what may be left out is there."""
    part = part["anyOf"][0] if "anyOf" in part else part
    return schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part


def test_compose_is_given_all_that_it_reads(tmp_path: Path) -> None:
    """The commands are run, but for compose itself and the change of the owner, which takes root."""
    (block,) = re.findall(r"```sh\n(cp deploy/examples/compose.yaml .*?)```", GUIDE.read_text(), re.DOTALL)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    script = f"set -e\nchown() {{ :; }}\ndocker() {{ env; }}\n{block}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    told = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    variables = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "deploy" / "compose.yaml").read_text()))
    of_this_machine = {name for name, usual in variables.items() if usual.startswith(("./", "localhost/"))}
    assert of_this_machine == {"WATTROUTE_CONFIG", "OPERATOR_TOKEN_FILE", "ROUTER_IMAGE", "CONTROLLER_IMAGE"}
    config, token = Path(told["WATTROUTE_CONFIG"]), Path(told["OPERATOR_TOKEN_FILE"])
    assert config.read_text() == (ROOT / "deploy" / "examples" / "compose.yaml").read_text()
    assert (token.is_absolute(), token.stat().st_mode & 0o777, len(token.read_text())) == (True, 0o400, 45)
    assert config.is_absolute()
    prefix = re.search(r"IMAGE_PREFIX=(\S+)", GUIDE.read_text())[1]
    assert told["ROUTER_IMAGE"] == f"{prefix}/router:{VERSION}"
    assert told["CONTROLLER_IMAGE"] == f"{prefix}/controller:{VERSION}"


def test_engines_are_given_the_time_to_end_that_they_are_told_to_take() -> None:
    text = (GUIDE.parent / "real-vllm.md").read_text()
    ends_s = int(re.search(r"vllm serve .* --shutdown-timeout (\d+)", text)[1])
    assert int(re.search(r"`terminationGracePeriodSeconds`[^.]*set it to (\d+)", text)[1]) > ends_s
    assert "`terminationGracePeriodSeconds` is longer than" in GUIDE.read_text()


def test_token_and_namespace_are_those_of_the_values() -> None:
    (secret,) = (shlex.split(str(case.values[0])) for case in cases("kubectl") if " secret " in str(case.values[0]))
    assert secret[secret.index("generic") + 1] == BLOCKS[0]["controller"]["operatorToken"]["existingSecret"]
    (token,) = (word.partition("=")[2] for word in secret if word.startswith("--from-literal=token="))
    assert len(token.partition("=")[2]) >= 16
