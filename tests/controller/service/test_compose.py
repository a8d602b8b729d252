from __future__ import annotations

from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.model.grid import Precedence
from controller.service.compose import (
    build_emulated,
    build_followed,
    build_gpu_limits,
    build_policy,
    build_site,
    build_workloads,
)
from controller.settings.file import Settings, load
from router import config_file
from router.contract import PoolId, Precision

EXAMPLES = Path(__file__).parents[3] / "deploy" / "examples"
WRITTEN = ", workload: {kind: %s, name: v, most: 4, mode: act}"
FOLLOWED = ", workload: {kind: %s, name: v, most: 4}"
AWAKE = ", can_sleep: false"
POOL = "pools: [{name: bf16, precision: bf16, instances: ['http://127.0.0.1:9001']}]\n"


def test_the_example_becomes_the_fleet_it_describes() -> None:
    site = build_site(load(EXAMPLES / "laptop.yaml"))
    bf16 = site.pool(PoolId("bf16"))
    assert [instance.instance_id for instance in bf16.instances] == ["bf16-0", "bf16-1"]
    assert len(bf16.instances[1].gpu_uuids) == 8
    assert site.gpus == 2 * 8 + 2 * 4 + 2
    assert {cls.class_id: cls.precisions for cls in site.classes}["premium"] == ("bf16",)


def test_instances_have_the_names_that_they_were_given(tmp_path: Path) -> None:
    listed = "{name: rack-7, url: 'http://127.0.0.1:9002'}"
    path = tmp_path / "wattroute.yaml"
    path.write_text(
        POOL.replace("'http://127.0.0.1:9001'", f"'http://127.0.0.1:9001', {listed}")
        + "plan: {pools: {bf16: {gpu: H100, gpus_per_instance: 8, curves: qwen3-235b-a22b/bf16/8xh100}}}\n"
    )
    instances = build_site(load(path)).pool(PoolId("bf16")).instances
    assert [(each.instance_id, each.url) for each in instances] == [
        ("bf16-0", "http://127.0.0.1:9001"),
        ("rack-7", "http://127.0.0.1:9002"),
    ]


@pytest.mark.parametrize(
    ("workload", "plan", "bounds"),
    [
        ("", "", (0, True, False, False, False)),
        (AWAKE, "", (0, True, False, False, True)),
        (FOLLOWED, "", (4, True, False, False, False)),
        (FOLLOWED + AWAKE, "", (4, True, False, True, True)),
        (FOLLOWED, "may_stop: true, ", (4, True, True, True, False)),
        (FOLLOWED + AWAKE, "may_stop: true, ", (4, True, False, True, True)),
        (WRITTEN, "", (4, True, False, False, False)),
        (WRITTEN + AWAKE, "", (4, False, True, False, False)),
        (WRITTEN, "may_stop: true, ", (4, True, True, False, False)),
    ],
)
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_pods_are_stopped_or_let_go_where_that_may_be_and_somebody_starts_them_again(
    tmp_path: Path, kind: str, workload: str, plan: str, bounds: tuple[int, bool, bool, bool, bool]
) -> None:
    path = tmp_path / "wattroute.yaml"
    of_pool = f"{{gpu: H100, gpus_per_instance: 8, curves: qwen3-235b-a22b/bf16/8xh100{workload.replace('%s', kind)}}}"
    path.write_text(
        "pools: [{name: bf16, precision: bf16, discovery: {kind: kubernetes, service: vllm}}]\nsite: {gpus: 32}\n"
        f"plan: {{{plan}pools: {{bf16: {of_pool}}}}}\n"
    )
    settings = load(path)
    site = build_site(settings)
    pool = site.pool(PoolId("bf16"))
    assert (pool.places, pool.can_sleep, pool.may_stop, pool.lets_go, pool.rests_awake) == bounds
    assert pool.in_order is ("workload" in workload and kind == "StatefulSet")
    assert list(build_workloads(settings)) == (["bf16"] if workload.startswith(WRITTEN) else [])
    assert list(build_followed(settings, site)) == (["bf16"] if pool.lets_go else [])
    curves = pool.curves
    assert ((curves.sleeping_w, curves.wake_s) == (curves.idle_w, 0.0)) is pool.rests_awake


