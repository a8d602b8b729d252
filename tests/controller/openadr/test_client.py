import pytest

from controller.clock import VirtualClock
from controller.errors import SignalError, VtnError
from controller.openadr.client import MAX_PAGES, VtnClient
from controller.openadr.messages import Version
from tests.fakes.vtn.client import client_of
from tests.fakes.vtn.server import fake_vtn, interval


def ids(listing):
    return [entry["id"] for entry in listing.objects]


def fill(vtn, count):
    program = vtn.add_program()
    return [vtn.add_event(program, interval(0, "SIMPLE", 1)) for _ in range(count)]


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 120])
async def test_all_pages_are_read(tmp_path, count):
    async with fake_vtn() as vtn, client_of(vtn, tmp_path) as client:
        events = fill(vtn, count)
        listing = await client.list_all("/events", {"programID": "program-0"} if count else ())
        assert ids(listing) == events
        assert listing.failure is None
        assert sum("limit=50" in request for request in vtn.requests) == count // 50 + 1


async def test_a_page_that_fails_leaves_the_listing_incomplete_and_says_why(tmp_path):
    async with fake_vtn() as vtn, client_of(vtn, tmp_path) as client:
        events = fill(vtn, 60)
        await client.list_all("/events")
        vtn.fail("GET /events", "slow", 1)
        vtn.fail("GET /events", 500)
        listing = await client.list_all("/events")
        assert ids(listing) == events[:50]
        assert "status 500: fault 500: on demand" in str(listing.failure)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("malformed", "not JSON"), ("truncated", "not JSON"), ("no_list", "is not a list"), ("broken", "broke off")],
)
async def test_a_malformed_page_is_no_listing(tmp_path, kind, said):
    async with fake_vtn() as vtn, client_of(vtn, tmp_path) as client:
        fill(vtn, 3)
        vtn.fail("GET /events", kind)
        listing = await client.list_all("/events")
        assert listing.objects == ()
        assert said in str(listing.failure)


async def test_a_server_that_knows_no_skip_is_not_asked_for_ever(tmp_path):
    async with fake_vtn() as vtn, client_of(vtn, tmp_path) as client:
        fill(vtn, 50)
        listed = vtn._listed
        vtn._listed = lambda kind, request, who: listed(kind, request.clone(rel_url="/events"), who)
        listing = await client.list_all("/events")
        assert len(listing.objects) == 50
        assert len(vtn.requests) < 6


async def test_more_than_all_pages_hold_is_told(tmp_path):
    async with fake_vtn() as vtn, client_of(vtn, tmp_path) as client:
        number = iter(range(10**6))
        vtn._listed = lambda *_: [{"id": str(next(number))} for _ in range(50)]
        listing = await client.list_all("/events")
        assert len(listing.objects) == MAX_PAGES * 50
        assert "more than 5000 objects" in str(listing.failure)


async def test_a_vtn_that_forgot_its_tokens_is_given_another_one(tmp_path):
    clock = VirtualClock(1e9)
    async with fake_vtn() as vtn, client_of(vtn, tmp_path, clock=clock) as client:
        await client.list_all("/events")
        vtn.forget_tokens()
        clock.advance(60)
        assert (await client.list_all("/events")).failure is None
        assert vtn.tokens_given == 2


async def test_a_role_that_may_not_is_told_and_does_not_ask_for_tokens_without_end(tmp_path):
    clock = VirtualClock(1e9)
    async with fake_vtn() as vtn, client_of(vtn, tmp_path, clock=clock) as client:
        for _ in range(3):
            clock.advance(3)
            with pytest.raises(VtnError, match=r"status 403: .* must grant this client the role") as caught:
                await client.post("/programs", {"programName": "mine"})
        assert caught.value.status == 403
        assert vtn.tokens_given == 1


async def test_objects_are_made_changed_and_deleted(tmp_path):
    async with fake_vtn() as vtn, client_of(vtn, tmp_path, client_id="bl-1") as client:
        made = await client.post("/programs", {"programName": "shed"})
        path = f"/programs/{made['id']}"
        assert (await client.put(path, {"programName": "shed 2"}))["programName"] == "shed 2"
        assert (await client.get(path))["programName"] == "shed 2"
        with pytest.raises(VtnError, match="409") as caught:
            await client.post("/programs", {"programName": "shed 2"})
        assert caught.value.status == 409
        await client.delete(path)
        with pytest.raises(VtnError, match="404"):
            await client.get(path)


@pytest.mark.parametrize("version", list(Version))
async def test_the_version_is_told_by_how_the_vtn_behaves(tmp_path, version):
    async with fake_vtn(version) as vtn, client_of(vtn, tmp_path) as client:
        assert await client.version() is version


@pytest.mark.parametrize(
    ("url", "version"), [("https://x/openadr3/3.0.1/", Version.V3_0), ("https://x/oadr/3.1", Version.V3_1)]
)
async def test_the_version_is_told_by_the_address(url, version):
    assert await VtnClient(None, url, VirtualClock()).version() is version


async def test_a_server_that_is_down_leaves_the_version_open(tmp_path):
    async with fake_vtn() as vtn, client_of(vtn, tmp_path) as client:
        vtn.fail("/auth/server", "malformed", 1)
        with pytest.raises(SignalError):
            await client.version()
        assert await client.version() is Version.V3_1


async def test_the_difference_of_the_clocks_is_seen(tmp_path):
    async with fake_vtn() as vtn, client_of(vtn, tmp_path) as client:
        assert client.skew_s is None
        vtn.date_offset_s = 300.0
        await client.list_all("/events")
        assert 290 < client.skew_s < 310
