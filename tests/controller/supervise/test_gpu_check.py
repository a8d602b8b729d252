import pytest

from controller.errors import ActuationError
from controller.supervise.gpu_check import GpuCheck
from tests.fakes.nvml import stub as nvml
from tests.fakes.nvml.stub import needs_a_compiler


@pytest.fixture
def stub(tmp_path):
    with nvml.loaded(tmp_path) as loaded:
        yield loaded


@needs_a_compiler
async def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(stub):
    stub.add(uuid="GPU-a")
    stub.add(uuid="GPU-b")
    check = GpuCheck()
    await check.refuse_absent("x-0", ("GPU-a", "GPU-b"))
    with pytest.raises(ActuationError, match="GPU GPU-c is not in this machine, which has GPU-a, GPU-b; correct"):
        await check.refuse_absent("x-0", ("GPU-a", "GPU-c"))


@needs_a_compiler
async def test_a_part_of_a_gpu_is_not_looked_for(stub):
    stub.add(uuid="GPU-a")
    await GpuCheck().refuse_absent("x-0", ("MIG-1234",))


@needs_a_compiler
async def test_while_a_gpu_does_not_tell_its_name_none_is_called_absent(stub):
    stub.add(uuid="GPU-a", ret=nvml.LOST)
    await GpuCheck().refuse_absent("x-0", ("GPU-c",))


@needs_a_compiler
async def test_without_a_driver_nothing_is_checked_and_that_is_told_once(stub, caplog):
    caplog.set_level("INFO")
    stub.set(init=nvml.NOT_LOADED)
    check = GpuCheck()
    for _ in range(2):
        await check.refuse_absent("x-0", ("GPU-c",))
    assert [record.message for record in caplog.records].count("GPUs are not checked") == 1
