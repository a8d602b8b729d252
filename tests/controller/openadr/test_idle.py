import dataclasses

import pytest

from controller.openadr.idle import idle_w
from tests.fakes.controller_parts import pool, site


def test_all_asleep_is_idle_and_one_awake_is_not():
    made = dataclasses.replace(site(pool("bf16", ("http://e:1", "http://e:2"))), pue=1.5, aux_w=100.0)
    curves = made.pools[0].curves
    spare_w = (made.gpus - 2 * made.pools[0].gpus_per_instance) * made.spare_gpu_w
    asleep_w = 1.5 * (2 * curves.sleeping_w + spare_w) + 100.0
    one_awake_w = asleep_w + 1.5 * (curves.idle_w - curves.sleeping_w)
    assert asleep_w <= idle_w(made) < one_awake_w
    assert idle_w(made) == pytest.approx((asleep_w + one_awake_w) / 2)


def test_a_site_without_pools_is_idle_at_what_it_always_draws():
    assert idle_w(dataclasses.replace(site(), pools=(), gpus=0, aux_w=50.0)) == 50.0
