"""What is profiled: the engine with its kernel, its GPUs, and the design of the measurements within its limits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from controller.clock import Clock
from controller.errors import ConfigError
from controller.profile import kernel
from controller.profile.design import Design, Limits
from controller.profile.facts import EngineFacts
from controller.profile.kernel import Kernel
from controller.profile.options import ProfileOptions
from controller.profile.power import GpuMeter
from controller.profile.target import Address, Target

MAX_LOG_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Subject:
    """What is profiled.

    Attributes:
        design: within the engine's limits.
        uuids: of the instance's GPUs.
        gpu_name, driver: of the GPUs; None where neither engine nor source of power tells.
    """

    engine: EngineFacts
    kernel: Kernel
    design: Design
    uuids: tuple[str, ...]
    gpu_name: str | None
    driver: str | None

    @property
    def limits(self) -> Limits:
        """What the engine can hold."""
        return self.engine.limits


async def find_subject(options: ProfileOptions, target: Target, meter: GpuMeter, clock: Clock) -> Subject:
    """Ask the engine and the source of power, and take an operator's word for the rest.

    Raises:
        ConfigError: the log that is to name the kernel does not, or an option contradicts what was found.
        ProfileError: the instance cannot be profiled as it stands.
    """
    engine = await target.facts(options.model)
    log = None
    if options.engine_log is not None:
        log = kernel.from_log(_log(options))
        if log is None:
            raise ConfigError(
                f"--engine-log {options.engine_log}: no line tells a kernel; give the log from the engine's start on, "
                "or name the kernel with --kernel"
            )
    chosen = kernel.choose(log=log, method=engine.quantization, is_told=engine.is_told, given=options.kernel)
    # A length that the operator names is measured as named.
    limits = engine.limits if options.long_input is None else replace(engine.limits, max_num_batched_tokens=None)
    fitted = options.design().fitted_to(limits)
    await meter.find(clock.wall_s(), engine.gpus)
    name, driver = engine.gpu_name or meter.name, engine.driver or meter.driver
    return Subject(engine, chosen, fitted, meter.uuids, name, driver)


def _log(options: ProfileOptions) -> str:
    try:
        with open(options.engine_log or "", "rb") as log:  # noqa: PTH123 - bounded read
            return log.read(MAX_LOG_BYTES).decode(errors="replace")
    except OSError as error:
        raise ConfigError(f"--engine-log {options.engine_log}: cannot be read: {error.strerror}") from error


def run_of(options: ProfileOptions, subject: Subject, address: Address) -> dict[str, Any]:
    """What a run must share with the one before to go on from its cells."""
    engine = subject.engine
    return {
        "url": address.base,
        "model": engine.model,
        "version": engine.version,
        "kernel": subject.kernel.name,
        "precision": engine.precision,
        "kv_cache_dtype": engine.kv_cache_dtype,
        "enforce_eager": engine.enforce_eager,
        "power": options.power,
        "gpu_uuids": subject.uuids,
        "design": asdict(subject.design),
        "window_s": options.pace().window_s,
    }
