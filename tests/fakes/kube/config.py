"""A kubeconfig of a fake API server, as clients that are no service account read it."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.fakes.kube.server import KubeServer


def kubeconfig(folder: Path, server: KubeServer, *, token: str = "t") -> Path:
    """A file to be named by KUBECONFIG."""
    path = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": "default"}}],
        "clusters": [{"name": "fake", "cluster": {"server": server.url}}],
        "users": [{"name": "fake", "user": {"token": token}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path
