"""Canaries pause when their energy is spent, and go on as it comes back."""

from __future__ import annotations

import pytest

from controller.quality.energy_budget import EnergyBudget, answer_j
from controller.simulation.profiles import PROFILES, load_profile


def test_a_spent_budget_pauses_and_fills_again() -> None:
    budget = EnergyBudget(3600.0, now_s=0.0)  # a joule a second, 900 J in hand
    budget.spend(460.0, 0.0)
    assert budget.is_spent(9.0)
    assert not budget.is_spent(11.0)
    assert budget.spent_j == 460.0


def test_the_reserve_is_for_what_is_urgent() -> None:
    budget = EnergyBudget(3600.0, now_s=0.0)
    budget.spend(899.0, 0.0)
    assert budget.is_spent(0.0)
    assert not budget.is_spent(0.0, urgent=True)
    budget.spend(2.0, 0.0)
    assert budget.is_spent(0.0, urgent=True)


def test_an_hour_never_spends_more_than_the_rate_what_was_in_hand_and_one_canary() -> None:
    budget, canary_j = EnergyBudget(3600.0, 0.0), 50.0
    for second in range(3600):
        if not budget.is_spent(float(second), urgent=True):
            budget.spend(canary_j, float(second))
    assert budget.spent_j <= 3600.0 + 900.0 + canary_j
    assert budget.spent_j > 3600.0 - canary_j


def test_a_canary_on_a_busy_engine_costs_its_share_of_a_step() -> None:
    curves = load_profile(next(iter(PROFILES)))
    alone = answer_j(curves, prompt_tokens=20, output_tokens=16, running=0)
    busy = answer_j(curves, prompt_tokens=20, output_tokens=16, running=31)
    prompt_j = 20 * curves.prefill_j_per_token
    assert alone == pytest.approx(prompt_j + 16 * (curves.step_base_j + curves.step_per_seq_j))
    assert busy == pytest.approx(prompt_j + 16 * (curves.step_base_j / 32 + curves.step_per_seq_j))
