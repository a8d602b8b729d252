"""On a real Unix socket, at which a stand-in answers as zeusd documents."""

import contextlib

import aiohttp
import pytest

from controller.actuators.gpu_limits import Daemon, GpuLimiter
from controller.errors import ActuationError, StoreError
from controller.model.gpu_limit import Found, GpuLimit, When
from controller.signals.power.http_access import HttpAccess, HttpOptions
from controller.store.state import StateFile
from router.contract import PoolId
from tests.fakes.fake_zeusd import FakeZeusd, on_a_socket

UUIDS = ("GPU-a", "GPU-b")
A, B = (GpuLimit(PoolId(name), (f"GPU-{name}",), When.FIXED, 400.0) for name in "ab")
CLOCKS = GpuLimit(PoolId("a"), ("GPU-a",), When.FIXED, None, 1200)
CLOCKS_OF_B = GpuLimit(PoolId("b"), ("GPU-b",), When.FIXED, None, 1200)


@contextlib.asynccontextmanager
async def limiter(folder, *, uuids=UUIDS, path=None, name="limits", share=None, may_act=lambda: True, **options):
    """A limiter that asks the zeusd at the socket; its file of this name is in the folder."""
    connector = aiohttp.UnixConnector(path=str(path or folder / "z"))
    async with aiohttp.ClientSession(connector=connector) as session:
        access = HttpAccess(session, HttpOptions(timeout_s=1.0, **options))
        daemons, file = (Daemon(access, "http://localhost", uuids),), StateFile(folder / f"{name}.json")
        yield GpuLimiter(daemons, file, **({} if share is None else {"share": share}), may_act=may_act)


@pytest.fixture
async def zeusd(tmp_path):
    fake = FakeZeusd({0: 300.0, 1: 300.0})
    async with on_a_socket(fake, tmp_path / "z"):
        yield fake


async def test_a_power_limit_is_set_read_back_kept_and_given_back(tmp_path, zeusd):
    zeusd.limits_mw[0] = 650_000
    async with limiter(tmp_path) as limiting:
        await limiting.bring_to((A,))
        assert zeusd.limits_mw == {0: 400_000, 1: 700_000}
        assert limiting.read_back_w == {"GPU-a": 400.0}
        await limiting.bring_to((A,))
        assert zeusd.changes == ["set_power_limit"]
        await limiting.bring_to(())
        assert zeusd.limits_mw == {0: 650_000, 1: 700_000}
        assert limiting.limited == ()


async def test_the_next_process_gives_back_what_one_that_was_killed_had_limited(tmp_path, zeusd):
    async with limiter(tmp_path) as killed:
        await killed.bring_to((A, B))
    async with limiter(tmp_path) as following:
        assert following.limited == UUIDS
        await following.bring_to((A,))  # still wanted: its own limit is not taken for what was found
        await following.bring_to(())
    assert zeusd.limits_mw == {0: 700_000, 1: 700_000}
    async with limiter(tmp_path) as last:
        assert last.limited == ()


async def test_what_a_killed_process_had_limited_in_another_way_is_given_back_first(tmp_path, zeusd):
    async with limiter(tmp_path) as killed:
        await killed.bring_to((A,))
    async with limiter(tmp_path) as following:
        await following.bring_to((CLOCKS,))
        assert (zeusd.limits_mw[0], zeusd.locked_mhz) == (700_000, {0: 1200})
    async with limiter(tmp_path) as last:
        await last.bring_to((A,))
        assert (zeusd.limits_mw[0], zeusd.locked_mhz) == (400_000, {})


async def test_clocks_are_locked_and_released(tmp_path, zeusd):
    async with limiter(tmp_path) as limiting:
        for _ in range(2):
            await limiting.bring_to((CLOCKS,))
        assert zeusd.locked_mhz == {0: 1200}
        await limiting.bring_to(())
    assert zeusd.locked_mhz == {}
    # Nobody tells whether they are still locked: each look locks them again.
    assert zeusd.changes == ["set_gpu_locked_clocks", "set_gpu_locked_clocks", "reset_gpu_locked_clocks"]


