"""What it costs to read GPUs that are EMULATED, behind the real binding: ``python -m tests.bench.agent``, a minute.

A stand-in for libnvidia-ml.so.1 answers at once, so the time that a driver takes is not in it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import about
from tests.fakes.nvml.cost import measured
from tests.fakes.nvml.stub import COMPILER, NvmlStub

ROOT = Path(__file__).parents[2]
CASES = ((1, 5), (8, 5), (8, 10), (16, 10))
"""GPUs, and polls of them a second."""


def cost_frac(gpus: int, polls_per_s: float, seconds: float) -> float:
    """Share of a core.

    Raises:
        RuntimeError: not all of them were read.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        stub = NvmlStub(Path(folder))
        for _ in range(gpus):
            stub.add(draw=400_000)
        found = measured(1.0 / polls_per_s, seconds, **stub.environment)
    if found["faults"] or len(found["gpus"]) != gpus:
        raise RuntimeError(f"of {gpus} GPUs {len(found['gpus'])} were read: {found['faults']}")
    share: float = found["cpu_frac"]
    return share


def main(cases: Sequence[tuple[int, float]] = CASES, seconds: float = 10.0) -> int:
    """Print a table."""
    if COMPILER is None:
        sys.stderr.write("bench: the stand-in is compiled with cc, which is absent: apt-get install gcc libc6-dev\n")
        return 2
    sys.stdout.write(
        f"{about.line(ROOT)}; GPUs EMULATED\n\n| GPUs | polls a second | share of one core |\n|---|---|---|\n"
    )
    for gpus, polls_per_s in cases:
        share = cost_frac(gpus, polls_per_s, seconds)
        sys.stdout.write(f"| {gpus} | {polls_per_s:g} | {100 * share:.2f} % |\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
