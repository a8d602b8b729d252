"""What reading GPUs costs a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

PROGRAM = """
import json, sys, time
KEYS = ("value_w", "energy_j")
from controller.clock import SystemClock
from controller.signals.power.nvml_source import NvmlSource
source = NvmlSource(SystemClock(), interval_s=float(sys.argv[1]))
source.start()
time.sleep(3.0)
cpu_s, wall_s = time.process_time(), time.monotonic()
time.sleep(float(sys.argv[2]))
used = (time.process_time() - cpu_s) / (time.monotonic() - wall_s)
snapshot = source.latest()
source.close()
gpus = [[g.uuid, g.name, g.method.value, *[getattr(g.reading, k, None) for k in KEYS]] for g in snapshot.gpus]
print(json.dumps({"cpu_frac": used, "gpus": gpus, "faults": [str(fault) for fault in snapshot.faults]}))
"""


def measured(interval_s: float, seconds: float, **environment: str) -> dict[str, Any]:
    """What a process read, and the share of a core that it took: its own time, whatever else the machine does."""
    words = [sys.executable, "-c", PROGRAM, str(interval_s), str(seconds)]
    result = subprocess.run(words, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(result.stdout)
    return found
