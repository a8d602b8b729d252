from __future__ import annotations

from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.lifecycle.policy import Mode
from controller.settings.file import Settings, load
from router import config_file
from router.settings import CONTROLLER_SECTIONS, RouterFile
from tests.fakes.controller_files import MINIMAL, PLAN, refusal, write


def test_unknown_key_names_file_line_and_nearest_key(tmp_path: Path) -> None:
    message = refusal(tmp_path, MINIMAL + "controller:\n  tick_s: 5\n  table_ttl: 9\n")
    assert f"{tmp_path / 'wattroute.yaml'}:4:" in message
    assert "'controller.table_ttl'" in message
    assert "'table_ttl_s'" in message


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


def test_require_plan_names_the_pool_without_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'bf16'"):
        load(write(tmp_path, MINIMAL)).require_plan()


DISCOVERED = "pools: [{name: bf16, precision: bf16, discovery: {kind: kubernetes, service: vllm}}]\n"


def test_where_instances_are_discovered_the_gpus_have_to_be_counted_by_the_operator(tmp_path: Path) -> None:
    settings = load(write(tmp_path, DISCOVERED + PLAN % ""))
    with pytest.raises(ConfigError, match=r"site.gpus is absent: pools 'bf16' do not list"):
        settings.require_plan()
    load(write(tmp_path, DISCOVERED + PLAN % "" + "site: {gpus: 16}\n")).require_plan()


def test_gpus_of_instances_that_are_discovered_cannot_be_listed(tmp_path: Path) -> None:
    told = refusal(tmp_path, DISCOVERED + PLAN % ", gpu_uuids: [[a, b]]")
    assert "plan.pools.bf16.gpu_uuids: the pool does not list its instances" in told


def test_more_instances_that_are_discovered_cannot_be_kept_than_may_serve(tmp_path: Path) -> None:
    told = refusal(tmp_path, DISCOVERED + PLAN % ", min_on: 3, max_on: 2")
    assert "plan.pools.bf16.min_on is 3, more than max_on, 2; lower it or raise max_on" in told
    assert load(write(tmp_path, DISCOVERED + PLAN % ", min_on: 2, max_on: 2"))


def test_a_missing_file_says_where_examples_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; examples are in deploy/examples/"):
        load(tmp_path / "absent.yaml")


@pytest.mark.parametrize("name", ["laptop.yaml", "production.yaml"])
def test_in_the_examples_the_plan_leaves_unserved_first_whom_the_routers_let_wait_first(name: str) -> None:
    settings = load(Path(__file__).parents[3] / "deploy" / "examples" / name)
    by_priority = [cls.name for cls in sorted(settings.classes, key=lambda cls: cls.priority)]
    worth = {name: cls.serve_usd_per_mtoken for name, cls in settings.plan.classes.items()}
    assert by_priority == sorted(worth, key=lambda name: worth[name])
    assert len(set(worth.values())) == len(worth)


@pytest.mark.parametrize("name", ["laptop.yaml", "production.yaml"])
def test_the_examples_are_valid(name: str) -> None:
    path = Path(__file__).parents[3] / "deploy" / "examples" / name
    load(path).require_plan()


def test_instances_may_only_be_stopped_where_something_can_start_them_again(tmp_path: Path) -> None:
    assert "plan.may_stop needs controller.supervisor_url" in refusal(tmp_path, MINIMAL + "plan: {may_stop: true}\n")
    supervised = MINIMAL + "plan: {may_stop: true}\ncontroller: {supervisor_url: 'http://127.0.0.1:9400'}\n"
    assert load(write(tmp_path, supervised)).plan.may_stop


def test_settings_cannot_be_changed_after_validation() -> None:
    settings = config_file.parse(MINIMAL, Settings, "inline")
    with pytest.raises(ValueError, match="frozen"):
        settings.controller.mode = Mode.ACT  # type: ignore[misc]


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


def test_a_key_that_another_kind_has_is_not_proposed_for_itself(tmp_path: Path) -> None:
    message = refusal(tmp_path, MINIMAL + "signals: {power: [{kind: agent, url: 'http://127.0.0.1:9410'}]}\n")
    assert "did you mean 'urls'?" in message


def test_the_token_of_a_supervisor_is_not_sent_where_others_could_read_it(tmp_path: Path) -> None:
    section = "controller: {supervisor_url: 'http://gpu-1:9420', supervisor_token_file: token}\n"
    assert "controller.supervisor_token_file would go there unencrypted" in refusal(tmp_path, MINIMAL + section)
    assert load(write(tmp_path, MINIMAL + section.replace("http://gpu-1", "https://gpu-1")))


SERVED = (
    "plan: {pools: {bf16: {gpu: H100, gpus_per_instance: 1, curves: x, gpu_uuids: [[GPU-a]], serve: {model: m%s}}}}\n"
)


def test_engines_are_started_on_gpus_that_are_named(tmp_path: Path) -> None:
    assert load(write(tmp_path, MINIMAL + SERVED % "")).plan.pools["bf16"].serve is not None
    told = refusal(tmp_path, MINIMAL + SERVED.replace("gpu_uuids: [[GPU-a]], ", "") % "")
    assert "plan.pools.bf16.serve needs plan.pools.bf16.gpu_uuids" in told
    told = refusal(tmp_path, MINIMAL + SERVED % ", initially_on: 2")
    assert "initially_on is 2, but the pool has 1 instances" in told


def test_engines_that_are_discovered_are_started_by_somebody_else(tmp_path: Path) -> None:
    found = (
        "pools: [{name: bf16, precision: bf16, discovery: {kind: dns, name: gpu.local, port: 8000, scheme: http}}]\n"
    )
    plan = "plan: {pools: {bf16: {gpu: H100, gpus_per_instance: 1, curves: x, serve: {model: m}}}}\n"
    assert "plan.pools.bf16.serve: the pool does not list its instances" in refusal(tmp_path, found + plan)


def test_engines_may_have_names_of_their_own(tmp_path: Path) -> None:
    named = "pools: [{name: bf16, precision: bf16, instances: [{name: left, url: 'http://127.0.0.1:9001'}]}]\n"
    assert load(write(tmp_path, named + SERVED % "")).plan.pools["bf16"].serve is not None
