from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from controller.errors import ConfigError
from controller.study.registry import STUDIES
from controller.study.scenario_file import SHIPPED_DIR, load
from controller.study.settings import parse
from controller.study.site.settings import SiteStudySettings
from tests.fakes.site_cases import event, site_document, site_settings


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("hours",), 0, r"hours: .*greater than 0"),
        (("hours",), 0.501, r"hours: 1803.6 s is no multiple of 10 s"),
        (("tick_s",), 15, r"tick_s: 15 s is no multiple of 10 s"),
        (("tick_s",), 5, r"tick_s: 5 s is no multiple of 10 s"),
        (("start",), "2022-07-12T12:00:00", "this time has no zone; end it with Z"),
        (("site", "gpus"), 35, "the pools hold 36 GPUs, more than the 35 installed"),
        (("site", "pools", 0, "min_on"), 4, "min_on 4 is more than the pool's 3 instances"),
        (("site", "pools", 0, "asleep"), 4, "asleep 4 is more than the pool's 3 instances"),
        (("engine",), "request", r"engine: .*'fluid' or 'requests'"),
        (("plan", "ramp_up_w_per_s"), 0, r"ramp_up_w_per_s: .*greater than 0"),
        (("site", "pools", 0, "precision"), "fp8", "there is no bf16 pool; the fixed fleet"),
        (("site", "pools", 1, "name"), "bf16", "'bf16' appears more than once"),
        (("site", "pools", 1, "profile"), "qwen/x", "no built-in curves are called 'qwen/x'"),
        (("classes", 0, "precisions"), ["int4"], "'standard' may be served by no pool"),
        (("classes", 0, "demand", "mean_tokens_per_s"), -1, r"mean_tokens_per_s: .*\(got -1\)"),
        (("price",), {}, "write one of zone, series and flat_usd_per_mwh"),
        (("plan", "gap"), 0.1, "unknown key 'plan.gap'; did you mean 'gap_frac'"),
        (("events",), [event(), event()], "'e' appears more than once"),
        (("events",), [event(minutes=16)], "events: 'e' lasts from 2022-07-12T12:15Z to 2022-07-12T12:31Z, not within"),
        (("events",), [event(start="2022-07-12T06:59:00-05:00")], "not within 2022-07-12T12:00Z to 2022-07-12T12:30Z"),
    ],
)
def test_wrong_values_are_told_by_place_and_value(path: tuple[str | int, ...], value: object, told: str) -> None:
    document = site_document(plan={})
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ConfigError, match=told):
        parse(yaml.safe_dump(document), SiteStudySettings, "x")


def test_a_wrong_value_is_told_with_its_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = yaml.safe_dump(site_document(events=[event(minutes=-5)]), sort_keys=False)
    file.write_text(text)
    line = next(n for n, each in enumerate(text.splitlines(), start=1) if "minutes: -5" in each)
    with pytest.raises(ConfigError, match=rf"mine\.yaml:{line}: events\.0\.minutes: .*\(got -5\)"):
        load(str(file), STUDIES)


def test_events_may_overlap() -> None:
    assert len(site_settings(events=[event(), event(name="f", start="2022-07-12T12:20:00Z")]).events) == 2


def test_shipped_scenarios_are_valid() -> None:
    settings = parse((SHIPPED_DIR / "curtailment.yaml").read_text(), SiteStudySettings, "curtailment")
    first, second = settings.events
    assert first.start < second.start < second.end < first.end
