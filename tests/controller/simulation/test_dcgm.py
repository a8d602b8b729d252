from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from controller.simulation import dcgm
from controller.simulation.fleet_power import GpuReading

GPUS = (GpuReading("GPU-a", 354.123456, 12.3456, 0.876, 75_034), GpuReading("GPU-b", 73.0, 0.0, 0.0, 0))


def test_the_text_parses_as_a_dcgm_exporters() -> None:
    families = {family.name: family for family in text_string_to_metric_families(dcgm.render(GPUS))}
    values = {name: [sample.value for sample in family.samples] for name, family in families.items()}
    assert values == {
        "DCGM_FI_DEV_POWER_USAGE": [354.123, 73.0],
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": [12345.0, 0.0],
        "DCGM_FI_DEV_GPU_UTIL": [88.0, 0.0],
        "DCGM_FI_DEV_FB_USED": [75034.0, 0.0],
        "wattroute_emulator_info": [1.0],
    }
    assert families["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"].type == "counter"
    assert families["DCGM_FI_DEV_POWER_USAGE"].samples[1].labels == {
        "gpu": "1",
        "UUID": "GPU-b",
        "pci_bus_id": "00000000:01:00.0",
        "device": "nvidia1",
        "modelName": "NVIDIA H100 80GB HBM3 (emulated)",
        "Hostname": "wattroute-emulator",
    }


def test_no_gpu_at_all_is_no_error() -> None:
    families = list(text_string_to_metric_families(dcgm.render(())))
    assert [sample for family in families for sample in family.samples if family.name.startswith("DCGM")] == []
