import re
from pathlib import Path

import pytest
import yaml

from controller.lifecycle.policy import TickPolicy
from controller.settings.power.ladder import PowerLadderSettings
from controller.settings.signals import SignalSettings
from controller.signals.power.ladder import LadderRules
from tests.fakes.power_settings import refusal, signals


def test_without_anything_the_ladder_is_as_in_code():
    specs = signals("{}").power_specs()
    assert (specs.gpus, specs.meters, specs.rules) == ((), (), LadderRules())


def test_rules_of_the_ladder():
    rules = signals("{stale_s: 20, power_ladder: {hold_s: 5, conflict_frac: 0.2, site_conflict_frac: 0.3}}")
    rules = rules.power_specs().rules
    assert (rules.stale_s, rules.hold_s, rules.gpus.frac, rules.site.frac) == (20.0, 5.0, 0.2, 0.3)


def test_a_meter_need_not_be_compared():
    assert signals("{power_ladder: {site_conflict_frac: null}}").power_specs().rules.site is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{power: [{kind: nvml, name: a}, {kind: nvml, name: a}]}", "'a' names more than one"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, told):
    assert told in refusal(text)


def test_what_the_documentation_shows_is_valid():
    page = (Path(__file__).parents[4] / "docs" / "reference" / "power.md").read_text()
    blocks = [yaml.safe_load(block)["signals"] for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    assert len(blocks) == 4
    for block in blocks:
        assert SignalSettings.model_validate(block).power_specs()


def test_the_defaults_that_the_documentation_tells_are_those_of_the_code():
    page = (Path(__file__).parents[4] / "docs" / "reference" / "power.md").read_text()
    ladder = PowerLadderSettings()
    margins = (ladder.nvml_margin_frac, ladder.dcgm_margin_frac, ladder.model_margin_frac)
    assert "| {:g}, {:g}, {:.2f} | 0 .. 0.5 |".format(*margins) in page
    assert f"| `hold_s` | {ladder.hold_s:g} |" in page
    assert f"| {ladder.conflict_frac:.2f}, {ladder.site_conflict_frac:.2f} |" in page
    assert f"| `alarm_after_s` | {ladder.alarm_after_s:g} |" in page
    policy = TickPolicy()
    assert margins == (policy.nvml_margin_frac, policy.dcgm_margin_frac, policy.blind_margin_frac)
