import asyncio
import dataclasses
import random

import pytest

from controller.errors import StoreError
from controller.model.call import Asked
from controller.model.grid import FOREVER_S, Series
from controller.model.observation import Missing
from controller.openadr.draws import Draws
from controller.openadr.feed import SpanFeed
from controller.openadr.times import write_moment
from tests.fakes.controller_parts import ListRecorder
from tests.fakes.vtn.follower import TERMS, follower
from tests.fakes.vtn.server import fake_vtn, interval

NOW = {"start": "0001-01-01", "duration": "PT1H"}
VERSIONS = ("3.1.0", "3.0.1")


def limit(kw, **period):
    return interval(0, "IMPORT_CAPACITY_LIMIT", kw, **(period or NOW))


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_event_becomes_a_limit_is_changed_and_is_over_when_it_is_deleted(tmp_path, version):
    async with fake_vtn(version) as vtn, follower(vtn, tmp_path) as site:
        program = vtn.add_program()
        await site.poll()
        assert site.live() == set()
        event = vtn.add_event(program, limit(12), priority=0)
        await site.poll(30)
        assert site.limits_w() == [12_000.0]
        view = site.views()[event]
        assert view.call.start_s == view.call.received_s == site.clock.wall_s()
        vtn.change_event(event, intervals=[limit(9)])
        await site.poll(30)
        assert site.limits_w() == [9_000.0]
        vtn.delete_event(event)
        await site.poll(30)
        assert site.live() == set()
        assert site.hastened == 3