@pytest.mark.parametrize("mode", ["act", "recommend"])
def test_a_workload_that_names_no_namespace_is_looked_for_where_its_pool_is_discovered(
    tmp_path: Path, mode: str
) -> None:
    path = tmp_path / "wattroute.yaml"
    path.write_text(
        "pools: [{name: bf16, precision: bf16, discovery: {kind: kubernetes, service: vllm, namespace: gpus}}]\n"
        "site: {gpus: 32}\nplan: {pools: {bf16: {gpu: H100, gpus_per_instance: 8, can_sleep: false, "
        "curves: qwen3-235b-a22b/bf16/8xh100, "
        f"workload: {{kind: Deployment, name: v, most: 4, mode: {mode}}}}}}}}}\n"
    )
    settings = load(path)
    (found,) = {**build_workloads(settings), **build_followed(settings, build_site(settings))}.values()
    assert found.workload.namespace == "gpus"


@pytest.mark.parametrize("may_stop", [False, True])
def test_engines_that_cannot_sleep_rest_awake_unless_a_supervisor_stops_them(tmp_path: Path, may_stop: bool) -> None:
    path = tmp_path / "wattroute.yaml"
    of_pool = "{gpu: H100, gpus_per_instance: 8, curves: qwen3-235b-a22b/bf16/8xh100, can_sleep: false}"
    path.write_text(
        "pools: [{name: bf16, precision: bf16, instances: [http://127.0.0.1:1]}]\nsite: {gpus: 8}\n"
        "controller: {supervisor_url: http://127.0.0.1:2}\n"
        f"plan: {{may_stop: {str(may_stop).lower()}, pools: {{bf16: {of_pool}}}}}\n"
    )
    pool = build_site(load(path)).pool(PoolId("bf16"))
    assert (pool.can_sleep, pool.rests_awake) == (not may_stop, not may_stop)


def test_the_policy_is_what_the_file_says() -> None:
    policy = build_policy(load(EXAMPLES / "production.yaml"))
    assert (policy.mode, policy.step_s, policy.steps, policy.margin_frac) == ("observe", 300.0, 12, 0.03)
    assert (policy.carbon_usd_per_kg, policy.table_ttl_s, policy.may_stop) == (0.05, 60.0, False)
    assert policy.issuer == "dallas-1-controller"
    assert (policy.forecast.demand, policy.forecast.demand_quantile) == ("best", 0.8)


def test_the_optional_promises_reach_the_fleet_and_the_policy() -> None:
    text = POOL.replace("'http://127.0.0.1:9001'", "'http://127.0.0.1:9001', 'http://127.0.0.1:9002'") + (
        "plan:\n"
        "  pools: {bf16: {gpu: H100, gpus_per_instance: 8, curves: qwen3-235b-a22b/bf16/8xh100}}\n"
        "  classes: {standard: {survives_loss: true, quality_may_overdraw: true, serve_usd_per_mtoken: 20,\n"
        "    quality_loss_frac: {int4: 0.05}}}\n"
        "  ramp_up_w_per_s: 40\n"
        "  ramp_down_w_per_s: 90\n"
        "  precedence: qos_over_contract\n"
    )
    settings = config_file.parse(text, Settings, "inline")
    cls, policy = build_site(settings).classes[0], build_policy(settings)
    assert (cls.survives_loss, cls.quality_may_overdraw, cls.serve_usd_per_mtoken) == (True, True, 20.0)
    assert cls.quality_loss_frac == ((Precision.INT4, 0.05),)
    assert (policy.ramp_up_w_per_s, policy.ramp_down_w_per_s) == (40.0, 90.0)
    assert policy.precedence is Precedence.QOS


def test_more_instances_on_than_there_are_is_refused() -> None:
    text = POOL + (
        "plan: {pools: {bf16: {gpu: H100, gpus_per_instance: 8, curves: qwen3-235b-a22b/bf16/8xh100}}}\n"
        "emulator: {initially_on: {bf16: 2}}\n"
    )
    settings = config_file.parse(text, Settings, "inline")
    with pytest.raises(ConfigError, match=r"emulator\.initially_on\.bf16 is 2, but the pool has 1 instances"):
        build_emulated(settings, build_site(settings))


