from __future__ import annotations

from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.settings import Mode, Settings, load
from router import config_file
from router.settings import CONTROLLER_SECTIONS, RouterFile

MINIMAL = "pools: [{name: bf16, precision: bf16, instances: ['http://127.0.0.1:9001']}]\n"
PLAN = "plan: {pools: {bf16: {gpu: H100, gpus_per_instance: 2, curves: x%s}}}\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "wattroute.yaml"
    path.write_text(text)
    return path


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text))
    return str(caught.value)


def test_a_new_install_only_observes(tmp_path: Path) -> None:
    assert load(write(tmp_path, MINIMAL)).controller.mode is Mode.OBSERVE


def test_unknown_key_names_file_line_and_nearest_key(tmp_path: Path) -> None:
    message = refusal(tmp_path, MINIMAL + "controller:\n  tick_s: 5\n  table_ttl: 9\n")
    assert f"{tmp_path / 'wattroute.yaml'}:4:" in message
    assert "'controller.table_ttl'" in message
    assert "'table_ttl_s'" in message


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("on_exit: sleep", "'wake' or 'leave'"),
        ("exit_wait_s: 0", "greater than 0"),
        ("keep_records: 10", "greater than or equal to 10000"),
    ],
)
def test_what_cannot_be_meant_for_the_end_or_the_records_is_refused(tmp_path: Path, line: str, told: str) -> None:
    message = refusal(tmp_path, f"{MINIMAL}controller:\n  {line}\n")
    assert f"controller.{line.partition(':')[0]}" in message
    assert told in message


def test_unknown_section_names_the_nearest_one(tmp_path: Path) -> None:
    message = refusal(tmp_path, MINIMAL + "signal: {}\n")
    assert ":2:" in message
    assert "did you mean 'signals'?" in message


@pytest.mark.parametrize(
    "section",
    [
        "plan: {pools: {fp8: {gpu: H100, gpus_per_instance: 1, curves: x}}}",
        "plan: {classes: {gold: {}}}",
        "emulator: {initially_on: {fp8: 1}}",
    ],
)
def test_a_plan_for_something_unknown_is_refused_with_what_is_known(tmp_path: Path, section: str) -> None:
    message = refusal(tmp_path, MINIMAL + section + "\n")
    assert "is not among" in message


def test_gpu_uuids_must_fit_the_instances(tmp_path: Path) -> None:
    message = refusal(tmp_path, MINIMAL + PLAN % ", gpu_uuids: [[a]]")
    assert "2 UUIDs are expected for each of the 1 instances" in message


GPUS = "plan: {pools: {bf16: {gpu: H100, gpus_per_instance: 2, curves: x, gpu_uuids: [[%s]]}}}\n"


def test_a_gpu_named_twice_would_be_counted_twice(tmp_path: Path) -> None:
    assert "'GPU-a' appears more than once" in refusal(tmp_path, MINIMAL + GPUS % "GPU-a, GPU-a")


def test_a_zeusd_none_of_whose_gpus_is_known_is_refused(tmp_path: Path) -> None:
    zeusd = "signals: {power: [{kind: zeusd, url: 'http://n:4938', gpu_uuids: [%s]}]}\n"
    told = refusal(tmp_path, MINIMAL + GPUS % "GPU-a, GPU-b" + zeusd % "gpu-a")
    assert "none of the gpu_uuids of http://n:4938 is in plan.pools.*.gpu_uuids" in told
    assert load(write(tmp_path, MINIMAL + GPUS % "GPU-a, GPU-b" + zeusd % "GPU-b, GPU-spare"))


def test_times_without_a_zone_are_refused(tmp_path: Path) -> None:
    feed = "{kind: csv, path: a, time_column: b, value_column: c, data_start: 2022-07-13T18:00:00}"
    message = refusal(tmp_path, MINIMAL + f"signals: {{price_usd_per_mwh: {feed}}}\n")
    assert "no time zone" in message


@pytest.mark.parametrize("value", ["-1", ".inf", ".nan", "abc", "{}"])
def test_a_limit_that_is_no_power_is_refused(tmp_path: Path, value: str) -> None:
    assert "site.import_limit_w" in refusal(tmp_path, MINIMAL + f"site: {{import_limit_w: {value}}}\n")


def test_require_plan_names_the_pool_without_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'bf16'"):
        load(write(tmp_path, MINIMAL)).require_plan()


def test_a_missing_file_says_where_examples_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; examples are in deploy/examples/"):
        load(tmp_path / "absent.yaml")


@pytest.mark.parametrize("name", ["laptop.yaml", "production.yaml"])
def test_the_examples_are_valid(name: str) -> None:
    path = Path(__file__).parents[2] / "deploy" / "examples" / name
    load(path).require_plan()