async def test_an_event_is_cancelled_by_zero_length(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        event = vtn.add_event(vtn.add_program(), limit(12))
        await site.poll()
        assert site.live() == {event}
        vtn.change_event(event, intervals=[limit(12, start="0001-01-01", duration="PT0S")])
        await site.poll(30)
        assert site.live() == set()


@pytest.mark.parametrize("kind", [500, 401, "hang", "malformed", "truncated", "broken", "no_list", "huge"])
@pytest.mark.parametrize("where", ["GET /events", "GET /"])
async def test_a_vtn_that_fails_is_never_one_that_wants_nothing(tmp_path, kind, where):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        event = vtn.add_event(vtn.add_program(), limit(12))
        await site.poll()
        vtn.fail(where, kind)
        for _ in range(1 if kind == "hang" else 3):
            await site.poll(700)
        assert site.live() == {event}
        vtn.mend()
        await site.poll(30)
        assert site.metric("failures_in_a_row") == 0


async def test_what_is_listed_before_a_page_fails_is_followed_and_nothing_is_cancelled(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        program = vtn.add_program()
        events = [vtn.add_event(program, limit(12 + n)) for n in range(60)]
        await site.poll()
        late = vtn.add_event(program, limit(5))
        vtn.delete_event(events[55])
        vtn.fail("GET /events", "slow", 1)
        vtn.fail("GET /events", 500)
        await site.poll(30)
        assert site.live() == set(events)
        vtn.mend()
        await site.poll(30)
        assert site.live() == (set(events) | {late}) - {events[55]}


async def test_an_event_that_slips_through_while_pages_are_read_is_not_cancelled(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        program = vtn.add_program()
        events = [vtn.add_event(program, limit(12 + n)) for n in range(60)]
        await site.poll()
        listed = vtn._listed
        vtn._listed = lambda kind, request, who: [e for e in listed(kind, request, who) if e["id"] != events[51]]
        await site.poll(30)
        assert site.live() == set(events)


async def test_an_event_that_may_not_be_read_any_more_is_over_after_two_listings_without_it(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        event = vtn.add_event(vtn.add_program(), limit(12))
        await site.poll()
        vtn.delete_event(event)
        vtn.fail(f"GET /events/{event}", 403)
        await site.poll(30)
        assert site.live() == {event}
        assert site.metric("failures_in_a_row") == 0
        await site.poll(30)
        assert site.live() == set()


async def test_a_purge_of_old_events_asks_for_some_at_a_time_and_for_those_in_force_first(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        program = vtn.add_program()
        old = interval(0, "SIMPLE", 1, start="2020-01-01T00:00:00Z", duration="PT1H")
        events = [vtn.add_event(program, old) for _ in range(120)]
        events.append(vtn.add_event(program, limit(12)))
        await site.poll()
        assert site.live() == {events[-1]}
        for event in events:
            vtn.delete_event(event)
        vtn.requests.clear()
        await site.poll(30)
        assert site.live() == set()
        assert sum("/events/" in request for request in vtn.requests) == 100
        await site.poll(30)
        assert site.ven.desk.followed == {}


async def test_a_lost_vtn_leaves_the_schedule_and_then_the_capacity_that_was_subscribed_to(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        program = vtn.add_program()
        subscribed = interval(0, "IMPORT_CAPACITY_SUBSCRIPTION", 8)
        vtn.add_event(program, subscribed, intervalPeriod={"start": "0001-01-01", "duration": "P9999Y"})
        reserved = interval(0, "IMPORT_CAPACITY_RESERVATION", 3, start="0001-01-01", duration="PT2H")
        vtn.add_event(program, reserved)
        vtn.add_event(program, limit(12))
        await site.poll()
        assert site.limits_w() == [12_000.0]
        vtn.fail("/", 503)
        await site.poll(600)
        assert 12_000.0 in site.limits_w()
        await site.poll(3600)
        assert site.limits_w() == [11_000.0]
        await site.poll(3600)
        assert site.limits_w() == [8_000.0]
        vtn.mend()
        await site.poll(30)
        assert site.limits_w() == []


async def test_a_malformed_change_leaves_what_was_followed(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        program = vtn.add_program()
        event, other = vtn.add_event(program, limit(12)), vtn.add_event(program, limit(15))
        await site.poll()
        bad = [{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KWH"}]
        vtn.change_event(event, payloadDescriptors=bad, intervals=[limit(1)])
        for _ in range(3):
            await site.poll(30)
        assert sorted(site.limits_w()) == [12_000.0, 15_000.0]
        assert site.metric("refused_events_total") == 1
        assert "'KWH' is not a power" in site.ven.desk.followed[event].refused
        vtn.change_event(event, payloadDescriptors=None, intervals=[limit(10)])
        vtn.delete_event(other)
        await site.poll(30)
        assert site.limits_w() == [10_000.0]


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_message_from_the_future_is_not_followed_and_keeps_no_later_one_from_it(tmp_path, is_known):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        program = vtn.add_program()
        event = vtn.add_event(program, limit(12))
        kept = vtn.store.kinds["events"]
        if is_known:
            await site.poll()
        early = {"intervals": [limit(7)], "modificationDateTime": "2099-01-01T00:00:00Z"}
        kept[event] |= early
        for _ in range(3):
            await site.poll(1)
        assert site.limits_w() == ([12_000.0] if is_known else [])
        assert site.metric("refused_events_total") == 1
        assert "2099-01-01T00:00:00Z, more than 300 s ahead" in site.ven.desk.followed[event].refused
        assert site.book.refused["from_the_future"] == 1
        vtn.change_event(event, intervals=[limit(8)])
        await site.poll(1)
        assert site.limits_w() == [8000.0]
        assert site.ven.desk.followed[event].refused is None
        kept[event] |= early | {"intervals": [], "intervalPeriod": {"start": "0001-01-01", "duration": "PT0S"}}
        await site.poll(1)
        assert site.limits_w() == [8000.0]
        vtn.change_event(event)
        await site.poll(1)
        assert site.limits_w() == []


async def test_a_message_from_the_future_is_taken_once_its_time_has_come(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        long = {"start": "0001-01-01", "duration": "PT5H"}
        event = vtn.add_event(vtn.add_program(), limit(12, **long))
        await site.poll()
        told = write_moment(site.clock.wall_s() + 3600)
        vtn.store.kinds["events"][event] |= {"intervals": [limit(8, **long)], "modificationDateTime": told}
        await site.poll(1)
        assert site.limits_w() == [12_000.0]
        await site.poll(3600)
        assert site.limits_w() == [8000.0]
        assert site.ven.desk.followed[event].refused is None


@pytest.mark.parametrize(
    "refused", [limit(5e6), limit(12, start="9000-01-01T00:00:00Z", duration="PT1H")], ids=["bounds", "too far ahead"]
)
async def test_what_the_book_refuses_is_told_once(tmp_path, refused):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        vtn.add_event(vtn.add_program(), refused)
        for _ in range(3):
            await site.poll(30)
        assert site.live() == set()
        assert site.metric("refused_events_total") == 1


async def test_more_changes_than_a_minute_may_have_are_followed_in_the_next_ones(tmp_path):
    terms = dataclasses.replace(TERMS, changes_per_min=2)
    async with fake_vtn() as vtn, follower(vtn, tmp_path, terms=terms) as site:
        program = vtn.add_program()
        events = {vtn.add_event(program, limit(12 + n)) for n in range(3)}
        await site.poll()
        assert len(site.live()) == 2
        await site.poll(61)
        assert site.live() == events


async def test_what_is_in_force_is_followed_first_where_more_come_than_a_minute_may_have(tmp_path):
    terms = dataclasses.replace(TERMS, changes_per_min=3)
    async with fake_vtn() as vtn, follower(vtn, tmp_path, terms=terms) as site:
        program = vtn.add_program()
        for n in range(70):
            begin = write_moment(round(site.clock.wall_s()) + 3600 * (n + 1))
            vtn.add_event(program, limit(20 + n, start=begin, duration="PT1H"))
        urgent = vtn.add_event(program, limit(5))
        await site.poll()
        assert urgent in site.live()
        assert len(site.live()) == 3


async def test_duplicates_in_a_listing_change_nothing(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        event = vtn.add_event(vtn.add_program(), limit(12))
        vtn.fail("GET /events", "twice")
        await site.poll()
        await site.poll(30)
        assert site.live() == {event}
        assert site.hastened == 1


async def test_an_event_without_an_id_leaves_all_others_as_they_are(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        program = vtn.add_program()
        gone, kept = vtn.add_event(program, limit(12)), vtn.add_event(program, limit(13))
        await site.poll()
        vtn.store.kinds["events"][kept]["id"] = None
        vtn.delete_event(gone)
        await site.poll(30)
        assert site.live() == {gone, kept}
        assert site.metric("failures_in_a_row") == 1
        await site.poll(30)
        assert site.metric("failures_in_a_row") == 2
        assert site.metric("refused_events_total") == 1, "it is told once"


async def test_what_a_vtn_deleted_while_nobody_listened_is_over(tmp_path):
    async with fake_vtn() as vtn:
        program = vtn.add_program()
        async with follower(vtn, tmp_path) as before:
            gone, ended, kept = (vtn.add_event(program, limit(12 + n)) for n in range(3))
            await before.poll()
        vtn.delete_event(gone)
        vtn.change_event(ended, intervals=[limit(1, start="0001-01-01", duration="PT0S")])
        async with follower(vtn, tmp_path, book=before.book) as after:
            assert after.live() == {gone, ended, kept}
            started_s = after.views()[kept].call.start_s
            await after.poll(60)
            assert after.live() == {kept}
            assert after.views()[kept].call.start_s == started_s


async def test_an_event_that_comes_back_is_followed_again(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        event = vtn.add_event(vtn.add_program(), limit(12))
        await site.poll()
        content = vtn.store.kinds["events"].pop(event)
        await site.poll(30)
        assert site.live() == set()
        vtn.store.kinds["events"][event] = content
        await site.poll(30)
        assert site.live() == {event}


async def test_a_change_without_a_later_time_of_change_is_followed(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        event = vtn.add_event(vtn.add_program(), limit(12))
        await site.poll()
        vtn.store.kinds["events"][event]["intervals"] = [limit(9)]
        await site.poll(30)
        assert site.limits_w() == [9_000.0]


@pytest.mark.parametrize("seed", range(5))
async def test_messages_that_are_replayed_doubled_or_out_of_order_change_nothing(tmp_path, seed, caplog):
    chance = random.Random(seed)
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        program = vtn.add_program()
        events = [vtn.add_event(program, limit(12)) for _ in range(3)]
        past = [dict(vtn.store.kinds["events"])]
        await site.poll()
        for kw in (9, 15, 8):
            vtn.change_event(chance.choice(events), intervals=[limit(kw)])
            await site.poll(30)
            past.append(dict(vtn.store.kinds["events"]))
        now, limits_w = past[-1], site.limits_w()
        for _ in range(6):
            shown = [(event, chance.choice(past)[event]) for event in chance.sample(events, 3)]
            vtn.store.kinds["events"] = dict(shown)
            vtn.mend()
            vtn.fail("GET /events$", "twice", times=chance.randrange(2))
            await site.poll(30)
            assert sorted(site.limits_w()) == sorted(limits_w)
        assert "event is older than what is followed of it, so it is passed over" in caplog.messages
        vtn.store.kinds["events"] = now
        vtn.change_event(events[0], intervals=[limit(7)])
        await site.poll(30)
        assert 7_000.0 in site.limits_w(), "and a true change is followed"


async def test_a_call_that_could_not_be_recorded_is_tried_again(tmp_path):
    recorder = ListRecorder()
    async with fake_vtn() as vtn, follower(vtn, tmp_path, recorder=recorder) as site:
        event = vtn.add_event(vtn.add_program(), limit(12))
        record, recorder.record = recorder.record, failing
        await site.poll()
        assert site.live() == set()
        recorder.record = record
        await site.poll(30)
        assert site.live() == {event}
        recorder.record = failing
        vtn.delete_event(event)
        await site.poll(30)
        assert site.live() == {event}
        recorder.record = record
        await site.poll(30)
        assert site.live() == set()


def failing(*_):
    raise StoreError("the disk is full")


async def test_a_programme_that_is_not_offered_is_told_and_nothing_is_cancelled(tmp_path, caplog):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        program = vtn.add_program()
        event = vtn.add_event(program, limit(12))
        await site.poll()
        content = vtn.store.kinds["programs"].pop(program)
        vtn.add_program("other")
        await site.poll(700)
        assert site.live() == {event}
        assert "does not offer programme 'shed'; it offers 'other'" in caplog.records[-2].reason
        vtn.store.kinds["programs"][program] = content
        await site.poll(30)
        assert site.metric("failures_in_a_row") == 0


async def test_events_of_other_programmes_and_for_others_are_not_followed(tmp_path):
    async with fake_vtn("3.0.1") as vtn, follower(vtn, tmp_path, ven_name="site-1", targets=("north",)) as site:
        program, other = vtn.add_program(), vtn.add_program("other")
        vtn.add_event(other, limit(1))
        vtn.add_event(program, limit(2), targets=[{"type": "VEN_NAME", "values": ["site-2"]}])
        vtn.add_event(program, limit(3), targets=[{"type": "GROUP", "values": ["south", "north"]}])
        await site.poll()
        assert site.limits_w() == [3_000.0]


async def test_events_for_our_targets_are_asked_for_beside_those_for_all(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path, targets=("north",)) as site:
        vtn.granted["ven-1"] = {"north", "south"}
        program = vtn.add_program()
        vtn.add_event(program, limit(1))
        vtn.add_event(program, limit(2), targets=["north"])
        vtn.add_event(program, limit(3), targets=["south"])
        await site.poll()
        assert sorted(site.limits_w()) == [1_000.0, 2_000.0]


async def test_a_public_vtn_of_prices_needs_no_credentials(tmp_path):
    async with fake_vtn() as vtn:
        vtn.clients.clear()
        async with follower(vtn, tmp_path) as site:
            descriptors = [{"payloadType": "PRICE", "units": "KWH", "currency": "USD"}]
            program = vtn.add_program(payloadDescriptors=descriptors)
            hours = [interval(n, "PRICE", 0.1 * (n + 1)) for n in range(24)]
            feed = SpanFeed("utility", "price_usd_per_mwh")
            feed.bind(site.ven.desk)
            await site.poll()
            assert isinstance(feed.read(site.clock.wall_s()), Missing)
            vtn.add_event(program, *hours, intervalPeriod=NOW)
            await site.poll(30)
            series = feed.read(site.clock.wall_s() + 3600)
            assert isinstance(series, Series)
            assert series.unit == "price_usd_per_mwh"
            assert series.at(site.clock.wall_s() + 3600) == pytest.approx(200.0)
            assert isinstance(feed.read(site.clock.wall_s() + 25 * 3600), Missing)
            assert site.live() == set()
            assert not any("auth/token" in request for request in vtn.requests)


async def test_a_randomised_start_is_drawn_once(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        event = vtn.add_event(vtn.add_program(), limit(12, start="0001-01-01", duration="PT1H", randomizeStart="PT10M"))
        await site.poll()
        first_s = site.views()[event].call.start_s
        assert 0 < first_s - site.clock.wall_s() <= 600
        vtn.change_event(event, priority=3)
        await site.poll(30)
        assert site.views()[event].call.start_s == first_s


async def test_a_randomised_start_shifts_all_intervals_either_way_and_by_the_seed(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        program, begin_s = vtn.add_program(), round(site.clock.wall_s()) + 7200
        when = {"start": write_moment(begin_s), "duration": "PT1H", "randomizeStart": "PT30M"}
        hours = [limit_of(n, kw) for n, kw in enumerate((12, 9, 15))]
        events = [vtn.add_event(program, *hours, intervalPeriod=when) for _ in range(20)]
        await site.poll()
        shifts_s = {}
        for event in events:
            starts_s = [part.start_s - begin_s for part in site.views()[event].call.intervals]
            shifts_s[event] = starts_s[0]
            assert starts_s == pytest.approx([shifts_s[event] + n * 3600 for n in range(3)])
            assert shifts_s[event] == pytest.approx(1800 * Draws(7).of(event), abs=1e-3)
        assert min(shifts_s.values()) < 0 < max(shifts_s.values())
        assert max(map(abs, shifts_s.values())) <= 1800


async def test_an_event_that_is_rolled_on_keeps_the_identity_of_its_intervals(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        program, begin_s = vtn.add_program(), round(site.clock.wall_s()) + 60
        event = None
        seen = {}
        for hour in range(5):  # each hour the utility drops what is over and appends another hour
            when = {"start": write_moment(begin_s + 3600 * hour), "duration": "PT1H"}
            hours = [limit_of(n, 10 + n) for n in range(hour, hour + 3)]
            if event is None:
                event = vtn.add_event(program, *hours, intervalPeriod=when)
            else:
                vtn.change_event(event, intervals=hours, intervalPeriod=when)
            await site.poll(0 if hour == 0 else 3600)
            for told in site.book.current(site.clock.wall_s()):
                before = seen.setdefault(told.event_id, (told.start_s, told.end_s, told.limit_w))
                assert before == (told.start_s, told.end_s, told.limit_w)
        assert {name.partition("#")[2] for name in seen} == {str(n) for n in range(7)}


def limit_of(number, kw):
    return interval(number, "IMPORT_CAPACITY_LIMIT", kw)


async def test_a_difference_of_the_clocks_is_told(tmp_path, caplog):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        vtn.add_program()
        vtn.date_offset_s = 600.0
        await site.poll()
        await site.poll()
        assert [r.message for r in caplog.records].count(
            "the VTN's clock is another: set the clocks of both sides"
        ) == 1
        assert site.metric("clock_skew_seconds") > 590


async def test_an_alert_without_end_is_followed_until_it_is_cleared(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path, alerts={"ALERT_GRID_EMERGENCY": 3}) as site:
        program = vtn.add_program()
        event = vtn.add_event(
            program, interval(0, "ALERT_GRID_EMERGENCY", "now", start="0001-01-01", duration="P9999Y")
        )
        await site.poll()
        (part,) = site.views()[event].call.intervals
        assert (part.commitment.asked, part.commitment.value, part.end_s) == (Asked.LEVEL, 3.0, FOREVER_S)
        assert site.ven.desk.notices(site.clock.wall_s())[0].text == "now"
        vtn.delete_event(event)
        await site.poll(30)
        assert site.live() == set()
        assert site.ven.desk.notices(site.clock.wall_s()) == ()


async def test_it_polls_in_the_background_backs_off_and_is_hastened(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path, poll_s=30.0) as site:
        event = vtn.add_event(vtn.add_program(), limit(12))
        task = asyncio.get_running_loop().create_task(site.ven.run())
        try:
            await until(lambda: site.live() == {event})
            vtn.delete_event(event)
            await until(lambda: site.ven.hasten() or site.live() == set())
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(is_so):
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_a_wish_to_be_left_alone_is_handed_on(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        vtn.fail("/", 429, Retry_After="120")
        assert await site.poll() == 120.0


async def test_a_vtn_that_comes_back_empty_has_deleted_nothing(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        event = vtn.add_event(vtn.add_program(), limit(12))
        await site.poll()
        kept = dict(vtn.store.kinds["programs"])
        vtn.store.kinds["programs"].clear()
        vtn.store.kinds["events"].clear()
        for _ in range(3):
            await site.poll(30)
            assert site.live() == {event}
        assert site.metric("failures_in_a_row") == 3
        vtn.store.kinds["programs"].update(kept)
        await site.poll(30)
        assert site.live() == set(), "a VTN that knows the programme, and not the event, has ended it"


async def test_a_vtn_that_was_taken_for_an_older_one_while_it_came_up_is_known_within_minutes(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path, targets=("north",)) as site:
        vtn.granted["ven-1"] = {"north"}
        event = vtn.add_event(vtn.add_program(), limit(12), targets=["north"])
        vtn.fail("GET /auth/server", 404)
        await site.poll()
        assert site.live() == set(), "3.0.1 knows no targets in the query"
        vtn.mend()
        await site.poll(600)
        assert site.live() == {event}
        vtn.forget_tokens()
        vtn.fail("POST /auth/token", 503, 1)
        vtn.fail("GET /auth/server", 404)
        for _ in range(3):
            await site.poll(60)
        assert site.live() == {event}
        vtn.mend()
        await site.poll(60)
        assert vtn.requests[-1].startswith("GET /events?")
        assert "targets=north" in vtn.requests[-1]
        assert site.metric("failures_in_a_row") == 0
