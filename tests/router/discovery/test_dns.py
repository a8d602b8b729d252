"""Engines by the addresses of a name."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest

from router.discovery import dns
from router.discovery.dns import DnsPoll
from router.discovery.endpoint import Endpoint, Found
from router.discovery.slices import MAX_ENDPOINTS
from router.errors import DiscoveryError


class Resolver:
    """Gives one answer after the other; a list, or what to raise."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.found: list[Found] = []
        self.reasons: list[str] = []

    async def __call__(self, name: str) -> list[str]:
        assert name == "vllm.llm.svc"
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def poll(self, every_s: float = 0.001) -> DnsPoll:
        return DnsPoll("vllm.llm.svc", 8000, every_s, sink=self, rng=random.Random(1), look_up=self)

    def told(self, found: Found) -> None:
        self.found.append(found)

    def heard(self) -> None: ...

    def failed(self, reason: str) -> None:
        self.reasons.append(reason)


async def test_each_address_is_an_engine_and_none_counts_twice() -> None:
    found = await Resolver(["10.0.0.2", "10.0.0.1", "10.0.0.2"]).poll().step()
    assert found.ready == tuple(Endpoint("", host, 8000) for host in ("10.0.0.1", "10.0.0.2"))


@pytest.mark.parametrize(
    ("answer", "hosts"),
    [
        (["fd00::1", "10.0.0.1", "fd00::2", "10.0.0.2"], ("10.0.0.1", "10.0.0.2")),
        (["fd00::2", "fd00::1"], ("fd00::1", "fd00::2")),
    ],
    ids=["both families", "IPv6 alone"],
)
async def test_an_engine_with_an_address_of_each_family_is_reached_by_ipv4_alone(
    answer: list[str], hosts: tuple[str, ...]
) -> None:
    found = await Resolver(answer).poll().step()
    assert [each.host for each in found.ready] == list(hosts)


@pytest.mark.parametrize("answer", [[], socket.gaierror(socket.EAI_NONAME, "Name or service not known")])
async def test_a_name_without_an_address_is_a_failure_not_an_empty_list(answer: list[str] | OSError) -> None:
    with pytest.raises(DiscoveryError, match=r"vllm\.llm\.svc: (has no address|cannot be looked up: Name)"):
        await Resolver(answer).poll().step()


async def test_a_failed_look_is_followed_by_others() -> None:
    resolver = Resolver(["10.0.0.1"], socket.gaierror(2, "away"), *[["10.0.0.2"]] * 999)
    task = asyncio.create_task(resolver.poll().run())
    async with asyncio.timeout(10):
        while len(resolver.found) < 2:
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [each.ready[0].host for each in resolver.found[:2]] == ["10.0.0.1", "10.0.0.2"]
    assert resolver.reasons[:1] == ["vllm.llm.svc: cannot be looked up: away"]


async def test_a_name_that_cannot_be_asked_for_is_a_failure_that_is_told() -> None:
    name = "a" * 64 + ".llm.svc"
    with pytest.raises(DiscoveryError, match=rf"{name}: cannot be looked up: .*label empty or too long"):
        await DnsPoll(name, 8000, 1.0, sink=Resolver(), rng=random.Random(1)).step()


async def test_a_resolver_that_hangs_is_not_asked_a_second_time_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "LOOK_UP_S", 0.01)
    answer, asked = asyncio.Event(), 0

    async def hang(_name: str) -> list[str]:
        nonlocal asked
        asked += 1
        await answer.wait()
        return ["10.0.0.1"]

    poll = DnsPoll("vllm.llm.svc", 8000, 1.0, sink=Resolver(), rng=random.Random(1), look_up=hang)
    for _ in range(2):
        with pytest.raises(DiscoveryError, match=r"not looked up within 0\.01 s"):
            await poll.step()
    answer.set()
    assert (await poll.step()).ready[0].host == "10.0.0.1"
    assert asked == 1


async def test_more_addresses_than_a_pool_may_have_are_cut_and_told() -> None:
    found = await Resolver([f"10.0.{n // 250}.{n % 250}" for n in range(MAX_ENDPOINTS + 1)]).poll().step()
    assert len(found.ready) == MAX_ENDPOINTS
    assert "513 addresses" in found.problems[0]
    assert found.left_out == 1


async def test_the_systems_resolver_is_asked() -> None:
    assert "127.0.0.1" in await dns.look_up("localhost")


async def test_one_that_has_failed_of_what_nobody_foresaw_looks_anew_when_it_is_begun_again() -> None:
    resolver = Resolver(UnicodeError("label too long"), *[["10.0.0.2"]] * 999)
    poll = resolver.poll()
    with pytest.raises(UnicodeError):
        await poll.run()
    task = asyncio.create_task(poll.run())
    async with asyncio.timeout(10):
        while not resolver.found:
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
