from pathlib import Path

import pytest

from controller.settings.file import load
from tests.fakes.controller_files import MINIMAL, refusal, write

PLAN = "plan: {{pools: {{bf16: {{gpu: H100, gpus_per_instance: 1, curves: x{gpus}, clocks: {clocks}}}}}}}\n"
ZEUSD = "controller: {zeusd: [{url: 'unix:/run/zeusd/zeusd.sock', gpu_uuids: [%s]}]}\n"


def text(clocks: str = "{power_limit_w: 450, when: fixed}", gpus: str = ", gpu_uuids: [[GPU-a]]", served="GPU-a"):
    return MINIMAL + PLAN.format(clocks=clocks, gpus=gpus) + ZEUSD % served


@pytest.mark.parametrize("clocks", ["{power_limit_w: 450, when: fixed}", "{max_clock_mhz: 1200, when: over_limit}"])
def test_a_limit_of_gpus_that_a_zeusd_has_is_taken(tmp_path: Path, clocks: str) -> None:
    assert load(write(tmp_path, text(clocks))).plan.pools["bf16"].clocks is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clocks": "{when: fixed}"}, "write power_limit_w or max_clock_mhz, one of them"),
        ({"clocks": "{power_limit_w: 450, max_clock_mhz: 900, when: fixed}"}, "one of them"),
        ({"clocks": "{power_limit_w: 450}"}, "plan.pools.bf16.clocks.when"),
        ({"clocks": "{power_limit_w: -1, when: fixed}"}, "plan.pools.bf16.clocks.power_limit_w"),
        ({"clocks": "{power_limit_w: .nan, when: fixed}"}, "plan.pools.bf16.clocks.power_limit_w"),
        ({"gpus": ""}, "plan.pools.bf16.clocks needs plan.pools.bf16.gpu_uuids"),
        ({"served": "GPU-b"}, "no controller.zeusd has the GPU GPU-a; add the zeusd of its machine"),
        ({"served": "GPU-a, GPU-a"}, "controller.zeusd: 'GPU-a' appears more than once"),
    ],
)
def test_a_limit_that_could_not_be_set_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    assert message in refusal(tmp_path, text(**changes))


def test_a_token_is_not_sent_where_others_could_read_it(tmp_path: Path) -> None:
    given = text().replace("unix:/run/zeusd/zeusd.sock'", "http://gpu-1:4938', token_file: t")
    assert "token_file would go there unencrypted" in refusal(tmp_path, given)
