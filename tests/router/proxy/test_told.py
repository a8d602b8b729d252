import pytest

from router.contract import ClassId, InstanceId, PoolId, Precision
from router.exchange import Choice
from router.proxy.told import told_fields


@pytest.mark.parametrize(("sequence", "shown"), [(7, b"7"), (0, b"0"), (-1, b"static")])
@pytest.mark.parametrize(("degraded", "word"), [(True, b"true"), (False, b"false")])
def test_told_fields(sequence: int, shown: bytes, degraded: bool, word: bytes) -> None:
    choice = Choice(
        instance_id=InstanceId("fp8-0"),
        pool_id=PoolId("pool-b"),
        precision=Precision.FP8,
        class_id=ClassId("standard"),
        host="h",
        port=1,
        sequence=sequence,
        degraded=degraded,
        serial=1,
        charged_tokens=0.0,
    )
    assert told_fields(choice, overhead_s=0.0012345) == (
        b"x-wattroute-pool: pool-b\r\nx-wattroute-precision: fp8\r\nx-wattroute-degraded: " + word + b"\r\n"
        b"x-wattroute-allocation: " + shown + b"\r\nx-wattroute-overhead-ms: 1.234\r\n"
    )
