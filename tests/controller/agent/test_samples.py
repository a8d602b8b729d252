from controller.agent.samples import FRESH_S, Node, sample_of, unready
from controller.errors import NvmlError, NvmlFault
from controller.model.observation import Missing, Quality, Reading
from controller.signals.power.nvml_gpu import Method, Moment
from controller.signals.power.nvml_reader import GpuState, NvmlSnapshot

T = 1_763_750_000.0
NODE = Node("gpu-node-1", "b1", 0.2)
LOST = Missing("nvml", "GPU-b: the GPU is lost", T - 100)


def reading(age_s):
    return Reading(400.0, 1.0, T - age_s, "nvml energy counter", Quality.DIRECT)


def sample(*readings, faults=(), driver="580"):
    gpus = tuple(GpuState(f"GPU-{n}", "H100", Method.ENERGY_COUNTER, each) for n, each in enumerate(readings))
    snapshot = NvmlSnapshot(Moment(T, 0.0), driver, gpus, tuple(NvmlError(NvmlFault.OTHER, text) for text in faults))
    return sample_of(snapshot, NODE, sequence=7, sent_at_s=T)


def test_a_sample_tells_what_the_snapshot_holds():
    told = sample(reading(0.1), LOST, faults=("GPU number 1: lost", "another"))
    assert (told.node, told.boot, told.sequence, told.sent_at_s, told.interval_s) == ("gpu-node-1", "b1", 7, T, 0.2)
    assert [gpu.reading for gpu in told.gpus] == [reading(0.1), LOST]
    assert told.error == "GPU number 1: lost; another"
    assert sample(reading(0.1)).error is None


def test_an_agent_is_ready_while_any_gpu_is_freshly_read():
    assert unready(sample(LOST, reading(FRESH_S - 0.1), faults=("GPU number 0: lost",))) is None


def test_an_agent_that_has_nothing_to_tell_says_why():
    assert unready(None) == "NVML was not read yet"
    assert unready(sample(LOST)) == LOST.reason
    assert unready(sample(faults=("the driver is not loaded",))) == "the driver is not loaded"
    assert unready(sample(driver=None)) == "NVML shows no GPU"
    assert unready(sample(reading(60))) == "the freshest reading is 60 s old"
