"""Sampling for canaries is off unless it is asked for."""

from __future__ import annotations

from router.settings import RouterSettings
from router.settings.canary import SampleSettings


def test_nothing_is_kept_by_default() -> None:
    assert RouterSettings().canary_samples is None


def test_an_empty_section_turns_it_on_within_its_bounds() -> None:
    settings = RouterSettings.model_validate({"canary_samples": {}})
    assert settings.canary_samples == SampleSettings(frac=0.005, max_body_bytes=16_384, keep=16)
