from types import SimpleNamespace

import pytest

from controller.lifecycle.policy import Mode
from controller.service.grid_side import opened_books
from controller.service.vtns import followed_vtns, known
from tests.fakes.controller_parts import decision, site
from tests.fakes.service_frame import framed, proof_of

SHED = SimpleNamespace(sheds=lambda now_s: ())


def runner(status=None):
    return SimpleNamespace(status=status, hasten=lambda: None)


async def test_nobody_is_followed_unless_it_is_asked_for(tmp_path):
    async with framed(tmp_path) as (frame, _):
        with proof_of(frame) as proof, opened_books(frame, proof.recorder) as books:
            async with followed_vtns(frame, books, SHED, runner(), frame.telemetry.registry) as vens:
                assert vens == ()
            assert frame.works.failing == ()


@pytest.mark.parametrize(("mode", "told"), [(Mode.ACT, None), (Mode.OBSERVE, "mode is observe")])
async def test_reports_say_that_a_site_is_left_alone_by_choice(tmp_path, mode, told):
    async with framed(tmp_path, mode=mode, import_limit_w=5000.0) as (frame, _):
        with proof_of(frame) as proof, opened_books(frame, proof.recorder) as books:
            inputs = known(frame, books, SHED, runner())
    assert inputs.disabled == told
    assert inputs.standing_limit_w == 5000.0
    assert inputs.carbon(0.0).values == (300.0,)


async def test_reports_say_that_nothing_is_decided_until_something_is(tmp_path):
    loop = runner()
    async with framed(tmp_path) as (frame, _):
        with proof_of(frame) as proof, opened_books(frame, proof.recorder) as books:
            inputs = known(frame, books, SHED, loop)
            assert inputs.error() == "nothing is decided yet"
            loop.status = SimpleNamespace(decision=None)
            assert inputs.error() == "nothing is decided yet"
            loop.status = SimpleNamespace(decision=decision(site()))
            assert inputs.error() is None
            assert inputs.forecast(0.0) == ()
