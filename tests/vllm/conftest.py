"""Two real servers, started once, and routers in front of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.ports import free_ports
from tests.fakes.system import ROOT
from tests.vllm.environment import VENV_VARIABLE
from tests.vllm.router import Router, running_router
from tests.vllm.servers import Pair, Server


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    venv = os.environ.get(VENV_VARIABLE)
    if venv is None:
        pytest.skip("real servers are started by make test-vllm")
    folder = tmp_path_factory.mktemp("servers")
    ports = free_ports(2)
    pair = Pair(
        # Lets what is in flight end before it stops, as the how-to tells.
        bf16=Server("bf16", Path(venv), folder, ports[0], ("--shutdown-timeout", "20")),
        # Stops at once, which is vLLM's default, and refuses what it has no room for.
        int8=Server("int8", Path(venv), folder, ports[1], ("--max-num-queued-reqs", "16")),
        models=ROOT / ".vllm" / "models",
    )
    try:
        yield pair
    finally:
        pair.end()


@pytest.fixture
def pair(servers: Pair) -> Pair:
    """Both servers as if nothing had happened; one that a test has ended is started again."""
    servers.make_ready()
    return servers


@pytest.fixture(scope="module")
def _module_router(servers: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    servers.make_ready()
    with running_router(tmp_path_factory.mktemp("router"), servers) as found:
        yield found


@pytest.fixture
def router(pair: Pair, _module_router: Router) -> Router:
    """A router that waits long for its engines, and sees both of them up."""
    _module_router.until({"bf16": "up", "int8": "up"})
    return _module_router
