from controller.model.gpu_limit import GpuLimit, When
from router.contract import PoolId


def test_a_limit_is_told_with_its_unit():
    assert GpuLimit(PoolId("a"), (), When.FIXED, power_limit_w=450.0).told == "450 W"
    assert GpuLimit(PoolId("a"), (), When.FIXED, max_clock_mhz=1200).told == "1200 MHz"
