"""Every command that the documentation shows is run as it stands, but for ports, file names and the model's name."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme
import yaml

from controller.settings.file import Settings
from controller.study import scenario_file
from controller.study.registry import STUDIES
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.nvml.stub import NvmlStub, needs_a_compiler
from tests.fakes.ports import free_ports
from tests.fakes.router_process import router_process
from tests.fakes.supervised import no_engine_left, supervised
from tests.fakes.system import ROOT, System, get, laptop_on_free_ports, post, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(180)]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "helm/wattroute/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
SERVERS = ("wattroute-router", "wattroute router", "wattroute controller", "wattroute-controller", "wattroute emulate")
ENDS_BY_ITSELF = re.compile(r" hash-key\b| --check\b")
"""Of a command that begins like a server's."""
NEEDS_THE_GUIDE = re.compile(r"^openssl |--cacert |--unix-socket ")
"""Of a command that docs/how-to/tls.md shows: it needs the files and the router of that guide."""
NEEDS_THE_AGENT = re.compile(r"^wattroute agent|:9410|agent\.token")
"""Of a command that docs/how-to/agent.md shows: it needs the agent of that guide."""
NEEDS_THE_SUPERVISOR = re.compile(r"^wattroute supervise|:9420")
"""Of a command that docs/how-to/gpu-host.md shows: it needs the supervisor of that guide."""
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def shown_commands() -> list[tuple[str, str]]:
    found = []
    for document in DOCUMENTS:
        for block in re.findall(r"```sh\n(.*?)```", document.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                command = line.partition(" #")[0].strip()
                if command and not command.startswith("#"):
                    found.append((str(document.relative_to(ROOT)), command))
    return found


def cases(kind: str) -> list[pytest.param]:
    return [
        pytest.param(command, id=f"{where}: {command[:70]}")
        for where, command in shown_commands()
        if kind_of(command) == kind
    ]


def pages(kind: str) -> list[str]:
    return list(dict.fromkeys(where for where, command in shown_commands() if kind_of(command) == kind))


BEGINNINGS = {
    "VLLM_SERVER_DEV_MODE": "engine",
    "make ": "make",
    "wattroute simulate": "simulate",
    "wattroute profile": "profile",
    "wattroute fit": "fit",
    "wattroute ledger": "proof",
    "wattroute report": "proof",
    'python -c "import sqlite3': "proof",
    "wattroute quality run": "harness",
    "python tests/bench/": "bench",
    "helm ": "helm",
    "kubectl ": "kubectl",
    "docker compose ": "machine",
    "cp deploy/": "machine",
    "head -c 32 /dev/urandom": "machine",
    "chown 10001 ": "machine",
    "chmod 0400 ": "machine",
    "export WATTROUTE_CONFIG=": "machine",
    "export ROUTER_IMAGE=": "machine",
    "install ": "machine",
    "systemctl ": "machine",
    "systemd-sysusers": "machine",
    "python3 -m venv /opt/": "machine",
    "/opt/wattroute/bin/pip ": "machine",
}
"""Kinds of commands by how they begin; an `engine` needs a GPU, and test_docs_deploy.py has those of clusters."""


def kind_of(command: str) -> str:
    for beginning, kind in BEGINNINGS.items():
        if command.startswith(beginning):
            return kind
    if "wattroute demo" in command:
        return "demo"
    if command.startswith(SERVERS) and not ENDS_BY_ITSELF.search(command):
        return "server"
    if NEEDS_THE_AGENT.search(command):
        return "agent"
    if NEEDS_THE_SUPERVISOR.search(command):
        return "supervisor"
    return "guide" if NEEDS_THE_GUIDE.search(command) else "client"


def test_the_documentation_shows_commands_of_each_kind() -> None:
    assert {kind_of(command) for _, command in shown_commands()} == {
        "engine",
        "make",
        "demo",
        "simulate",
        "profile",
        "fit",
        "bench",
        "server",
        "client",
        "guide",
        "agent",
        "supervisor",
        "harness",
        "helm",
        "kubectl",
        "machine",
        "proof",
    }


def test_an_instance_is_made_solved_and_judged_as_shown(tmp_path: Path) -> None:
    for case in cases("bench"):
        (command,) = case.values
        _, script, *words = shlex.split(str(command))
        result = run([sys.executable, str(ROOT / script), *words], tmp_path)
        assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["feasible"]


@pytest.mark.parametrize("command", cases("make"))
def test_make_target_exists(command: str) -> None:
    subprocess.run(["make", "-n", *shlex.split(command)[1:]], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("command", cases("demo"))
def test_demo_accepts_the_options_shown(command: str, tmp_path: Path) -> None:
    arguments = shlex.split(command.partition("wattroute demo")[2])
    result = run([*executable("wattroute"), "demo", *arguments, "--config", str(tmp_path / "absent.yaml")], tmp_path)
    assert result.returncode == 2
    assert "absent.yaml" in result.stderr


@pytest.mark.parametrize("command", cases("simulate"))
def test_simulate_knows_the_scenario_and_the_options_shown(command: str, tmp_path: Path) -> None:
    """Options are looked at before the work: a place that does not exist ends it there."""
    words = shlex.split(command)[2:]
    result = run([*executable("wattroute"), "simulate", *words, "--json", str(tmp_path / "absent" / "x")], tmp_path)
    if words == ["--list"]:
        assert result.returncode == 0
        return
    assert result.returncode == 2
    assert "absent" in result.stderr
    assert scenario_file.load(words[0], STUDIES).title


@pytest.mark.parametrize("command", cases("harness"))
def test_the_harness_is_looked_for_once_its_options_are_right(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)[1:]
    result = run([*executable("wattroute"), *words, "--program", "no-such-harness"], tmp_path)
    assert result.returncode == 2
    assert "no-such-harness is not installed; run: pip install" in result.stderr


@pytest.mark.parametrize("command", cases("fit"))
def test_measurements_are_fitted_as_shown(command: str, tmp_path: Path) -> None:
    result = run([*executable("wattroute"), *shlex.split(command)[1:]], tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout


@pytest.mark.parametrize("command", cases("server"))
def test_server_starts_and_stops(command: str, tmp_path: Path) -> None:
    laptop_on_free_ports(tmp_path)
    words = shlex.split(command)
    if "router" in command:
        words = [word for n, word in enumerate(words) if word != "--port" and words[n - 1] != "--port"]
        words += ["--port", "0", "--admin-port", "0"]
    words = [str(tmp_path / "wattroute.yaml") if word.endswith(".yaml") else word for word in words]
    log = tmp_path / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen([*executable(words[0]), *words[1:]], stderr=out, stdout=out, cwd=tmp_path)
    try:
        end_s = time.monotonic() + 60
        while not re.search(r"listen|emulating", log.read_text()):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end_s, log.read_text()
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(5)


class TestClientCommands:
    """One running system for the commands of all pages; a page's own follow one another, as its reader types them."""

    @pytest.fixture(scope="class")
    @classmethod
    def system(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
        with running(tmp_path_factory.mktemp("client"), "emulate", "router", "controller") as system:
            system.until(lambda: get(f"{system.api}/readyz")[0] == 200, "the controller has decided")
            yield system

    @pytest.mark.parametrize("page", pages("client"))
    def test_the_commands_of_a_page_succeed(self, page: str, system: System) -> None:
        for where, command in shown_commands():
            if where != page or kind_of(command) != "client":
                continue
            result = run(substituted(command, system), system.folder)
            assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
            if command.startswith("curl"):
                assert '"error":{' not in result.stdout.replace(" ", ""), f"{command}\n{result.stdout}"


def test_the_guide_to_proof_can_be_followed(tmp_path: Path) -> None:
    """On an event of a running system, with the head that the commands before have told."""
    heads = ""
    with running(tmp_path, "emulate", "router", "controller") as system:
        body = {"event_id": "evening", "limit_w": 3000.0, "duration_s": 600}
        assert post(f"{system.api}/v1/events", body)[0] == 201
        listing = [*executable("wattroute"), "ledger", "list", "--config", str(tmp_path / "wattroute.yaml")]
        system.until(lambda: "evening" in run(listing, tmp_path).stdout, "there is evidence")
        for case in cases("proof"):
            (command,) = case.values
            text = str(command).replace("SEQUENCE:HASH", heads).replace("wattroute-data/", f"{tmp_path}/")
            result = run(substituted(text.replace("python -c", f"{sys.executable} -c"), system), tmp_path)
            assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
            if found := re.findall(r"head (\d+:[0-9a-f]{64})", result.stdout):
                heads = found[-1]
    assert {path.suffix for path in (tmp_path / "proof").iterdir()} == {".html", ".csv", ".json", ".jsonl"}
    assert "EMULATED" in (tmp_path / "proof" / "evening.html").read_text()


def test_profiles_are_measured_and_compared_as_shown(tmp_path: Path) -> None:
    """As shown, but for shorter windows, fewer requests at once, and both engines at the same time."""
    quicker = ["--window-s", "1", "--max-concurrency", "8", "--output-tokens", "24", "--long-input", "512"]

    def succeeds(words: list[str]) -> subprocess.CompletedProcess[str]:
        result = run(words, tmp_path, limit_s=120)
        assert result.returncode == 0, f"{words}\n{result.stdout}\n{result.stderr}"
        return result

    with running(tmp_path, "emulate") as system, ThreadPoolExecutor() as threads:
        commands = [substituted(str(command), system) for case in cases("profile") for command in case.values]
        list(threads.map(succeeds, [[*words, *quicker] for words in commands if "--power" in words]))
        for words in commands:
            if "--power" not in words:
                result = succeeds(words)
    assert "not distinguishable" in result.stdout or "takes least" in result.stdout


async def test_the_guide_to_tls_can_be_followed(tmp_path: Path) -> None:
    commands = [str(case.values[0]) for case in cases("guide")]
    for command in commands:
        if command.startswith("openssl"):
            subprocess.run(shlex.split(command), cwd=tmp_path, check=True, capture_output=True)
    by_tls, by_socket = (
        yaml.safe_load(block)
        for block in re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/how-to/tls.md").read_text(), re.DOTALL)
        if "instances" in block and "https" not in block
    )
    files = {name: str(tmp_path / file) for name, file in by_tls["router"]["tls"].items()}
    async with FakeEngine() as engine, router_process(tmp_path, engine, tls=files) as router:
        await answers([c for c in commands if "--cacert" in c], tmp_path, "127.0.0.1:8443", f"127.0.0.1:{router.port}")
    path = str(tmp_path / "router.sock")
    shown = by_socket["router"]["listen"].removeprefix("unix:")
    section = {**by_socket["router"], "listen": f"unix:{path}"}
    async with FakeEngine(path=str(tmp_path / "0.sock")) as engine, router_process(tmp_path, engine, **section):
        await answers([c for c in commands if "--unix-socket" in c], tmp_path, shown, path)


@needs_a_compiler
def test_the_guide_to_the_agent_can_be_followed(tmp_path: Path) -> None:
    """On emulated GPUs, with a shell that has the command; a server is stopped where the next one is started."""
    stub = NvmlStub(tmp_path)
    stub.add(draw=437_000)
    guide = AgentGuide(tmp_path, stub)
    commands = [str(case.values[0]) for case in cases("agent")]
    assert any("/stream" in command for command in commands)
    try:
        for command in commands:
            guide.follow(command)
    finally:
        guide.stop()


def test_the_guide_to_the_gpu_host_can_be_followed(tmp_path: Path) -> None:
    """With its own configuration on free ports, and a `vllm` that serves nothing."""
    commands = [str(case.values[0]) for case in cases("supervisor")]
    assert commands[0] == "wattroute supervise --config wattroute.yaml"
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/how-to/gpu-host.md").read_text(), re.DOTALL)
    settings = yaml.safe_load(blocks[0])
    elsewhere = yaml.safe_load(blocks[1])
    for pool in settings["pools"]:
        pool["instances"] = [f"http://127.0.0.1:{port}" for port in free_ports(len(pool["instances"]))]
    settings["supervisor"] = {"port": 0}
    Settings.model_validate({**settings, **elsewhere})
    vllm = tmp_path / "bin" / "vllm"
    vllm.parent.mkdir()
    vllm.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/fakes/fake_vllm.py "$@"\n')
    vllm.chmod(0o755)
    path = {"PATH": f"{vllm.parent}:{os.environ['PATH']}"}
    with no_engine_left(tmp_path / "wattroute-engines"), supervised(tmp_path, settings, **path) as running:
        running.until(lambda found: found["bf16-0"]["state"] == found["fp8-0"]["state"] == "serving")
        assert running.instances()["fp8-1"]["state"] == "off"
        for command in commands[1:]:
            result = run(shlex.split(command.replace(":9420", f":{running.port}")), tmp_path)
            assert result.returncode == 0, result.stderr
            assert '"error"' not in result.stdout
            assert result.stdout


class AgentGuide:
    """Runs the commands of docs/how-to/agent.md, in a folder that has the files which the guide presumes."""

    def __init__(self, folder: Path, stub: NvmlStub) -> None:
        self._folder, self._server, self._port = folder, None, ""
        (folder / "bin").mkdir()
        command = folder / "bin" / "wattroute"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m controller.cli "$@"\n')
        command.chmod(0o755)
        self._environment = {**os.environ, **stub.environment, "PYTHONPATH": str(ROOT)}
        self._environment["PATH"] = f"{command.parent}:{os.environ['PATH']}"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        certificate = authority.issue_cert("127.0.0.1")
        (folder / "tls").mkdir()
        certificate.private_key_pem.write_to_path(folder / "tls" / "tls.key")
        certificate.cert_chain_pems[0].write_to_path(folder / "tls" / "tls.crt")

    def follow(self, command: str) -> None:
        """Start a server, read a stream's first event, or run what ends by itself."""
        if command.startswith("wattroute agent") and "--check" not in command:
            self._serve(command)
            return
        command = command.replace(":9410", f":{self._port}")
        if "/stream" in command:
            command += " | head -n 4"
        shown = self._run(command)
        assert shown.returncode == 0, f"{command}\n{shown.stdout}\n{shown.stderr}"
        assert '"error":{' not in shown.stdout.replace(" ", ""), shown.stdout
        if "curl" in command:
            assert shown.stdout, command

    def _run(self, command: str) -> subprocess.CompletedProcess[str]:
        words = ["bash", "-c", command]
        return subprocess.run(
            words, cwd=self._folder, env=self._environment, capture_output=True, text=True, timeout=60, check=False
        )

    def _serve(self, command: str) -> None:
        self.stop()
        log = self._folder / "agent.log"
        with log.open("wb") as out:
            self._server = subprocess.Popen(
                [*shlex.split(command), "--port", "0"], cwd=self._folder, env=self._environment, stderr=out, stdout=out
            )
        end_s = time.monotonic() + 60
        while not (port := re.search(r"listening.* port=(\d+) tls=(\w+)", log.read_text())):
            assert self._server.poll() is None, log.read_text()
            assert time.monotonic() < end_s, log.read_text()
            time.sleep(0.1)
        self._port = port[1]
        ready = f"curl -skf {'https' if port[2] == 'True' else 'http'}://127.0.0.1:{self._port}/readyz"
        while self._run(ready).returncode != 0:
            assert time.monotonic() < end_s, log.read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """End the server; it must do so cleanly."""
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            try:
                assert self._server.wait(30) == 0
            finally:
                self._server.kill()
                self._server.wait(5)


async def answers(commands: list[str], folder: Path, shown: str, true: str) -> None:
    """Each command prints the list of models."""
    assert commands
    for command in commands:
        assert shown in command
        process = await asyncio.create_subprocess_exec(
            *shlex.split(command.replace(shown, true)), cwd=folder, stdout=subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, command
        assert json.loads(out)["data"], command


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_something(document: Path) -> None:
    absent = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]
    assert not absent


def substituted(command: str, system: System) -> list[str]:
    document = system.document
    ports = {
        "8080": document["router"]["port"],
        "8081": document["router"]["admin_port"],
        "8090": document["controller"]["port"],
        "9400": document["emulator"]["control_port"],
        "9001": document["pools"][0]["instances"][0].rpartition(":")[2],
        "9011": document["pools"][1]["instances"][0].rpartition(":")[2],
    }
    text = re.sub(r"127\.0\.0\.1:(\d+)", lambda match: f"127.0.0.1:{ports[match[1]]}", command)
    text = text.replace('"MODEL"', json.dumps(document["model"]))
    text = re.sub(r"(?<=\s)\S*wattroute\.yaml", str(system.folder / "wattroute.yaml"), text)
    text = text.replace(" deploy/examples/", f" {ROOT}/deploy/examples/")
    words = shlex.split(text)
    return [*executable(words[0]), *words[1:]]


def executable(name: str) -> list[str]:
    own = {"wattroute": ["-m", "controller.cli"], "wattroute-router": ["-m", "router.cli"]}
    name = Path(name).name
    if name == "wattroute-controller":
        return [sys.executable, "-c", "from controller.cli import controller_main; controller_main()"]
    return [sys.executable, *own[name]] if name in own else [name]


def run(command: list[str], folder: Path, limit_s: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=limit_s, cwd=folder, check=False)
