"""deploy/compose.yaml: what it starts exists, is locked down, and goes by a configuration that both programs take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.service.compose import build_site
from controller.settings.file import load
from router import config_file
from router.settings import CONTROLLER_SECTIONS, RouterFile
from router.version import VERSION

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
EXAMPLE = DEPLOY / "examples" / "compose.yaml"


CONFIG = "/etc/wattroute/wattroute.yaml"


def mounts(name: str) -> list[tuple[str, str]]:
    """Source and target of each mount; sources may have colons, as defaults of variables have."""
    return [tuple(entry.removesuffix(":ro").rsplit(":", 1)) for entry in SERVICES[name]["volumes"]]


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == "10001:10001"
    assert service["healthcheck"]["test"]
    assert service["mem_limit"]


@pytest.mark.parametrize("name", ["router", "controller"])
def test_images_are_those_that_make_images_builds(name: str) -> None:
    assert SERVICES[name]["image"].endswith(f":-localhost/wattroute/{name}:{VERSION}}}")


def test_only_the_public_port_is_open_to_other_machines() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert [port for port in published if not port.startswith("127.0.0.1:")] == ["${PUBLIC_ADDRESS:-0.0.0.0}:8080:8080"]
    assert SERVICES["redis"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_files_networks_and_volumes_that_are_named_are_declared() -> None:
    for service in SERVICES.values():
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
        assert set(service["networks"]) <= set(COMPOSE["networks"])
    sources = {source for name in ("router", "controller") for source, target in mounts(name) if target == CONFIG}
    (match,) = {re.fullmatch(r"\$\{WATTROUTE_CONFIG:-(\S+)\}", source) for source in sources}
    assert match is not None
    assert (DEPLOY / match[1]).resolve() == EXAMPLE
    assert {source for source, target in mounts("controller") if target != CONFIG} <= set(COMPOSE["volumes"])


def test_both_programs_take_the_example_and_find_what_compose_gives() -> None:
    settings = load(EXAMPLE)
    router = config_file.load(EXAMPLE, RouterFile, ignore=CONTROLLER_SECTIONS)
    assert (router.router.port, router.router.admin_port, settings.controller.port) == (8080, 8081, 8090)
    assert {router.router.host, router.router.admin_host, settings.controller.host} == {"0.0.0.0"}
    assert router.table.redis_url == "redis://redis:6379/0"
    assert settings.signals.router_urls == ("http://router:8081",)
    assert settings.controller.token_file == Path("/run/secrets/operator-token")
    uuids = {uuid for pool in build_site(settings).pools for each in pool.instances for uuid in each.gpu_uuids}
    assert not any("emulated" in uuid for uuid in uuids), "no exporter would show them"
    assert ("records", str(settings.controller.data_dir)) in mounts("controller")
    assert [word for name in ("router", "controller") for word in SERVICES[name]["command"]] == 2 * ["--config", CONFIG]


def test_services_may_end_in_peace() -> None:
    settings = load(EXAMPLE)
    router = config_file.load(EXAMPLE, RouterFile, ignore=CONTROLLER_SECTIONS)
    assert seconds(SERVICES["router"]["stop_grace_period"]) > router.router.timeouts.drain_s
    assert seconds(SERVICES["controller"]["stop_grace_period"]) > settings.controller.exit_wait_s
