from dataclasses import replace

import pytest

from controller.lifecycle.control_error import LEAST_S, ControlError
from controller.lifecycle.drawn import Drawn, find_drawn, margin_of
from controller.lifecycle.knowledge import find_out
from controller.lifecycle.memory import Memory
from controller.lifecycle.policy import Mode, TickPolicy
from controller.lifecycle.power_loop import Measured
from controller.model.observation import Missing, Rung
from tests.fakes.fake_fleet import FakeFleet, site

ACT = TickPolicy(mode=Mode.ACT)
NOW_S = 10_000.0
METERED = Drawn(Measured(9000.0, 1.0), 8800.0, 9500.0, 0.0, 0.0)
KEPT = ControlError(9000.0, NOW_S - 2 * LEAST_S, ((NOW_S - LEAST_S, 0.0), (NOW_S, 0.0)))


def drawn(observation):
    memory = Memory.initial(site(), 0.0)
    told = find_out(site(), ACT, memory, observation)
    return find_drawn(site(), ACT, memory, observation, told.views, told.tokens)


def test_what_is_drawn_is_measured_and_modelled_apart():
    running = FakeFleet(site(), {"premium": 2.0, "standard": 5.0, "flex": 1.0})
    running.advance(10.0)
    seen = drawn(running.observe())
    assert seen.measured.value_w == pytest.approx(running.power_w)
    assert 0.0 < seen.modelled_w <= seen.charged_w
    blind = drawn(replace(running.observe(), site_power=Missing("meter", "unplugged", 0.0), gpu_power=()))
    assert blind.measured.value_w is None
    assert (blind.modelled_w, blind.charged_w) == (seen.modelled_w, seen.charged_w)


@pytest.mark.parametrize(
    ("rung", "usual_frac"),
    [
        (Rung.METER, ACT.margin_frac),
        (Rung.NVML, ACT.nvml_margin_frac),
        (Rung.DCGM, ACT.dcgm_margin_frac),
        (Rung.MODEL, ACT.blind_margin_frac),
    ],
)
def test_what_is_kept_free_follows_from_where_the_power_is_known(rung, usual_frac):
    seen = replace(METERED, measured=Measured(9000.0, 1.0, None, rung, rung))
    assert margin_of(ACT, ControlError(), seen, 0.0, 9000.0, NOW_S) == pytest.approx(usual_frac)


def test_limits_that_were_kept_well_spare_a_part_with_a_meter_alone():
    assert margin_of(ACT, KEPT, METERED, 0.0, 9000.0, NOW_S) == pytest.approx(ACT.meter_error_frac)
    by_boards = replace(METERED, measured=Measured(9000.0, 1.0, None, Rung.NVML, Rung.NVML))
    assert margin_of(ACT, KEPT, by_boards, 0.0, 9000.0, NOW_S) == pytest.approx(ACT.nvml_margin_frac)


@pytest.mark.parametrize(
    ("doubted_w", "limit_w", "kept_frac"),
    [
        (100.0, 10_000.0, ACT.margin_frac),
        (500.0, 10_000.0, 0.05),
        (5000.0, 10_000.0, ACT.blind_margin_frac),
        (475.0, None, 0.05),
    ],
)
def test_doubt_of_the_curves_is_kept_free_up_to_what_is_without_a_meter(doubted_w, limit_w, kept_frac):
    assert margin_of(ACT, ControlError(), METERED, doubted_w, limit_w, NOW_S) == pytest.approx(kept_frac)


@pytest.mark.parametrize(
    ("error_frac", "usual_frac", "spared_to_frac"), [(0.05, 0.05, 0.05), (0.02, 0.03, 0.02), (None, 0.03, 0.01)]
)
def test_what_a_meter_may_be_off_is_kept_free_however_well_limits_are_kept(error_frac, usual_frac, spared_to_frac):
    policy = TickPolicy(margin_frac=0.03, meter_error_frac=0.01)
    seen = replace(METERED, measured=Measured(9000.0, 1.0, error_frac=error_frac))
    assert margin_of(policy, ControlError(), seen, 0.0, 9000.0, NOW_S) == pytest.approx(usual_frac)
    assert margin_of(policy, KEPT, seen, 0.0, 9000.0, NOW_S) == pytest.approx(spared_to_frac)
