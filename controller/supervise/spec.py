"""How each engine of this machine is started: its command, environment and GPUs; pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from controller.model.fleet import Site
from controller.settings.file import Settings
from controller.settings.serve import ServeSettings
from router.contract import InstanceId, PoolId
from router.transport.addresses import EngineAddress, parse_engine

_PARALLEL = frozenset(
    ("--tensor-parallel-size", "-tp", "--pipeline-parallel-size", "-pp", "--data-parallel-size", "-dp")
)
_OWN_PREFIX = "WATTROUTE_"
_NOT_INHERITED = frozenset(
    (
        "REDIS_USERNAME",
        "REDIS_PASSWORD",
        "REDIS_SENTINEL_PASSWORD",
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
    )
)
"""What the supervisor's own environment may hold for it alone."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One engine.

    Attributes:
        url: where it is to listen, as routers reach it.
        host: on which address it listens.
        argv: its command; empty for one that the configuration does not name any more.
        environment: set over what it inherits; may hold the key that it asks clients for.
        is_initially_on: whether it is to run where nobody has said yet.
    """

    instance_id: InstanceId
    pool_id: PoolId
    url: str
    host: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    gpu_uuids: tuple[str, ...]
    is_initially_on: bool = True

    @property
    def is_configured(self) -> bool:
        """Whether it can be started."""
        return bool(self.argv)

    @property
    def fingerprint(self) -> str:
        """Changes with the command and the environment, and shows neither."""
        text = json.dumps([self.argv, sorted(self.environment.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def engine_specs(settings: Settings, site: Site, keys: Mapping[PoolId, str]) -> tuple[EngineSpec, ...]:
    """Every instance of the pools that say how they are started.

    Args:
        settings: the file.
        site: names the instances and their GPUs.
        keys: that a pool's engines ask clients for.
    """
    specs = []
    for pool in site.pools:
        plan = settings.plan.pools[pool.pool_id]
        serve = plan.serve
        if serve is None:
            continue
        on = len(pool.instances) if serve.initially_on is None else serve.initially_on
        for place, instance in enumerate(pool.instances):
            address = parse_engine(instance.url)
            environment = _environment(serve, instance.gpu_uuids, keys.get(pool.pool_id))
            specs.append(
                EngineSpec(
                    instance_id=instance.instance_id,
                    pool_id=pool.pool_id,
                    url=instance.url,
                    host=serve.host or address.host,
                    argv=_argv(serve, address, pool.gpus_per_instance, settings.model),
                    environment=environment,
                    gpu_uuids=instance.gpu_uuids,
                    is_initially_on=place < on,
                )
            )
    return tuple(specs)


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the supervisor's environment engines get: not its own secrets, nor what systemd tells it alone."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(_OWN_PREFIX) and name not in _NOT_INHERITED
    }


def _argv(serve: ServeSettings, address: EngineAddress, gpus: int, served_name: str | None) -> tuple[str, ...]:
    named = {argument.partition("=")[0] for argument in serve.arguments}
    words = [*serve.command, *([] if serve.model is None else [serve.model])]
    if address.is_unix:
        words += ["--uds", address.host]
    else:
        words += ["--host", serve.host or address.host, "--port", str(address.address[1])]
    if served_name is not None and "--served-model-name" not in named:
        words += ["--served-model-name", served_name]
    if gpus > 1 and not named & _PARALLEL:
        words += ["--tensor-parallel-size", str(gpus)]
    if serve.sleep:
        words.append("--enable-sleep-mode")
    return (*words, *serve.arguments)


def _environment(serve: ServeSettings, gpu_uuids: tuple[str, ...], key: str | None) -> dict[str, str]:
    environment = dict(serve.env)
    # By index, CUDA would count in its own order, which is not nvidia-smi's.
    environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpu_uuids)
    if serve.sleep:
        environment["VLLM_SERVER_DEV_MODE"] = "1"
    if key is not None:
        environment["VLLM_API_KEY"] = key  # as an argument every user of the machine could read it
    return environment