async def test_a_gpu_that_had_less_keeps_it(tmp_path, zeusd):
    zeusd.limits_mw[0] = 300_000
    async with limiter(tmp_path) as limiting:
        for _ in range(2):
            await limiting.bring_to((A,))
            assert zeusd.limits_mw[0] == 300_000
        await limiting.bring_to(())
    assert zeusd.limits_mw[0] == 300_000


async def test_a_limit_that_somebody_else_changed_is_told_and_set_again(tmp_path, zeusd):
    async with limiter(tmp_path) as limiting:
        await limiting.bring_to((A,))
        zeusd.limits_mw[0] = 700_000
        with pytest.raises(ActuationError, match="GPU-a: somebody else had set 700 W; set to 400 W again"):
            await limiting.bring_to((A,))
        assert zeusd.limits_mw[0] == 400_000
        await limiting.bring_to((A,))


async def test_a_limit_that_has_no_effect_is_told(tmp_path, zeusd):
    zeusd.is_deaf = True
    async with limiter(tmp_path) as limiting:
        with pytest.raises(ActuationError, match="GPU-a: 400 W was set, but 700 W is read back"):
            await limiting.bring_to((A,))


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_zeusd_without_the_right_is_told_with_the_remedy_and_others_go_on(tmp_path, zeusd, status):
    zeusd.refusal = status
    both = GpuLimit(PoolId("x"), UUIDS, When.FIXED, 400.0)
    async with limiter(tmp_path) as limiting:
        with pytest.raises(ActuationError, match=f"GPU-a: .*status {status}: zeusd needs .*gpu-control.*; GPU-b: "):
            await limiting.bring_to((both,))
        zeusd.refusal = None
        await limiting.bring_to((both,))
    assert zeusd.limits_mw == {0: 400_000, 1: 400_000}


async def test_a_limit_out_of_range_is_told_in_zeusds_words(tmp_path, zeusd):
    async with limiter(tmp_path) as limiting:
        with pytest.raises(ActuationError, match=r"status 400: .*Invalid argument"):
            await limiting.bring_to((GpuLimit(PoolId("a"), ("GPU-a",), When.FIXED, 100.0),))


async def test_no_zeusd_and_no_zeusd_for_a_gpu_are_told(tmp_path, zeusd):
    async with limiter(tmp_path, path=tmp_path / "absent") as limiting:
        with pytest.raises(ActuationError, match="cannot connect"):
            await limiting.bring_to((A,))
        assert limiting.limited == ()
    async with limiter(tmp_path) as limiting:
        await limiting.bring_to((A,))
    async with limiter(tmp_path, uuids=("GPU-z",)) as limiting:
        with pytest.raises(ActuationError, match=r"GPU-a: no zeusd is configured for it; add it to controller\.zeusd"):
            await limiting.bring_to(())


async def test_what_cannot_be_written_down_is_not_limited(tmp_path, zeusd):
    (tmp_path / "limits.json.new").mkdir()
    async with limiter(tmp_path) as limiting:
        limiting._file.save = _full
        with pytest.raises(ActuationError, match="the disk is full"):
            await limiting.bring_to((A,))
    assert zeusd.changes == []


def _full(**_):
    raise StoreError("the disk is full")


async def test_a_malformed_answer_is_told(tmp_path, zeusd):
    zeusd.limits_mw = {0: None, 1: None}
    async with limiter(tmp_path) as limiting:
        with pytest.raises(ActuationError, match="malformed answer"):
            await limiting.bring_to((A,))


async def test_the_next_leader_gives_back_what_one_that_was_killed_had_found(tmp_path, zeusd):
    zeusd.limits_mw[0] = 650_000
    async with limiter(tmp_path, name="a") as killed:
        await killed.bring_to((A,))
        handed_over = killed.found
    async with limiter(tmp_path, name="b") as heir:
        heir.take_up(handed_over)
        await heir.bring_to((A,))
        assert heir.found == (Found("GPU-a", 650.0, (400.0,)),)
    async with limiter(tmp_path, name="b") as started_again:
        await started_again.bring_to(())
    assert zeusd.limits_mw[0] == 650_000


