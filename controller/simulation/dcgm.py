"""GPU metrics as NVIDIA's dcgm-exporter serves them. Pure."""

from __future__ import annotations

from collections.abc import Callable

from controller.simulation.fleet_power import GpuReading

MODEL_NAME = "NVIDIA H100 80GB HBM3 (emulated)"
HOSTNAME = "wattroute-emulator"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FIELDS: tuple[tuple[str, str, str, Callable[[GpuReading], str]], ...] = (
    ("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W).", lambda gpu: f"{gpu.power_w:.3f}"),
    (
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "counter",
        "Total energy consumption since boot (in mJ).",
        lambda gpu: str(int(gpu.energy_j * 1000)),
    ),
    ("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %).", lambda gpu: str(round(gpu.util_frac * 100))),
    ("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB).", lambda gpu: str(gpu.memory_used_mib)),
)


def render(gpus: tuple[GpuReading, ...]) -> str:
    """Text exposition; the n-th GPU is the n-th of the host."""
    lines: list[str] = []
    for name, kind, text, value in _FIELDS:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{{{_labels(n, gpu.uuid)}}} {value(gpu)}" for n, gpu in enumerate(gpus)]
    lines += [
        "# HELP wattroute_emulator_info Present where the GPUs are emulated.",
        "# TYPE wattroute_emulator_info gauge",
    ]
    return "\n".join((*lines, "wattroute_emulator_info 1", ""))


def _labels(n: int, uuid: str) -> str:
    bus = f"00000000:{n % 256:02X}:00.0"
    return (
        f'gpu="{n}",UUID="{uuid}",pci_bus_id="{bus}",device="nvidia{n}",modelName="{MODEL_NAME}",Hostname="{HOSTNAME}"'
    )
