from __future__ import annotations

import aiohttp
import pytest

from controller.errors import ConfigError, ProfileError
from controller.model.observation import InstanceState
from controller.profile.facts import EngineFacts
from controller.profile.target import Address, Target
from tests.fakes.emulated import MODEL, emulated, instance


async def facts(port: int, model: str | None = None, key: str | None = None) -> EngineFacts:
    async with aiohttp.ClientSession() as session:
        return await Target(session, Address.of(f"http://127.0.0.1:{port}/v1", key)).facts(model)


async def test_an_emulated_engine_says_what_it_is() -> None:
    async with emulated() as emulator:
        found = await facts(emulator.ports["bf16-0"])
    assert found.model == MODEL
    assert (found.is_emulated, found.is_told, found.gpus) == (True, True, 2)
    assert (found.quantization, found.precision) == (None, "bf16")
    assert (found.limits.max_num_seqs, found.limits.kv_capacity_tokens) == (256, 100_000)
    assert found.version == "0.32.0"
    assert "emulated" in (found.gpu_name or "")


async def test_a_key_is_asked_for_and_given() -> None:
    async with emulated(instance(api_key="sk-1")) as emulator:
        port = emulator.ports["bf16-0"]
        with pytest.raises(ConfigError, match=r"asks for a key.*--api-key-file"):
            await facts(port)
        with pytest.raises(ConfigError, match=r"refuses the key given.*--api-key-file") as refused:
            await facts(port, key="sk-2")
        assert "sk-2" not in str(refused.value)
        assert (await facts(port, key="sk-1")).model == MODEL
    assert "sk-1" not in repr(Address.of("http://x", "sk-1"))


async def test_a_model_that_is_not_served_is_told() -> None:
    async with emulated() as emulator:
        with pytest.raises(ConfigError, match=f"--model 'other' is not served.*{MODEL}"):
            await facts(emulator.ports["bf16-0"], model="other")


async def test_the_control_port_is_no_engine() -> None:
    async with emulated() as emulator:
        with pytest.raises(ProfileError, match="status 404; is this the address of an OpenAI server"):
            await facts(emulator.control_port)


async def test_an_address_where_nothing_listens_is_told() -> None:
    async with emulated(instance(state=InstanceState.OFF)) as emulator:
        port = emulator.control_port
    with pytest.raises(ProfileError, match=r"cannot connect.*is the engine up"):
        await facts(port)


@pytest.mark.parametrize("url", ["engine:8000", "ftp://engine", "http://", "http://engine:99999", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="no address of an engine"):
        Address.of(url, None)


def test_credentials_in_an_address_are_refused_without_showing_them() -> None:
    with pytest.raises(ConfigError, match="--api-key-file") as told:
        Address.of("http://me:secret@engine", None)
    assert "secret" not in str(told.value)


async def test_sleep_and_wake() -> None:
    async with emulated() as emulator, aiohttp.ClientSession() as session:
        target = Target(session, Address.of(f"http://127.0.0.1:{emulator.ports['bf16-0']}", None))
        assert await target.is_sleeping() is False
        await target.require_awake()
        await target.change("/sleep?level=1")
        assert emulator.engine("bf16-0").state is InstanceState.SLEEPING
        with pytest.raises(ProfileError, match=r"sleeps; wake it, .*/wake_up"):
            await target.require_awake()
        await target.change("/wake_up")
        assert emulator.engine("bf16-0").state is InstanceState.SERVING
        with pytest.raises(ProfileError, match=r"/sleep\?level=9: status 400"):
            await target.change("/sleep?level=9")
