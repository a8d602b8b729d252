"""Where a pool's instances are, as a file may write it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from router.settings import DnsDiscovery, KubernetesDiscovery, RouterFile
from tests.fakes.settings_files import load, pool, refused

KUBERNETES = {"kind": "kubernetes", "service": "vllm"}


def discovered(**over: Any) -> dict[str, Any]:
    return {"name": "bf16", "precision": "bf16", "discovery": {**KUBERNETES, **over}}


def said_of(**over: Any) -> str:
    return refused(pools=[discovered(**over)])


def test_instances_are_called_by_their_place_unless_they_have_a_name() -> None:
    entries = ["http://h:1", {"name": "vllm-7.llm", "url": "http://h:2/"}, {"url": "unix:/run/v.sock"}]
    found = load(pools=[pool(instances=entries)]).pools[0]
    assert found.names() == ("bf16-0", "vllm-7.llm", "bf16-2")
    assert [each.url for each in found.instances] == ["http://h:1", "http://h:2", "unix:/run/v.sock"]


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "x" * 254, "é"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    assert "is no name of an instance" in refused(pools=[pool(instances=[{"name": name, "url": "http://h:1"}])])


def test_a_name_that_another_has_by_its_place_is_refused() -> None:
    twins = ["http://h:1", {"name": "bf16-0", "url": "http://h:2"}]
    assert "names of instances: 'bf16-0' appears more than once" in refused(pools=[pool(instances=twins)])


def test_one_address_by_two_names_is_refused() -> None:
    twins = [{"name": "a", "url": "http://h:1"}, {"name": "b", "url": "http://h:1/"}]
    assert "instances: 'h:1' appears more than once" in refused(pools=[pool(instances=twins)])


def test_a_pool_has_instances_or_discovery() -> None:
    bare = {"name": "bf16", "precision": "bf16"}
    assert "pool 'bf16' has no engines; list instances, or write discovery" in refused(pools=[bare])
    assert "has no engines" in refused(pools=[{**bare, "instances": []}])
    assert "has instances and discovery; remove one" in refused(pools=[pool(discovery=KUBERNETES)])


def test_a_service_is_found_by_the_label_of_its_slices() -> None:
    found = load(pools=[discovered(namespace="llm", port="http", scheme="https")]).pools[0].discovery
    assert isinstance(found, KubernetesDiscovery)
    assert found.labels == {"kubernetes.io/service-name": "vllm"}
    assert (found.namespace, found.port, found.scheme) == ("llm", "http", "https")


def test_slices_are_found_by_labels_instead() -> None:
    selector = {"app.kubernetes.io/name": "vllm", "tier": ""}
    found = load(pools=[discovered(service=None, selector=selector)]).pools[0].discovery
    assert isinstance(found, KubernetesDiscovery)
    assert found.labels == selector


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"service": None}, "write service or selector, one of them"),
        ({"selector": {"a": "b"}}, "write service or selector, one of them"),
        ({"service": None, "selector": {}}, "at least 1 item"),
        ({"service": None, "selector": {"a b": "c"}}, "is no key of a label"),
        ({"service": None, "selector": {"a": "b,c=d"}}, "is no value of a label"),
        ({"service": "Vllm/../x"}, "is no name of DNS"),
        ({"namespace": "a/b"}, "is no name of DNS"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"port": "HTTP"}, "is no name of a port"),
        ({"port": "8000"}, "is no name of a port"),
        ({"scheme": "ftp"}, "'http' or 'https'"),
        ({"kind": "consul"}, "'kubernetes', 'dns'"),
        ({"every_s": 3}, "Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_discovered_is_refused(over: dict[str, Any], said: str) -> None:
    assert said in said_of(**over)


def test_a_name_to_look_up() -> None:
    entry = {"kind": "dns", "name": "vllm-headless.llm.svc.cluster.local", "port": 8000}
    found = load(pools=[{**discovered(), "discovery": entry}]).pools[0].discovery
    assert isinstance(found, DnsDiscovery)
    assert (found.port, found.scheme, found.every_s) == (8000, "http", 5.0)


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"port": None}, "valid integer"),
        ({"every_s": 0}, "greater than"),
        ({"name": "http://h"}, "is no name of DNS"),
        ({"name": "vllm..llm"}, "is no name of DNS"),
        ({"name": f"{'a' * 64}.llm.svc"}, "write up to 63 lower-case letters"),
    ],
)
def test_a_name_that_cannot_be_looked_up_is_refused(over: dict[str, Any], said: str) -> None:
    entry = {"kind": "dns", "name": "h", "port": 8000, **over}
    assert said in refused(pools=[{**discovered(), "discovery": entry}])


@pytest.mark.parametrize("name", ["a" * 63 + ".llm.svc", "llm.svc.", "a"])
def test_a_name_with_labels_as_long_as_dns_has_them_is_taken(name: str) -> None:
    found = load(pools=[{**discovered(), "discovery": {"kind": "dns", "name": name, "port": 8000}}]).pools[0].discovery
    assert isinstance(found, DnsDiscovery)
    assert found.name == name


def test_tls_of_found_instances_is_used_by_their_scheme() -> None:
    assert load(pools=[discovered(scheme="https") | {"tls": {}}]).pools[0].tls is not None
    assert "has tls, but no instance at https://" in refused(pools=[discovered() | {"tls": {}}])


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"url": "api.example:6443"}, "is not an API server's address; write https://HOST:PORT"),
        ({"url": "https://user:secret@h:6443"}, "is not an API server's address"),
        ({"url": "http://10.96.0.1"}, "the token of the service account would go there unencrypted"),
        ({"watch_s": 0.5}, "greater than or equal to 1"),
    ],
)
def test_an_api_server_that_cannot_be_asked_is_refused(over: dict[str, Any], said: str) -> None:
    text = refused(kubernetes=over)
    assert said in text
    assert "write https" in text or "watch_s" in text


def test_a_proxy_of_this_machine_may_be_plain() -> None:
    assert load(kubernetes={"url": "http://127.0.0.1:8001"}).kubernetes.url == "http://127.0.0.1:8001"


def test_what_the_reference_shows_is_valid() -> None:
    text = (Path(__file__).parents[3] / "docs" / "reference" / "discovery.md").read_text()
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    files = [RouterFile.model_validate(block) for block in blocks if "pools" in block]
    kinds = [pool.discovery and pool.discovery.kind for file in files for pool in file.pools]
    assert kinds == [None, "kubernetes", "kubernetes", "dns"]
