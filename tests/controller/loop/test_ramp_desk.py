import random
import stat

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from controller.actuators.webhooks import MAX_HOOKS, Webhooks
from controller.clock import VirtualClock
from controller.errors import CallRefused
from controller.grid.site_limit import site_limit
from controller.loop.grid_desk import GridStatus
from controller.loop.ramp_desk import FILE_NAME, RampDesk
from controller.loop.status import Status
from controller.model.grid import GridEvent
from tests.fakes.controller_parts import NOW_S, observation


class Heard(Webhooks):
    """Keeps what would be sent."""

    def __init__(self, session):
        super().__init__(session, VirtualClock(NOW_S), random.Random(1), CollectorRegistry())
        self.told = []

    def notify(self, notice):
        self.told.append(notice)


class Bench:
    def __init__(self, folder, session):
        self.webhooks = Heard(session)
        self.events = ()
        self.now_s = NOW_S
        self.desk = RampDesk(folder, "north", self.webhooks, VirtualClock(NOW_S), self.grid)

    def grid(self):
        return GridStatus(self.now_s, (), (), site_limit(self.events, None, self.now_s, self.now_s + 600))

    def look(self, after_s, *events):
        self.now_s, self.events = NOW_S + after_s, events
        self.desk.take(Status(observation(self.now_s), None, (), 0.0))

    @property
    def kinds(self):
        return [notice.body["event"] for notice in self.webhooks.told]


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as opened:
        yield opened


CAP = GridEvent("load_target/load-target", 1.0, NOW_S + 10, NOW_S + 300, NOW_S, source="load_target")


async def test_a_ramp_is_told_with_its_limit_and_whose_it_is(tmp_path, session):
    bench = Bench(tmp_path, session)
    bench.look(0)
    bench.look(10, CAP)
    bench.look(50, CAP)
    assert bench.kinds == ["ramp_down_started", "ramp_down_ended"]
    body = bench.webhooks.told[0].body
    assert (body["site"], body["limit_w"], body["limit_source"], body["due_s"]) == (
        "north",
        1.0,
        "load_target",
        NOW_S + 40,
    )
    assert bench.webhooks.told[1].body["met"] is False
    assert len({notice.notice_id for notice in bench.webhooks.told}) == 2


async def test_a_ramp_goes_on_in_the_next_process_and_is_not_told_twice(tmp_path, session):
    first = Bench(tmp_path, session)
    first.look(0)
    first.look(10, CAP)
    second = Bench(tmp_path, session)
    second.look(20, CAP)
    second.look(60, CAP)
    assert (first.kinds, second.kinds) == (["ramp_down_started"], ["ramp_down_ended"])


async def test_receivers_outlast_the_process_in_a_file_that_others_cannot_read(tmp_path, session):
    bench = Bench(tmp_path, session)
    hook = bench.desk.register("https://hooks.example/x", "s3cret-token")
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    again = Bench(tmp_path, session)
    assert again.webhooks.hooks == (hook,)
    assert (await again.desk.remove(hook.hook_id), await again.desk.remove(hook.hook_id)) == (hook, None)
    assert again.desk.register("https://hooks.example/x", None).hook_id == "hook-2"
    for each in (bench, again):
        await each.webhooks.close()


async def test_what_may_not_be_registered_is_refused(tmp_path, session):
    bench = Bench(tmp_path, session)
    with pytest.raises(CallRefused, match="must be https"):
        bench.desk.register("http://hooks.example/", None)
    for n in range(MAX_HOOKS):
        bench.desk.register(f"https://hooks.example/{n}", None)
    with pytest.raises(CallRefused, match="16 webhooks are registered already") as full:
        bench.desk.register("https://hooks.example/more", None)
    assert full.value.is_conflict
    await bench.desk.remove("hook-1")
    with pytest.raises(CallRefused, match="hook-2 has this url already"):
        bench.desk.register("https://hooks.example/1", None)
    await bench.webhooks.close()


async def test_a_damaged_file_is_set_aside_and_told(tmp_path, session, caplog):
    (tmp_path / FILE_NAME).write_text("{")
    assert Bench(tmp_path, session).webhooks.hooks == ()
    assert "webhooks not restored: register them again" in caplog.text
    assert (tmp_path / f"{FILE_NAME}.unreadable").exists()
