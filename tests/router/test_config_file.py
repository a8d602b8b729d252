"""Faults of the configuration file are named by file, line, key and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from router import config_file
from router.errors import SettingsError
from router.settings import CONTROLLER_SECTIONS, RouterFile

GOOD = """\
model: qwen
pools:
  - name: bf16
    precision: bf16
    instances: [http://127.0.0.1:9001]
"""


def parse(text: str) -> RouterFile:
    return config_file.parse(text, RouterFile, "w.yaml", ignore=CONTROLLER_SECTIONS)


def refusal(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parse(text)
    return str(caught.value)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(GOOD)
    assert config_file.load(path, RouterFile).pools[0].name == "bf16"


def test_sections_of_the_controller_are_left_to_it() -> None:
    assert parse(GOOD + "site: {anything: [1, 2]}\n").model == "qwen"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "poools: []\n", "w.yaml:6: unknown key 'poools'; did you mean 'pools'?"),
        (GOOD + "sitee: {}\n", "did you mean 'site'?"),
        (GOOD + "zzzzzz: 1\n", "w.yaml:6: unknown key 'zzzzzz'; remove it"),
        (GOOD + "    max_in_flght: 3\n", "w.yaml:6: unknown key 'pools.0.max_in_flght'; did you mean 'max_in_flight'?"),
        (GOOD + "router:\n  timeouts:\n    connct_s: 1\n", "w.yaml:8: unknown key 'router.timeouts.connct_s'"),
        (GOOD + "router:\n  port: high\n", "w.yaml:7: router.port: "),
        (GOOD + "router:\n  port: high\n", "(got 'high')"),
        ("model: qwen\n", "w.yaml:1: required key 'pools' is missing"),
        (GOOD.replace("http://127.0.0.1:9001", "9001"), "w.yaml:5: pools.0.instances.0: "),
        (GOOD + "model: other\n", "w.yaml:6: not valid YAML: key 'model' appears twice"),
        ("pools: [\n", "not valid YAML"),
        ("a: b: c\n", "w.yaml:1: not valid YAML"),
        ("", "w.yaml: the file is empty"),
        ("- 1\n", "w.yaml:1: a mapping of sections is expected, not list"),
        ("model: 2027-13-45\n", "w.yaml: not valid YAML: month must be in 1..12"),
        ("? [model]\n: qwen\n", "w.yaml:1: not valid YAML: found unhashable key"),
        ("[" * 2000, "w.yaml:1: more than 100 lists and mappings within each other"),
        ("pools: !!python/object/apply:os.system [ls]\n", "not valid YAML"),
    ],
)
def test_a_fault_is_named_with_its_place(text: str, said: str) -> None:
    assert said in refusal(text)


def test_all_faults_are_told_at_once_but_not_without_end() -> None:
    text = refusal(GOOD + "".join(f"extra{n}: 1\n" for n in range(30)))
    assert len(text.splitlines()) == config_file.MAX_SHOWN + 1
    assert text.endswith("... and 10 more")


def test_a_fault_inside_a_list_is_not_told_twice() -> None:
    text = refusal(GOOD.replace("[http://127.0.0.1:9001]", "[nonsense]"))
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://:hunter2@redis", "redis://HOST:PORT/DB"),
        ("redis://:p@hunter2@10.0.0.1:6379/0", "unencrypted; write rediss://"),
        ("redis://:p/hunter2@10.0.0.1:6379/0", "redis://HOST:PORT/DB"),
        ("redis://:p@x/hunter2@10.0.0.1:6379/0", "written %2F"),
        ("redis://:p hunter2@10.0.0.1:6379/0", "unencrypted; write rediss://"),
        ("rediss://10.0.0.1:6379/0?db=1&password=hunter2", "into REDIS_PASSWORD"),
        ("redis://:p'hunter2@10.0.0.1:6379/0", "unencrypted; write rediss://"),
        (":hunter2@10.0.0.1:6379/0", "redis://HOST:PORT/DB"),
        ("user:hunter2@10.0.0.1:6379", "redis://HOST:PORT/DB"),
    ],
)
def test_a_password_in_a_wrong_address_is_not_shown(address: str, said: str) -> None:
    text = refusal(GOOD + f'table: {{redis_url: "{address}"}}\n')
    assert said in text
    assert "hunter2" not in text
    assert "(got '" in text


@pytest.mark.parametrize("password", ["hunter2", "a\\hunter2", "a@hunter2"])
def test_credentials_in_an_engines_address_are_not_shown(password: str) -> None:
    text = refusal(GOOD.replace("http://127.0.0.1:9001", f"http://user:{password}@127.0.0.1:9001"))
    assert "has more than host and port" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ("http://user:hunter2/x@127.0.0.1:9001", "has no usable address"),
        ("http://user:hun\u2100hunter2@127.0.0.1:9001", "has no usable address"),
        ("user:hunter2@127.0.0.1:9001", "is not an engine's address"),
        ("unix:user:hunter2@127.0.0.1:9001", "is not a Unix socket"),
    ],
)
def test_credentials_in_what_is_no_engines_address_are_not_shown(engine: str, said: str) -> None:
    text = refusal(GOOD.replace("http://127.0.0.1:9001", f"'{engine}'"))
    assert said in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "section",
    [
        "table: {url: 'http://user:hun\u2100hunter2@h:1/v1'}",
        "router: {tracing: {endpoint: 'http://user:hunter2/x@h'}}",
        "router: {tracing: {endpoint: 'http://user:hun\u2100hunter2@h'}}",
    ],
)
def test_nor_is_a_part_of_them_that_the_cause_of_a_fault_shows(section: str) -> None:
    text = refusal(f"{GOOD}{section}\n")
    assert "hunter2" not in text
    assert "***@h" in text


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml: no such file"):
        config_file.load(tmp_path / "none.yaml", RouterFile)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        config_file.load(tmp_path, RouterFile)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(b"model: \xff\n")
    with pytest.raises(SettingsError, match="not UTF-8 text at byte 7"):
        config_file.load(path, RouterFile)


def test_a_file_too_large_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_file, "MAX_FILE_BYTES", 10)
    path = tmp_path / "w.yaml"
    path.write_text(GOOD)
    with pytest.raises(SettingsError, match="more than 10; is this the right file"):
        config_file.load(path, RouterFile)
