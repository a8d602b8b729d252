"""How the engines of a pool are started on this machine: `plan.pools.NAME.serve`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from router.settings import Group, Host

_OWNED_ARGUMENTS = ("--host", "--port", "--uds", "--enable-sleep-mode", "--api-key")
_OWNED_VARIABLES = ("CUDA_VISIBLE_DEVICES", "VLLM_SERVER_DEV_MODE", "VLLM_API_KEY")
_REMEDY = {
    "--enable-sleep-mode": "write sleep: true",
    "--api-key": "set engine_key_file or engine_key_env of the pool, so that no list of processes shows the key",
    "CUDA_VISIBLE_DEVICES": "it comes from plan.pools.NAME.gpu_uuids",
    "VLLM_SERVER_DEV_MODE": "write sleep: true",
    "VLLM_API_KEY": "set engine_key_file or engine_key_env of the pool",
}


def _check_arguments(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        name = value.partition("=")[0]
        if name in _OWNED_ARGUMENTS:
            raise ValueError(f"{name} is not written here: {_REMEDY.get(name, 'it comes from pools[].instances')}")
    return values


def _check_environment(values: dict[str, str]) -> dict[str, str]:
    for name in values:
        if name in _OWNED_VARIABLES:
            raise ValueError(f"{name} is not written here: {_REMEDY[name]}")
    return values


Word = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
Arguments = Annotated[tuple[Word, ...], Field(max_length=256), AfterValidator(_check_arguments)]
Environment = Annotated[
    dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)], str],
    AfterValidator(_check_environment),
]


class ServeSettings(Group):
    """How `wattroute supervise` starts each instance of a pool. No shell reads it: words are passed as they stand."""

    command: Annotated[tuple[Word, ...], Field(min_length=1, max_length=64)] = ("vllm", "serve")
    """The program and its first words, looked up in PATH. It has to be the engine itself, or to `exec` it: signals
    are sent to it."""
    model: Word | None = None
    """What to load, a name or a folder; the word after the command. Absent: the command or the arguments name it."""
    arguments: Arguments = ()
    """Further words. Address, GPUs, sleep and key are added: they are known from elsewhere in this file."""
    env: Environment = Field(default_factory=dict)
    """Set over the environment of the supervisor."""
    host: Host | None = None
    """Address on which the engines listen. Absent: the host of their address in pools[].instances."""
    sleep: bool = True
    """Whether they can be put to sleep: adds --enable-sleep-mode and VLLM_SERVER_DEV_MODE=1."""
    initially_on: Annotated[int, Field(ge=0)] | None = None
    """How many run the first time; afterwards each is as it was last told to be. Absent: all."""
