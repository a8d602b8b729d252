import logging

import pytest

from tests.fakes.vtn.follower import follower
from tests.fakes.vtn.server import fake_vtn, interval

NOW = {"start": "0001-01-01", "duration": "PT1H"}


def limit(kw):
    return interval(0, "IMPORT_CAPACITY_LIMIT", kw, **NOW)


async def test_a_vtn_that_knows_no_query_by_programme_gives_us_our_own_programmes_events_alone(tmp_path, caplog):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        ours = vtn.add_event(vtn.add_program(), limit(12))
        vtn.add_event(vtn.add_program("other"), limit(3))
        vtn.add_event(vtn.add_program("prices"), interval(0, "PRICE", 0.2, **NOW))
        vtn._listed = lambda kind, request, who: list(vtn.store.kinds[kind].values())
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                await site.poll(30)
        assert site.live() == set(site.ven.desk.followed) == {ours}
        told = [record for record in caplog.records if "other programmes" in record.message]
        assert [(record.vtn, record.programme, record.count) for record in told] == [("utility", "shed", 2)]
        vtn.delete_event(ours)
        await site.poll(30)
        assert site.live() == set()
        assert site.metric("failures_in_a_row") == 0


@pytest.mark.parametrize("version", ["3.1.0", "3.0.1"])
async def test_an_event_that_is_moved_to_a_programme_of_others_is_over(tmp_path, version):
    async with fake_vtn(version) as vtn, follower(vtn, tmp_path) as site:
        event, other = vtn.add_event(vtn.add_program(), limit(12)), vtn.add_program("other")
        await site.poll()
        assert site.live() == {event}
        vtn.change_event(event, programID=other)
        await site.poll(30)
        assert site.live() == set()
        assert site.metric("failures_in_a_row") == 0


async def test_an_event_that_is_meant_for_others_from_now_on_is_over_though_we_may_read_it(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path, targets=("north",)) as site:
        vtn.granted["ven-1"] = {"north", "south"}
        event = vtn.add_event(vtn.add_program(), limit(12), targets=["north"])
        await site.poll()
        assert site.live() == {event}
        vtn.change_event(event, targets=["south"])
        await site.poll(30)
        assert site.live() == set()


async def test_an_answer_about_another_event_than_was_asked_for_changes_nothing(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        program = vtn.add_program()
        event = vtn.add_event(program, limit(12))
        strange = {"id": "strange", "programID": program, "intervals": [limit(3)]}
        await site.poll()
        listed, vtn.store.kinds["events"][event] = vtn.store.kinds["events"][event], strange
        vtn._listed = lambda kind, request, who: [] if kind == "events" else list(vtn.store.kinds[kind].values())
        await site.poll(30)
        assert site.live() == {event}
        assert site.limits_w() == [listed["intervals"][0]["payloads"][0]["values"][0] * 1000.0]


async def test_a_programme_that_is_not_offered_keeps_no_other_one_from_being_followed(tmp_path):
    programmes = {"shed": "dr", "winter": "dr"}
    async with fake_vtn() as vtn, follower(vtn, tmp_path, programmes=programmes) as site:
        shed, winter = vtn.add_program(), vtn.add_program("winter")
        in_winter = vtn.add_event(winter, limit(12))
        await site.poll()
        content = vtn.store.kinds["programs"].pop(winter)
        hidden = vtn.store.kinds["events"].pop(in_winter)
        await site.poll(30)
        now = vtn.add_event(shed, limit(9))
        await site.poll(30)
        assert site.live() == {in_winter, now}, "what the VTN forgot with its programme is not over"
        assert site.metric("failures_in_a_row") == 2
        vtn.store.kinds["programs"][winter], vtn.store.kinds["events"][in_winter] = content, hidden
        await site.poll(30)
        assert site.live() == {in_winter, now}
        assert site.metric("failures_in_a_row") == 0