def test_instances_may_only_be_stopped_where_something_can_start_them_again(tmp_path: Path) -> None:
    assert "plan.may_stop needs controller.supervisor_url" in refusal(tmp_path, MINIMAL + "plan: {may_stop: true}\n")
    supervised = MINIMAL + "plan: {may_stop: true}\ncontroller: {supervisor_url: 'http://127.0.0.1:9400'}\n"
    assert load(write(tmp_path, supervised)).plan.may_stop


def test_settings_cannot_be_changed_after_validation() -> None:
    settings = config_file.parse(MINIMAL, Settings, "inline")
    with pytest.raises(ValueError, match="frozen"):
        settings.controller.mode = Mode.ACT  # type: ignore[misc]


@pytest.mark.parametrize(
    ("forecast", "says"),
    [
        ("{timezone: Mars/Olympus}", "tzdata"),
        ("{timezone: ../../etc/passwd}", "no time zone"),
        ("{demand_quantile: 1.0}", "forecast.demand_quantile"),
        ("{demand_quantile: .nan}", "forecast.demand_quantile"),
        ("{demand: mean}", "'best' or 'present'"),
        ("{switch_margin_frac: -0.1}", "forecast.switch_margin_frac"),
        ("{quantile: 0.9}", "forecast.quantile"),
    ],
)
def test_a_forecast_that_cannot_be_made_is_refused(tmp_path: Path, forecast: str, says: str) -> None:
    assert says in refusal(tmp_path, MINIMAL + f"forecast: {forecast}\n")


@pytest.mark.parametrize(
    ("columns", "says"),
    [("{a: 300, b: 300}", "are not different times ahead"), ("{a: -300}", "greater than 0"), ("{a: .nan}", "a")],
)
def test_forecast_columns_need_their_own_times_ahead(tmp_path: Path, columns: str, says: str) -> None:
    feed = (
        "{kind: csv, path: a, time_column: b, value_column: c, data_start: 2022-07-13T18:00:00Z, forecast_columns: %s}"
    )
    message = refusal(tmp_path, MINIMAL + f"signals: {{carbon_kg_per_mwh: {feed % columns}}}\n")
    assert says in message
    assert "forecast_columns" in message


@pytest.mark.parametrize(
    ("pool", "says"),
    [
        (", min_on: 2", "plan.pools.bf16.min_on is 2, but at most 1 of its 1 instances"),
        (", min_on: 1, max_on: 0", "plan.pools.bf16.min_on is 1, but at most 0"),
        (", min_on: -1", "plan.pools.bf16.min_on"),
        (", quality_loss_frac: 1.5", "plan.pools.bf16.quality_loss_frac"),
        (", min_up_s: .nan", "plan.pools.bf16.min_up_s"),
    ],
)
def test_bounds_of_a_pool_that_cannot_be_kept_are_refused(tmp_path: Path, pool: str, says: str) -> None:
    assert says in refusal(tmp_path, MINIMAL + PLAN % pool)


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ("classes: {standard: {survives_loss: true}}", "have one instance; add instances"),
        ("classes: {standard: {serve_usd_per_mtoken: 0}}", "plan.classes.standard.serve_usd_per_mtoken"),
        ("classes: {standard: {quality_window_s: .inf}}", "plan.classes.standard.quality_window_s"),
        ("classes: {standard: {ttft_slo_s: -1}}", "plan.classes.standard.ttft_slo_s"),
        ("ramp_down_w_per_s: 0", "plan.ramp_down_w_per_s"),
        ("ramp_down_w_per_s: .nan", "plan.ramp_down_w_per_s"),
        ("precedence: classes", "'contract_over_qos' or 'qos_over_contract'"),
    ],
)
def test_promises_that_cannot_be_planned_are_refused(tmp_path: Path, plan: str, says: str) -> None:
    assert says in refusal(tmp_path, MINIMAL + f"plan: {{{plan}}}\n")


def test_a_precision_nobody_knows_is_refused_with_those_there_are(tmp_path: Path) -> None:
    message = refusal(tmp_path, MINIMAL.replace("precision: bf16", "precision: fp3"))
    assert "pools.0.precision" in message or "pools[0].precision" in message
    assert "'bf16'" in message
    assert "'fp8'" in message


def test_a_class_that_no_pool_may_serve_is_refused_with_the_remedy(tmp_path: Path) -> None:
    message = refusal(tmp_path, MINIMAL + "classes: [{name: gold, precisions: [int4]}]\n")
    assert "class 'gold' allows ['int4'], no pool offers one of them; add a pool or widen the class" in message


def test_a_router_passes_over_every_section_of_the_controller() -> None:
    assert set(CONTROLLER_SECTIONS) == set(Settings.model_fields) - set(RouterFile.model_fields)
