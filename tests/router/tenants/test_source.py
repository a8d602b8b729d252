"""Tenants from the configuration and from their own file; no error shows what may be a key."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from router.contract import Precision
from router.errors import SettingsError
from router.settings import RouterFile
from router.tenants.keys import KeyDigest, digest_of, written
from router.tenants.limits import Allowance
from router.tenants.source import read_tenants, secret_files
from router.tenants.tenant import TenantSpec
from tests.fakes.routing import router_file

CLASSES: list[dict[str, Any]] = [{"name": "standard"}, {"name": "flex"}]
SECRET = "sk-Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA"
FULL: dict[str, Any] = {
    "name": "acme",
    "keys": [
        written(digest_of(b"one")),
        {"digest": written(digest_of(b"two")).upper().replace("SHA", "sha"), "not_after": "2027-01-31T00:00:00Z"},
    ],
    "default_class": "flex",
    "classes": ["standard"],
    "pin_allowed": True,
    "pin_precisions": ["fp8"],
    "requests_per_minute": 60,
    "burst": 5,
    "tokens_per_minute": 1000,
    "max_in_flight": 8,
}
FULL_SPEC = TenantSpec(
    "acme",
    (
        KeyDigest(digest_of(b"one"), math.inf),
        KeyDigest(digest_of(b"two"), datetime(2027, 1, 31, tzinfo=UTC).timestamp()),
    ),
    default_class="flex",  # type: ignore[arg-type]
    classes=("standard",),  # type: ignore[arg-type]
    pin_precisions=(Precision.FP8,),
    allowance=Allowance(60.0, 5, 1000, 8),
)


def tenant(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "keys": [written(digest_of(name.encode()))], **more}


def settings(**tenants: Any) -> RouterFile:
    return router_file(classes=CLASSES, tenants=tenants)


def in_file(folder: Path, text: str) -> RouterFile:
    path = folder / "tenants"
    path.write_text(text)
    return settings(tenants_file=str(path))


def lines(*tenants: dict[str, Any]) -> str:
    return "\n".join(map(json.dumps, tenants)) + "\n"


def error_of(found: RouterFile) -> str:
    with pytest.raises(SettingsError) as caught:
        read_tenants(found)
    return str(caught.value)


def test_without_the_section_there_are_none() -> None:
    assert read_tenants(router_file()) == ()


def test_those_written_in_the_configuration() -> None:
    assert read_tenants(settings(list=[FULL])) == (FULL_SPEC,)


@pytest.mark.parametrize("form", ["yaml", "lines", "array"])
def test_those_of_the_file_come_after(form: str, tmp_path: Path) -> None:
    both = [FULL, tenant("globex")]
    path = tmp_path / "tenants"
    text = {"yaml": yaml.safe_dump(both), "lines": "\n" + lines(*both), "array": json.dumps(both)}[form]
    path.write_text(text)
    found = read_tenants(settings(tenants_file=str(path), list=[tenant("first")]))
    assert [spec.name for spec in found] == ["first", "acme", "globex"]
    assert found[1] == FULL_SPEC


def test_a_yaml_time_stamp_is_an_end(tmp_path: Path) -> None:
    digest = written(digest_of(b"k"))
    text = f"- name: acme\n  keys:\n  - digest: {digest}\n    not_after: 2027-01-31T00:00:00Z\n"
    [spec] = read_tenants(in_file(tmp_path, text))
    assert spec.keys[0].until_s == datetime(2027, 1, 31, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"keys": [SECRET]}, "keys.0.digest: this is not a digest"),
        ({"keys": SECRET}, "keys"),
        ({"keys": []}, "keys"),
        ({"keys": [{"digest": SECRET}]}, "keys.0.digest"),
        ({"keys": [{"digest": 12345}]}, "keys.0.digest"),
        ({"key": SECRET}, "key: unknown; did you mean 'keys'?"),
        ({SECRET: "acme"}, "(not shown): unknown; there are: name, keys"),
        ({"keys": [{SECRET: None}]}, "keys.0.(not shown)"),
        ({"name": "none"}, "name: 'none' stands for"),
        ({"name": "other"}, "name"),
        ({"name": "No Name"}, "name"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"burst": 3}, "burst is set without requests_per_minute"),
        ({"tokens_per_minute": -1}, "tokens_per_minute"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"pin_precisions": ["fp4"]}, "pin_precisions.0"),
        ({"keys": [{"digest": written(digest_of(b"k")), "not_after": "2027-01-31T00:00:00"}]}, "keys.0.not_after"),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["yaml", "lines"])
def test_a_fault_is_told_with_its_line_and_without_any_key(
    wrong: dict[str, Any], where: str, form: str, tmp_path: Path
) -> None:
    both = [tenant("first"), {**tenant("second"), **wrong}]
    text = lines(*both) if form == "lines" else yaml.safe_dump(both, sort_keys=False)
    error = error_of(in_file(tmp_path, text))
    line = 2 if form == "lines" else text.splitlines().index("- name: " + str(wrong.get("name", "second"))) + 1
    assert error.startswith(f"{tmp_path / 'tenants'}:{line}: ")
    assert where in error
    assert SECRET not in error
    assert "12345" not in error


def test_a_fault_inside_a_list_is_not_told_twice(tmp_path: Path) -> None:
    error = error_of(in_file(tmp_path, lines({"name": "acme", "keys": ["no digest"]})))
    assert len(error.splitlines()) == 1


def test_at_most_twenty_faults_are_told(tmp_path: Path) -> None:
    error = error_of(in_file(tmp_path, lines(*({"name": f"t{n}"} for n in range(100)))))
    assert error.count("\n") == 19


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a YAML list of tenants is expected"),
        ("tenants:\n- name: x\n", "a YAML list of tenants is expected"),
        ("[]", "names no tenant"),
        ("- {name: a, name: b}", ":1: not valid YAML"),
        ("- name: a\n  keys:\n  - {digest: x, digest: y}", ":3: not valid YAML: a setting appears twice"),
        ("- &a [*a]", "not valid YAML"),
        ("- name: [", "not valid YAML"),
        ("- !!python/object:os.system {}", "not valid YAML"),
        ("- name: 2027-13-45\n", "not valid YAML"),
        ('{"name": "a"\n', ":1: tenant: Invalid JSON"),
        ("- 5", ":1: tenant: "),
    ],
)
def test_a_file_of_another_kind(text: str, told: str, tmp_path: Path) -> None:
    assert told in error_of(in_file(tmp_path, text))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in error_of(settings(tenants_file=str(tmp_path / "absent")))
    assert "cannot be read" in error_of(settings(tenants_file=str(tmp_path)))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in error_of(settings(tenants_file=str(tmp_path / "binary")))


def test_names_and_keys_are_one_tenants(tmp_path: Path) -> None:
    (tmp_path / "tenants").write_text(lines(tenant("acme")))
    path = str(tmp_path / "tenants")
    error = error_of(settings(tenants_file=path, list=[tenant("acme")]))
    assert error == f"{path}:1: tenant 'acme' appears a second time, first at tenants.list"
    shared = {"name": "globex", "keys": tenant("acme")["keys"]}
    assert error_of(settings(tenants_file=path, list=[shared])) == (
        f"{path}:1: tenant 'acme' has a key of tenant 'globex', too"
    )


@pytest.mark.parametrize("wrong", [{"classes": ["gold"]}, {"default_class": "gold"}])
def test_classes_must_exist(wrong: dict[str, Any]) -> None:
    error = error_of(settings(list=[tenant("acme", **wrong)]))
    assert error == "tenants.list: tenant 'acme' names class 'gold'; use one of: flex, standard"


def test_ten_thousand_tenants_and_no_more(tmp_path: Path) -> None:
    many = [tenant(f"t{number}") for number in range(10_000)]
    assert len(read_tenants(in_file(tmp_path, lines(*many)))) == 10_000
    error = error_of(in_file(tmp_path, lines(*many, tenant("one-more"))))
    assert error.startswith(f"{tmp_path / 'tenants'}:10001: there are 10001 tenants, 10000 are the most; ")


def test_the_files_whose_change_is_a_change_of_the_configuration(tmp_path: Path) -> None:
    assert secret_files(router_file()) == ()
    assert secret_files(settings(list=[FULL])) == ()
    found = settings(tenants_file=str(tmp_path / "tenants"))
    pool = found.pools[0].model_copy(update={"engine_key_file": tmp_path / "key"})
    with_key = found.model_copy(update={"pools": (pool, *found.pools[1:])})
    assert secret_files(with_key) == (tmp_path / "tenants", tmp_path / "key")
