"""The real binding on emulated GPUs: stub.c, compiled here as libnvidia-ml.so.1."""

import json
import os
import subprocess
import sys

import pytest

from controller.errors import NvmlError, NvmlFault
from controller.signals.power.nvml_library import NvmlLibrary
from tests.fakes.nvml import stub as nvml
from tests.fakes.nvml.stub import needs_a_compiler

pytestmark = needs_a_compiler


@pytest.fixture
def stub(tmp_path):
    with nvml.loaded(tmp_path) as loaded:
        yield loaded


def opened():
    library = NvmlLibrary()
    library.open()
    return library


def test_figures_come_in_watts_and_joules(stub):
    stub.add(uuid="GPU-a", energy=5_000_250, instant=412_500, power=400_000)
    library = NvmlLibrary()
    assert library.open() == "580.95.05"
    (device,) = library.devices().found
    assert (device.uuid, device.name) == ("GPU-a", "NVIDIA H100 80GB HBM3 (stub)")
    assert device.max_limit_w == 700
    assert library.energy_j(device) == 5000.25
    assert library.instant_power_w(device) == 412.5
    assert library.power_w(device) == 400


def test_a_counter_beyond_32_bit_is_read_whole(stub):
    stub.add(energy=2**40)
    library = opened()
    (device,) = library.devices().found
    assert library.energy_j(device) == 2**40 / 1e3


def test_instant_power_of_another_value_type(stub):
    stub.add(instant=412_500, type=0)
    library = opened()
    (device,) = library.devices().found
    assert library.instant_power_w(device) == 412.5


def test_an_unknown_value_type_is_no_power(stub):
    stub.add(type=9)
    library = opened()
    with pytest.raises(NvmlError, match="value type 9") as caught:
        library.instant_power_w(library.devices().found[0])
    assert caught.value.fault is NvmlFault.UNSUPPORTED


def test_a_field_that_failed_within_a_call_that_did_not_is_a_failure(stub):
    stub.add(instant_ret=nvml.NO_PERMISSION)
    library = opened()
    with pytest.raises(NvmlError) as caught:
        library.instant_power_w(library.devices().found[0])
    assert caught.value.fault is NvmlFault.PERMISSION


def test_grace_hopper_is_read_as_a_module(stub):
    stub.add(c2c=1, instant=300_000, module=520_000)
    library = opened()
    (device,) = library.devices().found
    assert device.is_module
    assert device.max_limit_w is None  # the limit told is the GPU's, the figures are the module's
    assert library.instant_power_w(device) == 520


def test_mig_instances_are_their_gpu_once(stub):
    stub.add(uuid="GPU-a")
    stub.add(uuid="MIG-1", parent=0)
    stub.add(uuid="MIG-2", parent=0)
    stub.add(uuid="GPU-b")
    assert [device.uuid for device in opened().devices().found] == ["GPU-a", "GPU-b"]


def test_a_gpu_that_is_lost_does_not_hide_the_others(stub):
    stub.add(uuid="GPU-a", handle=nvml.LOST)
    stub.add(uuid="GPU-b")
    devices = opened().devices()
    assert [device.uuid for device in devices.found] == ["GPU-b"]
    (fault,) = devices.faults
    assert fault.fault is NvmlFault.LOST
    assert "GPU number 0" in fault.reason


def test_a_gpu_that_tells_no_limit_has_none(stub):
    stub.add(limit_ret=nvml.NO_PERMISSION)
    stub.add(limit=0)
    assert [device.max_limit_w for device in opened().devices().found] == [None, None]


