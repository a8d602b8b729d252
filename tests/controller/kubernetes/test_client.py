import asyncio

import pytest
from lightkube.resources.coordination_v1 import Lease

from controller.errors import ConfigError, KubernetesError
from controller.kubernetes.client import asked, opened_client
from tests.fakes.http_stub import closed_url
from tests.fakes.kube.config import kubeconfig
from tests.fakes.kube.server import kube_server


@pytest.fixture
async def server(tmp_path, monkeypatch):
    async with kube_server() as running:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, running)))
        yield running


async def ask(timeout_s=2.0):
    async with opened_client() as client, asked("lease x: get", timeout_s):
        await client.get(Lease, "x")


async def test_what_is_not_there_is_told_with_its_status(server):
    with pytest.raises(KubernetesError, match=r"lease x: get: .*not found") as caught:
        await ask()
    assert caught.value.status == 404


async def test_a_server_that_is_busy_tells_when_to_come_back(server):
    server.faults.add(429, retry_after_s=7)
    with pytest.raises(KubernetesError) as caught:
        await ask()
    assert (caught.value.status, caught.value.retry_after_s) == (429, 7.0)


async def test_a_frozen_server_is_given_up_by_our_own_clock(server):
    server.faults.frozen = True
    with pytest.raises(KubernetesError, match=r"no answer within 0\.2 s") as caught:
        await asyncio.wait_for(ask(0.2), 5.0)
    assert caught.value.status is None


async def test_a_server_that_is_gone_is_told(server):
    await server.kill()
    with pytest.raises(KubernetesError, match="ConnectError"):
        await ask()


async def test_without_a_cluster_the_remedy_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match="set KUBECONFIG"):
        await ask()
    (tmp_path / "absent").write_text("contexts: [")
    with pytest.raises(ConfigError, match="set KUBECONFIG"):
        await ask()


async def test_a_proxy_for_what_is_outside_is_not_asked_for_the_api_server(server, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, closed_url())
    with pytest.raises(KubernetesError) as caught:
        await ask()
    assert caught.value.status == 404
