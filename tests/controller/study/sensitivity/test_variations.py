from __future__ import annotations

from controller.study.fleet.site_settings import LimitEventSettings, ResponseEventSettings
from controller.study.sensitivity.settings import VarySettings
from controller.study.sensitivity.variations import AS_WRITTEN, variations
from tests.fakes.fleet_cases import rich_document, rich_settings


def test_one_thing_is_changed_at_a_time() -> None:
    document = rich_document()
    limit = {"name": "cap", "kind": "limit", "sites": ["b"], "start": "2022-07-12T13:00:00Z", "hours": 1}
    document["events"].append({**limit, "limit_kw": 20})
    base = rich_settings(**document)
    vary = VarySettings(
        reward_usd_per_mwh=(0.0,),
        carbon_usd_per_kg=(0.1,),
        quality_budget_scale=(0.5,),
        daily_frac=(0.9,),
        start_usd=(3.0,),
        error_at_day_frac=(0.3,),
    )
    written, reward, carbon, quality, daily, start, error = variations(base, vary)
    assert (written.what, written.value, written.settings) == (AS_WRITTEN, None, base)
    call, cap = reward.settings.events
    assert isinstance(call, ResponseEventSettings)
    assert isinstance(cap, LimitEventSettings)
    assert (call.reward_usd_per_mwh, cap.limit_kw) == (0.0, 20.0)
    assert carbon.settings.plan.carbon_usd_per_kg == 0.1
    assert [cls.quality_budget_frac for cls in quality.settings.classes] == [0.0, 0.003, 0.003]
    assert {cls.demand.daily_frac for cls in daily.settings.classes} == {0.9}
    assert {pool.start_usd for pool in start.settings.models[0].pools} == {3.0}
    assert error.settings.forecast.error_at_day_frac == 0.3
    assert reward.settings.model_copy(update={"events": base.events}) == base