async def test_the_next_leader_gives_back_what_it_does_not_want_itself(tmp_path, zeusd):
    async with limiter(tmp_path, name="a") as killed:
        await killed.bring_to((A, CLOCKS_OF_B))
        handed_over = killed.found
    async with limiter(tmp_path, name="b") as heir:
        heir.take_up(handed_over)
        await heir.bring_to(())
        assert heir.found == ()
    assert (zeusd.limits_mw[0], zeusd.locked_mhz) == (700_000, {})


async def test_what_was_found_is_shared_before_a_gpu_is_changed_and_once(tmp_path, zeusd):
    shared = []

    async def share():
        shared.append((limiting.found, zeusd.limits_mw[0], dict(zeusd.locked_mhz)))

    async with limiter(tmp_path, share=share) as limiting:
        for _ in range(2):
            await limiting.bring_to((A, CLOCKS_OF_B))
    power, clocks = Found("GPU-a", 700.0, (400.0,)), Found("GPU-b", None)
    assert shared == [((power,), 700_000, {}), ((power, clocks), 400_000, {})]


@pytest.mark.parametrize("wanted", [A, CLOCKS])
async def test_who_learns_while_it_shares_that_another_leads_changes_nothing(tmp_path, zeusd, wanted):
    async def share():
        limiting.stand_by(None)

    async with limiter(tmp_path, share=share) as limiting:
        await limiting.bring_to((wanted,))
    assert zeusd.changes == []


@pytest.mark.parametrize("wanted", [A, CLOCKS])
async def test_a_leader_that_was_frozen_limits_nothing_once_its_lease_is_over(tmp_path, zeusd, wanted):
    leads = [True]
    async with limiter(tmp_path, may_act=lambda: leads[0]) as limiting:
        await limiting.bring_to((wanted,))
        zeusd.limits_mw[0], zeusd.locked_mhz = 700_000, {}  # the next leader has given it back
        leads[0] = False
        await limiting.bring_to((wanted,))
    assert (zeusd.limits_mw[0], zeusd.locked_mhz) == (700_000, {})


async def test_a_standby_keeps_off_what_the_leader_has_limited_and_gives_back_what_only_it_knows_of(tmp_path, zeusd):
    async with limiter(tmp_path) as killed:
        await killed.bring_to((A, B))
    async with limiter(tmp_path) as standby:
        standby.stand_by(None)
        await standby.bring_to(())
        assert standby.limited == ()
        assert zeusd.limits_mw == {0: 400_000, 1: 400_000}
        standby.stand_by((Found("GPU-a", 700.0, (400.0,)),))
        await standby.bring_to(())
        assert zeusd.limits_mw == {0: 400_000, 1: 700_000}
        zeusd.limits_mw[0] = 600_000  # the leader gave it back, and an operator has changed it
        standby.stand_by(())
        await standby.bring_to(())
    assert zeusd.limits_mw == {0: 600_000, 1: 700_000}


@pytest.mark.parametrize("wanted", [(A,), ()])
async def test_a_limit_that_an_operator_set_while_no_controller_looked_is_the_one_that_counts(
    tmp_path, zeusd, caplog, wanted
):
    async with limiter(tmp_path) as killed:
        await killed.bring_to((A,))
    zeusd.limits_mw[0] = 500_000
    async with limiter(tmp_path) as following:
        await following.bring_to(wanted)
        assert zeusd.limits_mw[0] == (400_000 if wanted else 500_000)
        await following.bring_to(())
    assert zeusd.limits_mw[0] == 500_000
    assert "power limit changed by somebody while no controller looked after it: it counts" in caplog.messages


async def test_a_limit_that_came_out_otherwise_than_it_was_set_is_not_taken_for_an_operators(tmp_path, zeusd):
    zeusd.is_deaf = True
    async with limiter(tmp_path) as killed:
        zeusd.limits_mw[0] = 650_000
        with pytest.raises(ActuationError):
            await killed.bring_to((A,))
    assert killed.found == (Found("GPU-a", 650.0, (400.0, 650.0)),)


async def test_what_an_older_version_kept_is_given_back(tmp_path, zeusd):
    zeusd.limits_mw[0] = 400_000
    StateFile(tmp_path / "limits.json").save(found=[{"gpu_uuid": "GPU-a", "power_limit_w": 650.0}])
    async with limiter(tmp_path) as following:
        await following.bring_to(())
    assert zeusd.limits_mw[0] == 650_000
