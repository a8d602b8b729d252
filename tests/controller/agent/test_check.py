from controller.agent.check import is_well, look, told
from controller.clock import SystemClock
from controller.errors import NvmlError, NvmlFault
from controller.model.observation import Missing, Quality, Reading
from controller.signals.power.nvml_gpu import Method, Moment
from controller.signals.power.nvml_reader import GpuState, NvmlSnapshot
from tests.fakes.nvml import stub as nvml
from tests.fakes.nvml.stub import needs_a_compiler

READ = GpuState(
    "GPU-a", "H100", Method.ENERGY_COUNTER, Reading(412.46, 7.2e6, 0.0, "nvml energy counter", Quality.DIRECT)
)
LOST = GpuState("GPU-b", "H100", Method.ENERGY_COUNTER, Missing("nvml", "the GPU is lost", 0.0))
FAULT = NvmlError(NvmlFault.DRIVER, "the driver is not loaded")


def snapshot(*gpus, driver="580", faults=()):
    return NvmlSnapshot(Moment(0.0, 0.0), driver, gpus, faults)


def test_every_gpu_and_fault_is_told():
    assert told(snapshot(READ, LOST, faults=(FAULT,))).splitlines() == [
        "driver 580",
        "GPU-a  H100  412.5 W  2.000 kWh  by nvml energy counter",
        "GPU-b  H100  missing: the GPU is lost",
        "fault: the driver is not loaded",
    ]
    assert told(snapshot(driver=None)) == "NVML shows no GPU"


def test_all_is_well_only_if_every_gpu_is_read():
    assert is_well(snapshot(READ))
    assert not is_well(snapshot())
    assert not is_well(snapshot(READ, LOST))
    assert not is_well(snapshot(READ, faults=(FAULT,)))


class Quick(SystemClock):
    """Waits less than an operator would."""

    async def sleep(self, duration_s):
        await super().sleep(min(duration_s, 0.5))


@needs_a_compiler
async def test_looking_reads_and_lets_go_of_the_driver(tmp_path):
    with nvml.loaded(tmp_path) as stub:
        stub.add(uuid="GPU-a")
        seen = await look(Quick(), 0.1)
        assert [gpu.uuid for gpu in seen.gpus] == ["GPU-a"]
        assert is_well(seen)
        assert nvml.pynvml.nvmlLib.nvmlShutdown() == nvml.UNINITIALIZED