@pytest.mark.parametrize(
    ("code", "fault", "words"),
    [
        (nvml.NOT_SUPPORTED, NvmlFault.UNSUPPORTED, "no such figure"),
        (nvml.NO_PERMISSION, NvmlFault.PERMISSION, "no permission"),
        (nvml.LOST, NvmlFault.LOST, "Xid 79"),
        (nvml.RESET_REQUIRED, NvmlFault.LOST, "reset"),
        (nvml.UNINITIALIZED, NvmlFault.DRIVER, "unloaded"),
        (nvml.MISMATCH, NvmlFault.MISMATCH, "start this process again"),
        (nvml.TIMEOUT, NvmlFault.OTHER, "Timeout"),
        (nvml.UNKNOWN, NvmlFault.OTHER, "Unknown Error"),
        (777, NvmlFault.OTHER, "error of the stub"),
    ],
)
def test_a_failed_call_names_itself_the_gpu_and_what_it_means(stub, code, fault, words):
    stub.add(uuid="GPU-a", energy_ret=code)
    library = opened()
    with pytest.raises(NvmlError, match=words) as caught:
        library.energy_j(library.devices().found[0])
    assert caught.value.fault is fault
    assert "nvmlDeviceGetTotalEnergyConsumption of GPU-a" in caught.value.reason


def test_a_driver_that_is_not_loaded(stub):
    stub.set(init=nvml.NOT_LOADED)
    with pytest.raises(NvmlError, match="not loaded") as caught:
        NvmlLibrary().open()
    assert caught.value.fault is NvmlFault.DRIVER


def test_it_can_be_opened_again_after_the_driver_was_gone(stub):
    stub.add(energy=1_000_000)
    library = opened()
    (device,) = library.devices().found
    stub.set(init=nvml.UNINITIALIZED)
    with pytest.raises(NvmlError):
        library.energy_j(device)
    library.close()
    stub.set(init=None)
    library.open()
    assert library.energy_j(library.devices().found[0]) == 1000


def test_a_library_that_was_not_opened_says_so():
    with pytest.raises(NvmlError, match="not opened"):
        NvmlLibrary().close()


def test_an_old_driver_lacks_calls(tmp_path):
    with nvml.loaded(tmp_path, old=True) as stub:
        stub.add(c2c=1)
        library = opened()
        (device,) = library.devices().found
        assert not device.is_module
        for call in (library.energy_j, library.instant_power_w):
            with pytest.raises(NvmlError, match="too old") as caught:
                call(device)
            assert caught.value.fault is NvmlFault.UNSUPPORTED
        assert library.power_w(device) == 410


def test_an_old_binding_lacks_calls(stub, monkeypatch):
    monkeypatch.delattr("pynvml.nvmlDeviceGetC2cModeInfoV")
    stub.add(c2c=1)
    assert not opened().devices().found[0].is_module


def test_without_the_binding_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(NvmlError, match=r"pip install 'wattroute\[nvml\]'") as caught:
        NvmlLibrary().open()
    assert caught.value.fault is NvmlFault.LIBRARY


PROBE = """
import json, sys
from controller.errors import NvmlError
from controller.signals.power.nvml_library import NvmlLibrary
library = NvmlLibrary()
assert "pynvml" not in sys.modules
try:
    library.open()
    print(json.dumps([[device.uuid, library.energy_j(device)] for device in library.devices().found]))
except NvmlError as error:
    print(json.dumps({"fault": error.fault.value, "reason": error.reason}))
"""


def probe(**environment):
    result = subprocess.run(
        [sys.executable, "-c", PROBE], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return json.loads(result.stdout)


def test_the_binding_finds_the_library_by_its_real_name_whatever_cuda_is_told_to_see(tmp_path):
    stub = nvml.NvmlStub(tmp_path)
    stub.add(uuid="GPU-a", energy=1_000)
    stub.add(uuid="GPU-b", energy=2_000)
    assert probe(**stub.environment, CUDA_VISIBLE_DEVICES="1") == [["GPU-a", 1.0], ["GPU-b", 2.0]]


def test_a_library_that_cannot_be_loaded_is_told_with_the_remedy(tmp_path):
    (tmp_path / nvml.NAME).write_text("no library")  # also where a driver is installed
    told = probe(LD_LIBRARY_PATH=str(tmp_path))
    assert told["fault"] == "library"
    assert "NVIDIA_DRIVER_CAPABILITIES=utility" in told["reason"]
