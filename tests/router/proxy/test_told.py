import pytest

from router.contract import ClassId, InstanceId, PoolId, Precision
from router.exchange import Choice, InstanceSpec
from router.proxy.told import MAX_KEPT, Told


def choice(*, sequence: int = 7, degraded: bool = False, name: str = "fp8-0") -> Choice:
    spec = InstanceSpec(InstanceId(name), PoolId("pool-b"), Precision.FP8, ("h", 1), "http://h:1", 8)
    return Choice(spec, ClassId("standard"), sequence, degraded, 1, 0.0)


@pytest.mark.parametrize(("sequence", "shown"), [(7, b"7"), (0, b"0"), (-1, b"static")])
@pytest.mark.parametrize(("degraded", "word"), [(True, b"true"), (False, b"false")])
def test_told_fields(sequence: int, shown: bytes, degraded: bool, word: bytes) -> None:
    assert Told().fields(choice(sequence=sequence, degraded=degraded), overhead_s=0.0012345) == (
        b"x-wattroute-pool: pool-b\r\nx-wattroute-precision: fp8\r\nx-wattroute-degraded: " + word + b"\r\n"
        b"x-wattroute-allocation: " + shown + b"\r\nx-wattroute-overhead-ms: 1.234\r\n"
    )


def test_another_table_or_instance_is_told_at_once() -> None:
    told = Told()
    assert b"allocation: 1\r\n" in told.fields(choice(sequence=1), overhead_s=0.0)
    assert b"allocation: 2\r\n" in told.fields(choice(sequence=2), overhead_s=0.0)
    assert b"degraded: true\r\n" in told.fields(choice(sequence=2, degraded=True), overhead_s=0.0)


def test_what_is_kept_is_bounded() -> None:
    told = Told()
    for sequence in range(2 * MAX_KEPT):
        told.fields(choice(sequence=sequence), overhead_s=0.0)
    assert len(vars(told)["_kept"]) <= MAX_KEPT
