from random import Random

import pytest

from controller.background import Work, Works
from controller.clock import SystemClock
from controller.errors import ConfigError
from controller.service.rosters import FoundInstances, opened_rosters
from controller.settings.file import Settings
from router.transport.keyring import Keyring
from tests.fakes.kube.kinds import ENDPOINT_SLICES
from tests.fakes.kube.samples import endpoint, endpoint_slice
from tests.fakes.kube.server import kube_server, until

NAMESPACE = "llm"
CLOCK = SystemClock()


def settings_of(url, **discovery):
    found = {"kind": "kubernetes", "service": "vllm-fp8", "namespace": NAMESPACE, **discovery}
    pools = [
        {"name": "bf16", "precision": "bf16", "instances": ["http://10.0.0.1:8000"]},
        {"name": "fp8", "precision": "fp8", "discovery": found},
    ]
    return Settings.model_validate({"pools": pools, "kubernetes": {"url": url, "watch_s": 2}})


def pods(kube, *names, starting=()):
    not_yet = {"ready": False, "serving": False, "terminating": False}
    made = endpoint_slice(
        "vllm-fp8-1",
        *(endpoint(f"10.0.1.{n}", name) for n, name in enumerate(names, 1)),
        *(endpoint(f"10.0.2.{n}", name, **not_yet) for n, name in enumerate(starting, 1)),
    )
    made["metadata"]["labels"]["kubernetes.io/service-name"] = "vllm-fp8"
    exists = kube.store.list(ENDPOINT_SLICES, NAMESPACE)
    (kube.store.replace if exists else kube.store.create)(ENDPOINT_SLICES, NAMESPACE, made)


def known(source):
    return {roster.pool_id: [(i.instance_id, i.url) for i in roster.instances] for roster in source.rosters}


async def test_pods_are_told_by_name_and_address_as_they_come_and_go():
    works = Works(Random(0))
    async with kube_server() as kube:
        settings = settings_of(kube.url)
        keyring = Keyring(settings, CLOCK.wall_s)
        pods(kube, "fp8-a")
        async with opened_rosters(settings, keyring, CLOCK, works) as source:
            await until(lambda: known(source) == {"fp8": [("fp8-a", "http://10.0.1.1:8000")]})
            assert keyring.of_engine(("10.0.1.1", 8000)) is None, "an engine that is known, and plain"
            pods(kube, "fp8-a", "fp8-b")
            await until(lambda: len(known(source)["fp8"]) == 2)
            pods(kube, "fp8-a", starting=("fp8-c",))
            await until(lambda: [i.instance_id for i in source.rosters[0].starting] == ["fp8-c"])
            await until(lambda: known(source) == {"fp8": [("fp8-a", "http://10.0.1.1:8000")]})
            pods(kube)
            await until(lambda: known(source) == {"fp8": []} and not source.rosters[0].starting)
            await kube.kill()
            assert known(source) == {"fp8": []}


async def test_before_the_first_list_no_pool_is_told():
    settings = settings_of("http://127.0.0.1:1")
    source = FoundInstances(settings, Keyring(settings, CLOCK.wall_s), {}, CLOCK, Random(0))
    assert source.rosters == ()


async def test_where_all_instances_are_listed_nothing_is_looked_for():
    pools = [{"name": "bf16", "precision": "bf16", "instances": ["http://10.0.0.1:8000"]}]
    settings, works = Settings.model_validate({"pools": pools}), Works(Random(0))
    async with opened_rosters(settings, Keyring(settings, CLOCK.wall_s), CLOCK, works) as source:
        assert source is None
    assert Work.DISCOVERY not in [each.work for each in works.failing]


def test_outside_of_a_cluster_it_is_told_what_is_missing():
    pools = [{"name": "fp8", "precision": "fp8", "discovery": {"kind": "kubernetes", "service": "vllm-fp8"}}]
    settings = Settings.model_validate({"pools": pools})
    with pytest.raises(ConfigError, match="kubernetes"):
        FoundInstances(settings, Keyring(settings, CLOCK.wall_s), {}, CLOCK, Random(0))
