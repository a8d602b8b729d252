from __future__ import annotations

from pathlib import Path

import pytest

from controller.settings.file import load
from tests.fakes.controller_files import MINIMAL, PLAN, refusal, write

DISCOVERED = "pools: [{name: bf16, precision: bf16, discovery: {kind: kubernetes, service: vllm}}]\n"
WORKLOAD = ", workload: {kind: Deployment, name: vllm-bf16, most: 4%s}"


def test_a_workload_is_not_written_unless_that_is_said(tmp_path: Path) -> None:
    found = load(write(tmp_path, DISCOVERED + PLAN % (WORKLOAD % ""))).plan.pools["bf16"].workload
    assert found is not None
    assert (found.mode, found.namespace, found.most) == ("recommend", None, 4)


@pytest.mark.parametrize(
    ("pools", "plan", "says"),
    [
        (MINIMAL, WORKLOAD % "", "plan.pools.bf16.workload: the pool lists its instances; name pools[].discovery"),
        (DISCOVERED, ", min_on: 5" + WORKLOAD % "", "workload.most is 4, less than min_on, 5"),
        (DISCOVERED, WORKLOAD.replace("Deployment", "DaemonSet") % "", "plan.pools.bf16.workload.kind"),
        (DISCOVERED, WORKLOAD.replace("vllm-bf16", "Not_A_Name") % "", "plan.pools.bf16.workload.name"),
        (DISCOVERED, WORKLOAD.replace("most: 4", "most: 0") % "", "plan.pools.bf16.workload.most"),
        (DISCOVERED, WORKLOAD % ", mode: observe", "plan.pools.bf16.workload.mode"),
    ],
)
def test_what_cannot_be_scaled_is_refused(tmp_path: Path, pools: str, plan: str, says: str) -> None:
    assert says in refusal(tmp_path, pools + PLAN % plan)


TWO = """site: {gpus: 64}
pools:
  - {name: a, precision: bf16, discovery: {kind: kubernetes, service: a%s}}
  - {name: b, precision: fp8, discovery: {kind: kubernetes, service: b%s}}
plan:
  pools:
    a: &plan
      gpu: H100
      gpus_per_instance: 8
      curves: qwen3-235b-a22b/bf16/8xh100
      workload: {kind: Deployment, name: v, most: 4%s}
    b: {<<: *plan, workload: {kind: %s, name: v, most: 4}}
"""


@pytest.mark.parametrize(
    ("told", "namespaces"),
    [
        (("", "", ", namespace: x", "Deployment"), ("x", None)),
        ((", namespace: y", "", "", "Deployment"), ("y", None)),
        ((", namespace: y", ", namespace: z", ", namespace: x", "Deployment"), ("x", "z")),
        ((", namespace: y", ", namespace: y", "", "StatefulSet"), ("y", "y")),
    ],
)
def test_a_workload_is_where_its_pool_is_discovered_unless_that_is_said(
    tmp_path: Path, told: tuple[str, ...], namespaces: tuple[str | None, ...]
) -> None:
    settings = load(write(tmp_path, TWO % told))
    assert (settings.namespace_of("a"), settings.namespace_of("b")) == namespaces


def test_a_workload_of_two_pools_is_refused_with_both(tmp_path: Path) -> None:
    for told in (("", "", "", "Deployment"), ("", ", namespace: x", ", namespace: x", "Deployment")):
        said = refusal(tmp_path, TWO % told)
        assert "plan.pools.b.workload: Deployment v is that of plan.pools.a, too" in said


def test_sleepers_may_be_stopped_where_a_workload_can_start_them_again(tmp_path: Path) -> None:
    text = DISCOVERED + PLAN.replace("plan: {", "plan: {may_stop: true, ")
    assert "or a plan.pools.NAME.workload" in refusal(tmp_path, text % "")
    for mode in ("", ", mode: act"):
        assert load(write(tmp_path, text % (WORKLOAD % mode))).plan.may_stop
