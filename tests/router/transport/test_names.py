import asyncio
import socket

import pytest

from router.transport import names as names_module
from router.transport.names import Names


class Counting:
    """Counts look-ups; the clock is the test's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        self.asked: list[str] = []
        self.names = Names(lambda: self.now_s)
        self.is_failing = False
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", self._look_up)

    async def _look_up(self, host: str, port: int, **_: object) -> list[tuple]:
        self.asked.append(host)
        await asyncio.sleep(0)
        if self.is_failing:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port))]


async def test_an_answer_is_used_again_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    for now_s in (0.0, names_module.KEPT_S - 0.1, names_module.KEPT_S, names_module.KEPT_S + 1):
        counting.now_s = now_s
        assert (await counting.names.look_up(("engine", 1)))[0][4] == ("10.0.0.1", 1)
    assert len(counting.asked) == 2


async def test_who_asks_at_the_same_time_shares_the_answer_though_one_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    impatient, patient = (asyncio.ensure_future(counting.names.look_up(("engine", 1))) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient
    assert counting.asked == ["engine"]
    assert impatient.cancelled()


async def test_a_failure_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    counting.is_failing = True
    with pytest.raises(OSError, match="not known"):
        await counting.names.look_up(("engine", 1))
    counting.is_failing = False
    assert await counting.names.look_up(("engine", 1))


async def test_a_name_that_cannot_be_asked_for_is_a_failure_like_any_other() -> None:
    with pytest.raises(OSError, match=r"^vllm\.\.llm\.svc is no host that can be asked for: .*label empty or too long"):
        await Names(lambda: 0.0).look_up(("vllm..llm.svc", 1))


async def test_a_failure_that_nobody_waits_for_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    counting.is_failing = True
    troubles: list[dict] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
    waiting = asyncio.ensure_future(counting.names.look_up(("engine", 1)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    for _ in range(4):
        await asyncio.sleep(0)
    assert counting.asked == ["engine"]
    assert not troubles


async def test_what_led_nowhere_is_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    await counting.names.look_up(("engine", 1))
    counting.names.forget(("engine", 1))
    counting.names.forget(("never-asked", 1))
    await counting.names.look_up(("engine", 1))
    assert len(counting.asked) == 2


async def test_answers_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names_module, "MAX_KEPT", 2)
    counting = Counting(monkeypatch)
    for host in ("a", "b", "c", "c"):
        await counting.names.look_up((host, 1))
    assert counting.asked == ["a", "b", "c"]
    await counting.names.look_up(("a", 1))
    assert counting.asked[-1] == "a"
