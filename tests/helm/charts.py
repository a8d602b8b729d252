"""The chart, rendered by the real helm."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "helm" / "wattroute"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
RELEASE, NAMESPACE = "rel", "inference"
NEWEST = "1.37"
VERSIONS = [f"1.{minor}" for minor in range(29, 38)]
Object = dict[str, Any]


def binary(name: str) -> str | None:
    fetched = CHART.parents[1] / ".helm" / name
    told = os.environ.get(f"WATTROUTE_{name.upper()}")
    return told or (str(fetched) if fetched.exists() else shutil.which(name))


needs_helm = [
    pytest.mark.helm,
    pytest.mark.skipif(binary("helm") is None, reason="no helm: make test-helm fetches it into .helm/"),
]
needs_kubectl = pytest.mark.skipif(
    binary("kubectl") is None, reason="no kubectl: make test-helm fetches it into .helm/"
)


def with_helm(test: Any) -> Any:
    """Mark one test as `needs_helm` marks a module."""
    for mark in needs_helm:
        test = mark(test)
    return test


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    return run("helm", *words)


def run(name: str, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """What a binary says and makes of words, and of what it is given on its standard input."""
    program = binary(name)
    assert program is not None
    return subprocess.run([program, *words], input=given, capture_output=True, text=True, timeout=60, check=False)


def values_file(name: str) -> Path:
    return CHART / "ci" / f"{name}-values.yaml"


def template(*words: str, chart: Path = CHART, version: str = NEWEST) -> subprocess.CompletedProcess[str]:
    return helm("template", RELEASE, str(chart), "-n", NAMESPACE, "--kube-version", version, *words)


@functools.cache
def rendered(values: Path, version: str = NEWEST) -> tuple[Object, ...]:
    done = template("-f", str(values), version=version)
    assert done.returncode == 0, done.stderr
    return tuple(document for document in yaml.safe_load_all(done.stdout) if document)


def objects(values: Path, kind: str) -> list[Object]:
    return [document for document in rendered(values) if document["kind"] == kind]


def named(values: Path, kind: str, name: str) -> Object:
    (found,) = (document for document in objects(values, kind) if document["metadata"]["name"] == name)
    return found


def pod_templates(values: Path) -> dict[str, Object]:
    """By kind and name: pods' templates and bare pods, as dicts with metadata and spec; the sidecar's patch applied."""
    found = {}
    for document in rendered(values):
        name = f"{document['kind']}/{document['metadata']['name']}"
        if document["kind"] == "Pod":
            found[name] = document
        elif document["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
            found[name] = document["spec"]["template"]
    if patch := sidecar_patch(values):
        found["patched engine"] = patched(patch)["spec"]["template"]
    return found


def sidecar_patch(values: Path) -> str | None:
    for document in objects(values, "ConfigMap"):
        if "patch.yaml" in document["data"]:
            return str(document["data"]["patch.yaml"])
    return None


def engine(kind: str = "Deployment") -> Object:
    """A workload of a user, as restricted namespaces want it."""
    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    container = {"name": "vllm", "image": "vllm/vllm-openai:v0.32.0", "securityContext": own}
    pod = {
        "serviceAccountName": "vllm",
        "securityContext": {"runAsNonRoot": True, "runAsUser": 2000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{**container, "ports": [{"name": "http", "containerPort": 8000}]}],
        "initContainers": [{**container, "name": "fetch-weights"}],
        "volumes": [{"name": "weights", "emptyDir": {}}],
    }
    workload = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "vllm-bf16", "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": "vllm"}},
            "template": {"metadata": {"labels": {"app": "vllm"}}, "spec": pod},
        },
    }
    document: Object = json.loads(json.dumps(workload))
    return document


@functools.cache
def patched(patch: str) -> Object:
    """The patch in an engine's Deployment."""
    return patched_here(engine(), patch)


def patched_here(target: Object, patch: str) -> Object:
    """A workload with the patch; test_render.py has that kubectl makes the same of both."""
    document: Object = merged(target, yaml.safe_load(patch))
    return document


def patched_by_kubectl(target: Object, patch: str) -> Object:
    """What kubectl makes of a workload with the patch, without a cluster."""
    words = ("patch", "--local", "-f", "-", "--type", "strategic", "-p", patch, "-o", "yaml")
    done = run("kubectl", *words, given=yaml.safe_dump(target))
    assert done.returncode == 0, done.stderr
    document: Object = yaml.safe_load(done.stdout)
    return document


def merged(target: Any, patch: Any) -> Any:
    """A strategic merge as far as the patch needs one: lists of named things are merged by name, null takes away."""
    if isinstance(patch, dict):
        target = target or {}
        kept = {key: value for key, value in target.items() if key not in patch}
        return kept | {key: merged(target.get(key), value) for key, value in patch.items() if value is not None}
    if isinstance(target, list) and isinstance(patch, list) and all("name" in item for item in [*target, *patch]):
        by_name = {item["name"]: item for item in patch}
        kept = [merged(item, by_name.pop(item["name"], {})) for item in target]
        return [*by_name.values(), *kept]
    return patch
