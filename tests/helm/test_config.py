"""Router and controller take the configuration that the chart makes, and Redis its own."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import typer
import yaml

from controller.commands.service_cli import service_app
from controller.settings.file import load as load_controller
from router import config_file
from router.settings import CONTROLLER_SECTIONS, RouterFile
from tests.fakes.certificates import Authority
from tests.fakes.ports import free_ports
from tests.helm.charts import CHART, NAMESPACE, VALUES, named, needs_helm, objects, rendered, template, values_file

pytestmark = needs_helm
DOCS = CHART.parents[1] / "docs" / "how-to"
PATH = "/usr/local/bin:/usr/bin:/bin"
EXAMPLES = CHART.parents[1] / "deploy" / "examples"


def written(values: Path, folder: Path) -> Path | None:
    """The file of the rendered ConfigMap, or None where the user brings it."""
    for document in objects(values, "ConfigMap"):
        if text := document["data"].get("wattroute.yaml"):
            file = folder / "wattroute.yaml"
            file.write_text(text)
            return file
    return None


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_programs_take_the_configuration(values: Path, tmp_path: Path) -> None:
    file = written(values, tmp_path)
    if file is None:
        assert values in (values_file("existing-config"), values_file("agents"))
        return
    router = config_file.load(file, RouterFile, ignore=CONTROLLER_SECTIONS)
    assert router.router.host == "0.0.0.0"
    if "controller:" in file.read_text():
        settings = load_controller(file)
        assert settings.controller.host == "0.0.0.0"
        assert settings.signals.router_urls or settings.table.redis_url, "the controller would know no router"


def test_the_agent_listens_where_further_arguments_say(tmp_path: Path) -> None:
    section = (DOCS / "deploy.md").read_text().partition("## Clusters with IPv6 only")[2].partition("\n## ")[0]
    (shown,) = re.findall(r"`agent\.extraArgs: (\[.*?\])`", section)
    agents = ("-f", str(values_file("agents")), "-s", "templates/agent.yaml")
    for words, host in (((), "0.0.0.0"), (("--set-json", f"agent.extraArgs={shown}"), "::")):
        done = template(*agents, *words)
        (container,) = yaml.safe_load(done.stdout)["spec"]["template"]["spec"]["containers"]
        assert container["command"] == ["wattroute", "agent"]
        command = typer.main.get_command(service_app).commands["agent"]
        assert command.make_context("agent", container["args"]).params["host"] == host


def test_a_configuration_of_your_own_is_mounted_and_not_made() -> None:
    values = values_file("existing-config")
    assert not [d for d in objects(values, "ConfigMap") if "wattroute.yaml" in d["data"]]
    pod = named(values, "StatefulSet", "rel-wattroute-router")["spec"]["template"]["spec"]
    wanted = {"secretName": "wattroute-file", "items": [{"key": "production.yaml", "path": "wattroute.yaml"}]}
    assert {"name": "config", "secret": wanted} in pod["volumes"]
    assert {"name": "router", "containerPort": 8443, "protocol": "TCP"} in pod["containers"][0]["ports"]


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_configuration_means_the_same_after_helm_has_read_and_written_it(example: Path, tmp_path: Path) -> None:
    """Large numbers, times, octal modes, words that YAML takes for booleans."""
    values, file = tmp_path / "values.yaml", tmp_path / "wattroute.yaml"
    indented = "".join(f"  {line}" if line.strip() else line for line in example.read_text().splitlines(keepends=True))
    values.write_text(f"config:\n{indented}\n  forecast: {{timezone: Europe/Oslo}}\n")
    large = "config.controller.keep_records=987654321,config.router.limits.max_held_body_bytes=536870912"
    done = template("-f", str(values), "--set", large, "--set-string", "config.router.listen_mode=0600")
    assert done.returncode == 0, done.stderr
    made = [d for d in yaml.safe_load_all(done.stdout) if d and d["kind"] == "ConfigMap"]
    file.write_text(made[0]["data"]["wattroute.yaml"])
    before, after = load_controller(example), load_controller(file)
    assert (after.controller.keep_records, after.forecast.timezone) == (987654321, "Europe/Oslo")
    assert (after.router.listen_mode, after.router.limits.max_held_body_bytes) == ("0600", 536870912)
    for section in before.model_fields_set:
        old, new = getattr(before, section), getattr(after, section)
        if section not in ("router", "controller", "table", "signals"):
            assert new == old, section
        else:
            assert {key: getattr(new, key) for key in old.model_fields_set} == {
                key: getattr(old, key) for key in old.model_fields_set
            }, section


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_files_that_the_configuration_names_are_mounted(values: Path) -> None:
    for document in objects(values, "ConfigMap"):
        if "wattroute.yaml" not in document["data"]:
            continue
        file = yaml.safe_load(document["data"]["wattroute.yaml"])
        router, controller = file.get("router", {}), file.get("controller", {})
        of_router = [
            router.get("admin_token_file"),
            *router.get("tls", {}).values(),
            *file.get("table", {}).get("tls", {}).values(),
        ]
        of_controller = [controller.get("token_file"), *file.get("table", {}).get("tls", {}).values()]
        for name, paths in (("router", of_router), ("controller", of_controller)):
            for workload in rendered(values):
                if workload["kind"] != "StatefulSet" or workload["metadata"]["name"] != f"rel-wattroute-{name}":
                    continue
                spec = workload["spec"]["template"]["spec"]
                mounts = [mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]]
                for path in filter(None, paths):
                    assert str(Path(path).parent) in mounts, path


README = (CHART / "README.md").read_text().partition("## A file of your own")[2].partition("## Values")[0]


def table_of(heading: str) -> dict[str, str]:
    """The second cells of a table of the README, by the keys that its first cells name."""
    (rows,) = re.findall(rf"^\| {re.escape(heading)} .*\n\|[-|]+\n((?:\|.*\n)+)", README, re.MULTILINE)
    cells = [row.split(" | ") for row in rows.splitlines()]
    return {key: cell for first, cell, *_ in cells for key in re.findall(r"`(\S+)`", first)}


def added(words: str, told: str) -> dict[str, object]:
    """Keys with dots and values of what the chart adds to the configuration of an example."""
    done = template("-f", str(values_file(words)), "--set", told, "-s", "templates/config.yaml")
    assert done.returncode == 0, done.stderr
    file = yaml.safe_load(yaml.safe_load(done.stdout)["data"]["wattroute.yaml"])
    own = yaml.safe_load(values_file(words).read_text())["config"]
    leaves, left = {}, [((key,), value) for key, value in file.items() if key not in own]
    while left:
        path, value = left.pop()
        if isinstance(value, dict) and path[-1] != "election":
            left += [((*path, key), child) for key, child in value.items()]
        else:
            leaves[".".join(path)] = value
    return leaves


def test_a_file_of_ones_own_is_told_all_that_the_chart_adds_to_its_own() -> None:
    """By two fleets that together have everything: with Redis, TLS, tokens and an election, and without Redis."""
    shown = table_of("key of the file")
    secrets = ("redis.tls", "router.tls", "router.adminToken", "controller.operatorToken")
    both = (
        added("scaling", ",".join(f"{secret}.existingSecret=s" for secret in secrets)),
        added("gateway", "tests.enabled=true"),
    )
    assert {*both[0], *both[1]} == set(shown)
    for key, value in {**both[0], **both[1]}.items():
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]:
            text = str(each).lower().replace("rel-wattroute", "NAME").replace(NAMESPACE, "NAMESPACE")
            wanted = re.sub("^rediss://", "redis://", text.replace("router-1", "router-0"))
            assert wanted in shown[key], key


TOLD_ONCE_MORE = {
    "router.port": "9",
    "router.admin_port": "9",
    "controller.port": "9",
    "router.tls": {"certificate_file": "/c", "key_file": "/k"},
    "router.timeouts.drain_s": "9",
    "controller.exit_wait_s": "9",
    "controller.zeusd": "{zeusd}",
    "controller.data_dir": "/data",
    "controller.election": {"kind": "lease"},
    "table.url": "http://c.other:9/v1/allocation",
    "table.redis_url": "rediss://redis.db:9/0",
    "table.sentinels": "{s:9}",
    "signals.router_urls": "{http://r:9}",
    "pools[0]": {"name": "a", "discovery.kind": "kubernetes", "discovery.namespace": "elsewhere"},
    "plan.pools": {"a.workload.kind": "Deployment", "a.workload.name": "v", "a.workload.mode": "act"},
}
USUAL = {"table.redis_url": "rediss://redis.db/0"}


def test_the_readme_names_what_the_chart_takes_from_config_beside_a_file_of_ones_own() -> None:
    assert set(table_of("key of `config`")) == {key.removesuffix("[0]") for key in TOLD_ONCE_MORE}


@pytest.mark.parametrize("key", TOLD_ONCE_MORE)
def test_the_chart_takes_from_config_what_it_cannot_read_in_a_file_of_ones_own(key: str) -> None:
    def shown(told: dict[str, str | dict[str, str]]) -> str:
        flat = {
            f"{key}.{name}" if name else key: text
            for key, value in told.items()
            for name, text in (value.items() if isinstance(value, dict) else [("", value)])
        }
        words = [word for path, text in flat.items() for word in ("--set", f"config.{path}={text}")]
        done = template("--set", "existingConfig.name=own", *words)
        assert done.returncode == 0, done.stderr
        return re.sub("checksum/config: .*", "", done.stdout)

    assert shown({**USUAL, key: TOLD_ONCE_MORE[key]}) != shown(USUAL)


@pytest.mark.parametrize(
    ("told", "tls"),
    [
        ("config.table.redis_url=rediss://redis.db/0", {"ca_file": "/etc/wattroute-redis/ca.crt"}),
        ("config.table.redis_url=rediss://redis.db/0,config.table.tls.ca_file=/own.pem", {"ca_file": "/own.pem"}),
        ("config.table.redis_url=redis://redis.db/0", None),
        ("config.table.url=http://elsewhere:1/v1/allocation", None),
    ],
)
def test_a_redis_of_ones_own_is_known_by_the_authority_of_its_secret(told: str, tls: dict[str, str] | None) -> None:
    words = ("--set", f"redis.tls.existingSecret=redis-ca,{told}", "-s", "templates/config.yaml")
    done = template("-f", str(values_file("gateway")), *words)
    assert done.returncode == 0, done.stderr
    file = yaml.safe_load(yaml.safe_load(done.stdout)["data"]["wattroute.yaml"])
    assert file["table"].get("tls") == tls


PASSWORD = 'a "quoted" \\ pass%sword'


@contextlib.contextmanager
def redis_of_the_chart(password: str | None, folder: Path) -> Iterator[Callable[[str | None], redis.Redis]]:
    """It, as the pod starts it, but for folders and the port; given is what makes a client with a password."""
    values = values_file("sidecar" if password is None else "everything")
    pod = named(values, "StatefulSet", "rel-wattroute-redis")["spec"]["template"]["spec"]
    (port,) = free_ports(1)
    text = named(values, "ConfigMap", "rel-wattroute-redis")["data"]["redis.conf"].replace("/tmp", str(folder))
    text = re.sub(r"^((?:tls-)?port) 6379$", rf"\1 {port}", text, flags=re.MULTILINE)
    conf = folder / "redis.conf"
    conf.write_text(text.replace("/etc/redis-tls", str(folder)) + "\n")
    authority = Authority(folder)
    pair = authority.issue("own")
    for name, file in (("tls.crt", pair.certificate_file), ("tls.key", pair.key_file), ("ca.crt", authority.file)):
        (folder / name).write_bytes(file.read_bytes())
    command = pod["containers"][0]["command"]
    words = [word.replace("/tmp/", f"{folder}/").replace("/etc/redis/redis.conf", str(conf)) for word in command]
    process = subprocess.Popen(
        words, env={"PATH": PATH, "REDIS_PASSWORD": password or ""}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    tls = {} if password is None else {"ssl": True, "ssl_ca_certs": str(folder / "ca.crt")}
    try:
        until(redis.Redis(port=port, password=password, **tls))
        yield lambda shown: redis.Redis(port=port, password=shown, **tls)
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_redis_starts_with_its_configuration_and_asks_for_the_password(password: str | None, tmp_path: Path) -> None:
    with redis_of_the_chart(password, tmp_path) as client:
        assert client(password).config_get("save") == {"save": ""}
        assert client(password).config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        if password is not None:
            for wrong in (None, "wrong"):
                with pytest.raises(redis.AuthenticationError):
                    client(wrong).ping()


def test_redis_is_told_a_new_password_beside_the_old_one_as_shown(tmp_path: Path) -> None:
    text = (DOCS / "operate.md").read_text().partition("### A new password of the chart's Redis")[2]
    (command,) = re.findall(r"^kubectl .* exec statefulset/wattroute-redis -- (.*)$", text, re.MULTILINE)
    with redis_of_the_chart(PASSWORD, tmp_path) as client:
        port = client(None).get_connection_kwargs()["port"]
        words = [word.replace("/etc/redis-tls", str(tmp_path)) for word in shlex.split(command)]
        words[-1] = words[-1].replace("redis-cli ", f"redis-cli -p {port} ")
        done = subprocess.run(
            words, env={"PATH": PATH, "REDIS_PASSWORD": PASSWORD}, capture_output=True, text=True, timeout=60
        )
        assert done.stdout.strip() == "OK", done.stderr
        assert client(PASSWORD).ping()
        assert client("NEW").ping()
        with pytest.raises(redis.AuthenticationError):
            client("wrong").ping()


def until(client: redis.Redis) -> None:
    end_s = time.monotonic() + 20
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            assert time.monotonic() < end_s
            time.sleep(0.05)
        else:
            return
