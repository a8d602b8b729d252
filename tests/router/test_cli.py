import hashlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from router import cli
from router.contract import Precision
from router.errors import SettingsError

FILE = """
pools:
  - {name: bf16, precision: bf16, instances: [http://127.0.0.1:9001]}
router: {port: 7000, admin_port: 7001, timeouts: {connect_s: 1.5}}
table: {url: http://127.0.0.1:8090/v1/allocation, poll_interval_s: 2.5}
site: {anything: goes}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "wattroute.yaml"
    path.write_text(FILE)
    return path


def settings(config: Path | None, pools: list[str], table: dict | None = None, **router: object):
    return cli.settings_from(config, pools, router=router, table=table)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "router.cli", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_pools_of_the_command_line_have_equal_weights() -> None:
    found = settings(None, ["bf16=http://h:1", "fp8=http://h:2", "bf16=http://h:3"])
    assert [
        (pool.name, pool.precision, tuple(each.url for each in pool.instances), pool.static_weight)
        for pool in found.pools
    ] == [
        ("bf16", Precision.BF16, ("http://h:1", "http://h:3"), 1.0),
        ("fp8", Precision.FP8, ("http://h:2",), 1.0),
    ]


def test_a_pool_may_have_a_name_of_its_own_and_a_precision() -> None:
    found = settings(None, ["cheap:int4=http://h:1", "cheap=http://h:2", "plain=http://h:3"])
    assert [(pool.name, pool.precision) for pool in found.pools] == [
        ("cheap", Precision.INT4),
        ("plain", Precision.BF16),
    ]


def test_a_precision_that_was_not_stated_is_said_aloud(caplog: pytest.LogCaptureFixture) -> None:
    settings(None, ["plain=http://h:3"])
    [record] = caplog.records
    assert record.message == "pool counts as bf16"
    assert vars(record)["remedy"] == "--pool plain:PRECISION=http://h:3"


def test_the_command_line_overrides_the_file_and_leaves_the_rest(file: Path) -> None:
    found = settings(file, ["fp8=http://h:2"], table={"redis_url": "redis://r:1/0"}, port=7005, workers=2)
    assert [pool.name for pool in found.pools] == ["fp8"]
    assert (found.router.port, found.router.admin_port, found.router.workers) == (7005, 7001, 2)
    assert found.router.timeouts.connect_s == 1.5
    assert (found.table.url, found.table.redis_url, found.table.poll_interval_s) == (None, "redis://r:1/0", 2.5)


def test_the_file_alone(file: Path) -> None:
    found = settings(file, [])
    assert (found.router.port, found.table.url) == (7000, "http://127.0.0.1:8090/v1/allocation")


@pytest.mark.parametrize(
    ("pools", "said"),
    [
        ([], "--pool NAME=URL"),
        (["bf16"], "NAME=URL"),
        (["=http://h:1"], "NAME=URL"),
        (["bf16="], "NAME=URL"),
        (["bf16=ftp://h:1"], "http://HOST:PORT"),
        (["bf16=http://h"], "http://HOST:PORT"),
        (["x:fp9=http://h:1"], "fp8"),
        (["BF 16=http://h:1"], "not a name"),
        (["bf16=http://h:1", "fp8=http://h:1"], "more than once"),
        (["x:fp8=http://h:1", "x:int4=http://h:2"], "fp8 already"),
    ],
)
def test_wrong_pools_are_explained(pools: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        settings(None, pools)


def test_an_unknown_key_of_the_file_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(FILE.replace("connect_s", "conect_s"))
    with pytest.raises(SettingsError, match=r"f.yaml:4: .*conect_s.*did you mean 'connect_s'"):
        settings(path, [])


def test_main_prints_one_message_and_exits_with_the_errors_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--config", "absent.yaml"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("wattroute-router: absent.yaml: no such file")


def test_check_says_that_a_file_is_good(file: Path) -> None:
    done = run("--config", str(file), "--check")
    assert (done.returncode, done.stdout) == (0, f"{file}: ok\n")


def test_check_says_what_is_wrong_with_a_file(file: Path) -> None:
    file.write_text(FILE.replace("7000", "70000"))
    done = run("--config", str(file), "--check")
    assert done.returncode == 2
    assert f"{file}:4: router.port" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_version() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("wattroute-router ")


def test_a_wrong_log_level() -> None:
    done = run("--pool", "bf16=http://h:1", "--log-level", "loud")
    assert done.returncode == 2
    assert "loud" in done.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_taken_port(workers: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run("--pool", "bf16=http://127.0.0.1:1", "--port", port, "--admin-port", "0", "--workers", workers)
    assert done.returncode == 3
    [line] = [line for line in done.stderr.splitlines() if line.startswith("wattroute-router:")]
    assert port in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_starts_without_an_engine_and_stops_cleanly_on_a_signal(workers: str, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "router.cli", "--pool", "bf16=http://127.0.0.1:1", "--port", "0"]
    with subprocess.Popen(
        [*command, "--admin-port", "0", "--workers", workers], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        seen = ""
        while "router listens" not in seen or "bf16-0" not in seen:
            line = process.stderr.readline()
            assert line, seen
            seen += line
        os.kill(process.pid, number)
        rest = process.stderr.read()
        assert process.wait(timeout=30) == 0
    assert "engine fails probes instance_id=bf16-0" in seen
    assert "router stopped" in rest
    assert "Traceback" not in seen + rest


@pytest.mark.parametrize(
    "option", [["--port", "70000"], ["--admin-port", "-1"], ["--workers", "0"], ["--wurkers", "2"]]
)
def test_a_wrong_option_is_named(option: list[str]) -> None:
    done = run("--pool", "bf16=http://h:1", *option)
    assert done.returncode == 2
    assert option[0] in done.stderr
    assert "Traceback" not in done.stderr


def test_what_only_some_routers_need_is_not_loaded_by_all() -> None:
    heavy = ("http.server", "opentelemetry", "prometheus_client", "redis", "rich")
    show = f"import sys, router.cli; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []


def test_checking_covers_tenants_and_keys_of_engines(file: Path, tmp_path: Path) -> None:
    file.write_text(FILE + f"tenants: {{tenants_file: {tmp_path / 'absent'}}}\n")
    done = run("--check", "--config", str(file))
    assert done.returncode == 2
    assert "the tenants' file cannot be read" in done.stderr
    file.write_text(FILE.replace("9001]", "9001], engine_key_env: ABSENT_KEY"))
    done = run("--check", "--config", str(file))
    assert done.returncode == 2
    assert "engine_key_env ABSENT_KEY: is not set" in done.stderr


def test_checking_covers_the_token_of_the_admin_port(file: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    file.write_text(FILE.replace("admin_port", f"admin_token_file: {token}, admin_port"))
    assert "cannot be read" in run("--config", str(file), "--check").stderr
    token.write_text("secret\n")
    assert run("--config", str(file), "--check").returncode == 0


def test_a_digest_is_printed_for_a_key_on_standard_input() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "router.cli", "hash-key"],
        input="sk-0123456789abcdef\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == f"sha256:{hashlib.sha256(b'sk-0123456789abcdef').hexdigest()}\n"
    short = subprocess.run(
        [sys.executable, "-m", "router.cli", "hash-key"],
        input="short",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (short.returncode, short.stdout) == (2, "")


def test_checking_covers_secrets_that_would_go_unencrypted(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=hunter2")
    file.write_text(FILE.replace("router: {", "router: {tracing: {endpoint: 'http://collector.example:4318'}, "))
    done = run("--config", str(file), "--check")
    assert done.returncode == 2
    assert "router.tracing.endpoint: OTEL_EXPORTER_OTLP_HEADERS would go there unencrypted" in done.stderr
    assert "hunter2" not in done.stderr
