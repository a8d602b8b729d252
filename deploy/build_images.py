"""Build the images of router and controller, run each once, and keep its bill of materials: `make images`.

Takes buildah with podman, podman, or docker, whichever is there first. Environment:

    BASE               the base image, best with a digest; see the Containerfiles
    IMAGE_PREFIX       registry and path before `router` and `controller` (localhost/wattroute)
    IMAGE_BUILD_FLAGS  further words for the build, such as --isolation chroot -v /etc/ssl/certs:/etc/ssl/certs:ro
    IMAGE_TOOL_FLAGS   words right after the program's name, such as --root DIR --storage-driver overlay
    IMAGE_RUN_FLAGS    further words for the run, such as --ulimit nofile=1024:1024
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from router.version import VERSION

ROOT = Path(__file__).parents[1]
SBOMS = ROOT / "dist"
PROGRAMS = {"router": "wattroute-router", "controller": "wattroute"}
"""What each image starts with."""
SHIPPED_SBOM = "/opt/wattroute/sbom.cdx.json"
NO_BUILDER = (
    "no buildah, podman or docker is on PATH: images cannot be built here. On Debian: "
    "apt-get install --no-install-recommends buildah podman crun"
)
BASE = "docker.io/library/python:3.13-slim-trixie"
MOST_MB = {"router": 120.0}
"""What an image may add to its base."""
LOCKED_DOWN = ("--rm", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none")


class Tools:
    """The programs that build and run, and the words that the environment gives them.

    Args:
        environment: of the process.
        found: where a program is, as `shutil.which` tells.

    Raises:
        SystemExit: there is none.
    """

    def __init__(self, environment: Mapping[str, str], found: Mapping[str, str | None]) -> None:
        runner = found.get("podman") or found.get("docker")
        builder = found.get("buildah") or runner
        if runner is None or builder is None:
            sys.exit(NO_BUILDER)
        common = shlex.split(environment.get("IMAGE_TOOL_FLAGS", ""))
        self._build = [builder, *common, "build", *shlex.split(environment.get("IMAGE_BUILD_FLAGS", ""))]
        self._run = [runner, *common, "run", *shlex.split(environment.get("IMAGE_RUN_FLAGS", "")), *LOCKED_DOWN]
        self._inspect = [runner, *common, "image", "inspect", "--format", "{{.Size}}"]
        self._prefix = environment.get("IMAGE_PREFIX", "localhost/wattroute")
        self._base = environment.get("BASE")

    def tag(self, name: str) -> str:
        """Name of an image."""
        return f"{self._prefix}/{name}:{VERSION}"

    def build_words(self, name: str, revision: str) -> list[str]:
        """The command that builds one image."""
        arguments = {"VERSION": VERSION, "REVISION": revision, **({"BASE": self._base} if self._base else {})}
        words = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
        return [*self._build, *words, "-f", f"deploy/Containerfile.{name}", "-t", self.tag(name), "."]

    def size_words(self, image: str) -> list[str]:
        """The command that tells how many bytes an image has."""
        return [*self._inspect, image]

    @property
    def base(self) -> str:
        """The base image: what the environment says, else the default of the Containerfiles."""
        return self._base or BASE

    def run_words(self, name: str, *command: str) -> list[str]:
        """The command that runs one word list in an image, with a root that cannot be written and no rights."""
        return [*self._run, "--entrypoint", command[0], self.tag(name), *command[1:]]


def main() -> None:
    """Build both, and show what is in them."""
    tools = Tools(os.environ, {name: shutil.which(name) for name in ("buildah", "podman", "docker")})
    if "@sha256:" not in os.environ.get("BASE", ""):
        sys.stderr.write("the base has no digest: two builds may differ; set BASE=NAME:TAG@sha256:...\n")
    revision = _output(["git", "rev-parse", "HEAD"]).strip()
    SBOMS.mkdir(exist_ok=True)
    for name, program in PROGRAMS.items():
        subprocess.run(tools.build_words(name, revision), cwd=ROOT, check=True)
        told = _output(tools.run_words(name, program, "--version")).strip()
        sbom = _output(tools.run_words(name, "cat", SHIPPED_SBOM))
        (SBOMS / f"{name}.cdx.json").write_text(sbom)
        components = len(json.loads(sbom)["components"])
        size = size_told(name, _mb_above(tools, name))
        sys.stdout.write(f"{tools.tag(name)}: {told}, {components} components, {size}\n")


def size_told(name: str, above_mb: float | None) -> str:
    """What an image adds to its base, None where that is not known, in words.

    Raises:
        SystemExit: it is more than it may be.
    """
    if above_mb is None:
        return "size above the base not known"
    if above_mb > MOST_MB.get(name, above_mb):
        sys.exit(
            f"the {name} image has {above_mb:.0f} MB above the base, more than {MOST_MB[name]:.0f}: look at its sbom"
        )
    return f"{above_mb:.0f} MB above the base"


def _mb_above(tools: Tools, name: str) -> float | None:
    """What an image adds to its base; a builder that keeps the base to itself, as docker's does, leaves that open."""
    sizes = [
        subprocess.run(tools.size_words(image), check=False, capture_output=True, text=True).stdout.strip()
        for image in (tools.tag(name), tools.base)
    ]
    if not all(size.isdigit() for size in sizes):
        return None
    own, base = map(int, sizes)
    return (own - base) / 1e6


def _output(words: list[str]) -> str:
    return subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