@pytest.mark.parametrize("url", ["https://127.0.0.1:9001", "unix:/run/engine.sock"])
def test_engines_are_emulated_at_plain_ports_only(url: str) -> None:
    text = POOL.replace("http://127.0.0.1:9001", url) + (
        "plan: {pools: {bf16: {gpu: H100, gpus_per_instance: 8, curves: qwen3-235b-a22b/bf16/8xh100}}}\n"
    )
    settings = config_file.parse(text, Settings, "inline")
    with pytest.raises(ConfigError, match=f"{url}: engines are emulated at http:// only"):
        build_emulated(settings, build_site(settings))


def test_every_gpu_belongs_to_one_instance() -> None:
    for name in ("laptop.yaml", "production.yaml"):
        uuids = [u for p in build_site(load(EXAMPLES / name)).pools for i in p.instances for u in i.gpu_uuids]
        assert len(uuids) == len(set(uuids))


def test_estimated_curves_say_so() -> None:
    site = build_site(load(EXAMPLES / "laptop.yaml"))
    assert site.pool(PoolId("int4")).curves.provenance.evidence == "estimated"
    assert site.pool(PoolId("bf16")).curves.provenance.evidence == "measured"


def test_an_unknown_profile_is_refused_by_name() -> None:
    text = POOL + "plan: {pools: {bf16: {gpu: H100, gpus_per_instance: 8, curves: qwen9/bf16}}}\n"
    with pytest.raises(ConfigError, match="qwen9/bf16"):
        build_site(config_file.parse(text, Settings, "inline"))


@pytest.mark.parametrize("gpus", [0, 4])
def test_more_gpus_occupied_than_installed_is_refused(gpus: int) -> None:
    text = POOL + (
        f"site: {{gpus: {gpus}}}\n"
        "plan: {pools: {bf16: {gpu: H100, gpus_per_instance: 8, curves: qwen3-235b-a22b/bf16/8xh100}}}\n"
    )
    with pytest.raises(ConfigError, match=rf"site\.gpus is {gpus}, but the instances occupy 8"):
        build_site(config_file.parse(text, Settings, "inline"))


def test_explicit_curves_are_taken_as_given() -> None:
    text = POOL + (
        "plan: {pools: {bf16: {gpu: L4, gpus_per_instance: 1, curves: {step_base_s: 0.01, step_per_seq_s: 0.001, "
        "step_base_j: 0.5, step_per_seq_j: 0.1, prefill_s_per_token: 0.0001, prefill_j_per_token: 0.01, "
        "kv_capacity_tokens: 40000, max_num_seqs: 64, idle_w: 20, sleeping_w: 15, wake_s: 2, sleep_s: 1, start_s: 60, "
        "evidence: measured, source: own profile}}}}\n"
    )
    curves = build_site(config_file.parse(text, Settings, "inline")).pools[0].curves
    assert curves.p0_w == pytest.approx(50.0)
    assert curves.provenance.source == "own profile"


def held(mode: str, more: str = "", pool: str = "instances: ['http://127.0.0.1:9001']") -> Settings:
    of_pool = f"{{mode: {mode}, gpu: H100, gpus_per_instance: 1, curves: qwen3-235b-a22b/bf16/8xh100{more}}}"
    text = f"pools: [{{name: bf16, precision: bf16, {pool}}}]\nsite: {{gpus: 4}}\n"
    daemons = "controller: {zeusd: [{url: 'unix:/run/zeusd.sock', gpu_uuids: [GPU-1]}]}\n"
    return config_file.parse(text + daemons + f"plan: {{pools: {{bf16: {of_pool}}}}}\n", Settings, "inline")


@pytest.mark.parametrize(("mode", "acts"), [("observe", False), ("recommend", False), ("act", True)])
def test_what_is_not_acted_upon_gets_no_limit_on_its_gpus_and_nobody_marks_its_pods(mode: str, acts: bool) -> None:
    limited = held(mode, ", gpu_uuids: [[GPU-1]], clocks: {power_limit_w: 500, when: fixed}")
    site = build_site(limited)
    assert site.pools[0].mode == mode
    assert [each.pool_id for each in build_gpu_limits(limited, site)] == ["bf16"] * acts
    followed = held(mode, (FOLLOWED + AWAKE).replace("%s", "Deployment"), "discovery: {kind: kubernetes, service: v}")
    site = build_site(followed)
    assert site.pools[0].lets_go
    assert list(build_followed(followed, site)) == ["bf16"] * acts
