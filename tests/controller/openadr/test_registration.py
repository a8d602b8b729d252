import pytest

from tests.fakes.vtn.follower import follower
from tests.fakes.vtn.server import fake_vtn

VERSIONS = ("3.1.0", "3.0.1")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_ven_and_its_resources_are_registered_once(tmp_path, version):
    async with fake_vtn(version) as vtn:
        vtn.add_program()
        for _ in range(2):
            async with follower(vtn, tmp_path, ven_name="site-1", resources=("hall", "cooling")) as site:
                await site.poll()
                await site.poll(30)
                assert site.ven.registrar.failure is None
                assert set(site.ven.registrar.resources) == {"hall", "cooling"}
        (ven,) = vtn.store.kinds["vens"].values()
        assert ven["venName"] == "site-1"
        assert {r["venID"] for r in vtn.store.kinds["resources"].values()} == {ven["id"]}
        assert len(vtn.store.kinds["resources"]) == 2


async def test_a_ven_that_the_utility_made_is_found_and_left_as_it_is(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path, ven_name="site-1") as site:
        vtn.add_program()
        made = vtn.store.create("vens", {"venName": "site-1", "targets": ["north"]}, clientID="ven-1")
        await site.poll()
        assert site.ven.registrar.ven.ven_id == made["id"]
        assert list(vtn.store.kinds["vens"].values()) == [made]


async def test_a_name_that_somebody_else_has_is_told_and_events_are_followed_all_the_same(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path, ven_name="site-1") as site:
        vtn.add_program()
        vtn.store.create("vens", {"venName": "site-1"}, clientID="ven-2")
        await site.poll()
        assert "409" in site.ven.registrar.failure
        assert site.metric("failures_in_a_row") == 0


async def test_registration_that_fails_is_tried_again(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path, ven_name="site-1", resources=("hall",)) as site:
        vtn.add_program()
        fault = vtn.fail("POST /resources", 500)
        await site.poll()
        assert "status 500" in site.ven.registrar.failure
        fault.times = 0
        await site.poll(30)
        assert site.ven.registrar.failure is None
        assert len(vtn.store.kinds["vens"]) == 1


async def test_without_a_name_nothing_is_registered(tmp_path):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        vtn.add_program()
        await site.poll()
        assert not any("/vens" in request for request in vtn.requests)
