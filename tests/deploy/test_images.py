"""The Containerfiles, the program that builds them, and what a build takes with it."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("router", "controller")


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_images", ROOT / "deploy" / "build_images.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build_images = _module()


def containerfile(name: str) -> str:
    return (ROOT / "deploy" / f"Containerfile.{name}").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_an_image_runs_as_nobody_in_particular_and_imports_nothing_from_where_it_stands(name: str) -> None:
    last = containerfile(name).rpartition("\nFROM ")[2]
    assert "USER 10001:10001" in last
    assert "PYTHONSAFEPATH=1" in last
    assert "RUN " not in last, "the last stage is the base and what was built"
    assert build_images.SHIPPED_SBOM in last
    assert {line.partition("=")[0] for line in re.findall(r"org\.opencontainers\.image\.\S+", last)} >= {
        f"org.opencontainers.image.{key}" for key in ("title", "version", "revision", "licenses")
    }


@pytest.mark.parametrize("name", NAMES)
def test_what_is_run_once_after_a_build_is_what_the_image_starts(name: str) -> None:
    program = build_images.PROGRAMS[name]
    assert f'ENTRYPOINT ["{program}"' in containerfile(name)
    assert program in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


@pytest.mark.parametrize("name", NAMES)
def test_the_base_is_an_argument_with_a_tag(name: str) -> None:
    text = containerfile(name)
    assert re.search(r"^ARG BASE=\S+/python:3\.\d+-slim-\w+$", text, re.MULTILINE)
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}", "build", "${BASE}"]


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_told_above_the_base_that_is_built_upon(name: str) -> None:
    without = build_images.Tools({}, {"podman": "/bin/podman"})
    assert f"\nARG BASE={without.base}\n" in containerfile(name)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ("routers) echo 205000000;; *) echo 125000000", "80 MB above the base"),
        ("*) exit 125", "size above the base not known"),
    ],
)
def test_what_an_image_adds_to_its_base_is_told_where_that_is_known(sizes: str, told: str, tmp_path: Path) -> None:
    runner = tmp_path / "podman"
    runner.write_text(f'#!/bin/sh\ncase "$5" in {sizes.replace("routers", "*/router:*")};; esac\n')
    runner.chmod(0o755)
    above_mb = build_images._mb_above(build_images.Tools({}, {"podman": str(runner)}), "router")
    assert build_images.size_told("router", above_mb) == told


def test_a_router_image_that_has_grown_beyond_what_is_allowed_ends_the_build() -> None:
    assert build_images.size_told("router", 120.0) == "120 MB above the base"
    assert build_images.size_told("controller", 591.0) == "591 MB above the base"
    with pytest.raises(SystemExit, match="router image has 121 MB above the base, more than 120"):
        build_images.size_told("router", 121.0)


def test_extras_exist_and_the_router_has_no_solver() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = {name: set(re.search(r"^ARG EXTRAS=(\S+)$", containerfile(name), re.M)[1].split(",")) for name in NAMES}
    assert asked["controller"] | asked["router"] <= set(extras)
    assert {"controller", "kubernetes", "openadr2"} <= asked["controller"]
    assert {"nvml", "tracing"} <= asked["router"], (
        "the agent reads by one, and router.tracing refuses to start without the other"
    )
    heavy = re.compile(r"^(cvxpy|numpy|scipy|highspy)\b")
    assert not [line for extra in asked["router"] for line in extras[extra] if heavy.match(line)]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_copied_is_there_and_is_let_through(name: str) -> None:
    words = [line.split()[1:-1] for line in containerfile(name).splitlines() if re.match(r"COPY (?!--from)", line)]
    copied = {word for line in words for word in line}
    assert copied
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[ignored.index("*") :]
    for path in copied:
        assert (ROOT / path).exists(), path
        assert f"!{path}" in ignored, path


def test_without_a_builder_the_remedy_is_told() -> None:
    with pytest.raises(SystemExit, match=r"no buildah, podman or docker is on PATH.*apt-get install"):
        build_images.Tools({}, {"buildah": None, "podman": None, "docker": None})


def test_both_images_are_built_as_the_environment_says() -> None:
    environment = {
        "BASE": "python@sha256:1",
        "IMAGE_PREFIX": "registry.example.org/w",
        "IMAGE_TOOL_FLAGS": "--root /x",
        "IMAGE_BUILD_FLAGS": "--isolation chroot",
        "IMAGE_RUN_FLAGS": "--ulimit nofile=1024:1024",
    }
    tools = build_images.Tools(environment, {"buildah": "/bin/buildah", "podman": "/bin/podman", "docker": None})
    tag = f"registry.example.org/w/router:{build_images.VERSION}"
    assert tools.build_words("router", "abc") == [
        *("/bin/buildah", "--root", "/x", "build", "--isolation", "chroot"),
        *("--build-arg", f"VERSION={build_images.VERSION}", "--build-arg", "REVISION=abc"),
        *("--build-arg", "BASE=python@sha256:1", "-f", "deploy/Containerfile.router", "-t", tag, "."),
    ]
    run = tools.run_words("router", "cat", "/x")
    assert run[:6] == ["/bin/podman", "--root", "/x", "run", "--ulimit", "nofile=1024:1024"]
    assert run[-4:] == ["--entrypoint", "cat", tag, "/x"]
    assert {"--read-only", "no-new-privileges", "none"} <= set(run)
    size = tools.size_words(tag)
    assert size == ["/bin/podman", "--root", "/x", "image", "inspect", "--format", "{{.Size}}", tag]
    assert tools.base == "python@sha256:1"
    alone = build_images.Tools({}, {"buildah": None, "podman": None, "docker": "/bin/docker"})
    assert alone.build_words("controller", "abc")[:2] == ["/bin/docker", "build"]


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="no hadolint: make lint-deploy has its own")
@pytest.mark.parametrize("name", NAMES)
def test_hadolint_finds_nothing(name: str) -> None:
    done = subprocess.run(
        ["hadolint", f"deploy/Containerfile.{name}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
