"""The commands of docs/how-to/deploy.md: charts are rendered, objects made without a cluster, files looked for."""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from router import config_file
from router.settings import CONTROLLER_SECTIONS, RouterFile
from tests.fakes.system import ROOT
from tests.helm.charts import NAMESPACE, helm, with_helm
from tests.test_docs import cases

GUIDE = ROOT / "docs" / "how-to" / "deploy.md"
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)]
ONLY_WITH_A_CLUSTER = ("--wait", "--create-namespace")


def render(words: list[str], folder: Path) -> list[dict]:
    """What `helm install` or `helm upgrade` with these words would bring to the cluster."""
    (folder / "values.yaml").write_text(yaml.safe_dump(BLOCKS[0]))
    (folder / "helm").symlink_to(ROOT / "helm")
    words = [str(folder / word) if word in ("values.yaml", "helm/wattroute") else word for word in words]
    done = helm("template", *(word for word in words if word not in ONLY_WITH_A_CLUSTER))
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@with_helm
@pytest.mark.parametrize("command", cases("helm"))
def test_the_chart_renders_as_shown(command: str, tmp_path: Path) -> None:
    _, verb, *words = shlex.split(command)
    assert words[0] == "wattroute"
    assert words[words.index("-n") + 1] == NAMESPACE
    if verb in ("install", "upgrade"):
        kinds = {document["kind"] for document in render(words, tmp_path)}
        assert "Service" in kinds
        assert ("PodMonitor" in kinds) == ("podMonitor" in command)
    else:
        assert verb in ("test", "rollback", "uninstall")


@with_helm
@pytest.mark.parametrize("block", BLOCKS[1:], ids=lambda block: ",".join(block))
def test_further_values_go_with_those_of_the_guide(block: dict, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text(yaml.safe_dump(block))
    words = ["wattroute", "helm/wattroute", "-n", NAMESPACE, "-f", "values.yaml", "-f", str(tmp_path / "more.yaml")]
    assert render(words, tmp_path)


@with_helm
def test_the_configuration_of_the_guide_is_what_router_and_controller_take(tmp_path: Path) -> None:
    from controller.settings.file import load

    documents = render(["wattroute", "helm/wattroute", "-n", NAMESPACE, "-f", "values.yaml"], tmp_path)
    (made,) = (d for d in documents if d["kind"] == "ConfigMap" and "wattroute.yaml" in d["data"])
    file = tmp_path / "wattroute.yaml"
    file.write_text(made["data"]["wattroute.yaml"])
    assert config_file.load(file, RouterFile, ignore=CONTROLLER_SECTIONS).router.reload
    settings = load(file)
    assert settings.controller.token_file == Path("/etc/wattroute-operator/token")
    assert len(settings.signals.router_urls) == 2


@with_helm
@pytest.mark.parametrize("command", cases("kubectl"))
def test_objects_that_kubectl_is_pointed_at_are_the_charts_or_the_readers(command: str, tmp_path: Path) -> None:
    words = shlex.split(command.partition(" > ")[0])
    if "create" in words:
        assert shutil.which("kubectl") is None or created(words)
        return
    mode = "sidecar" if "configmap" in words or "patch" in words else "gateway"
    shown = ["wattroute", "helm/wattroute", "-n", NAMESPACE, "-f", "values.yaml", "--set", f"router.mode={mode}"]
    names = {f"{d['kind'].lower()}/{d['metadata']['name']}" for d in render(shown, tmp_path)}
    names |= {f"namespace/{NAMESPACE}", "deployment/vllm-bf16"}
    pairs = [word if "/" in word else f"{word}/{after}" for word, after in itertools.pairwise(words)]
    assert names & {*pairs, *words}, command
    if "port-forward" in words:
        (service,) = (
            d
            for d in render_again(shown, tmp_path)
            if f"service/{d['metadata']['name']}" in words and d["kind"] == "Service"
        )
        assert words[-1].rpartition(":")[2] in {str(port["port"]) for port in service["spec"]["ports"]}


def render_again(words: list[str], folder: Path) -> list[dict]:
    other = folder / "again"
    other.mkdir()
    return render(words, other)


def created(words: list[str]) -> bool:
    """Whether kubectl makes the object, without a cluster."""
    done = subprocess.run(
        [*words, "--dry-run=client", "-o", "yaml"], capture_output=True, text=True, timeout=60, check=False
    )
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


def test_token_and_namespace_are_those_of_the_values() -> None:
    (secret,) = (shlex.split(str(case.values[0])) for case in cases("kubectl") if " secret " in str(case.values[0]))
    assert secret[secret.index("generic") + 1] == BLOCKS[0]["controller"]["operatorToken"]["existingSecret"]
    (token,) = (word.partition("=")[2] for word in secret if word.startswith("--from-literal=token="))
    assert len(token.partition("=")[2]) >= 16
