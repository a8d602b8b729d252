"""Keys of engines: where they come from, what is sent, and that nothing shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.contract import PoolId
from router.errors import SettingsError
from router.settings import PoolSettings
from router.tenants.engine_keys import NO_KEYS, read_engine_keys

SECRET = "token-for-engines-0123456789"
BF16, FP8 = PoolId("bf16"), PoolId("fp8")


def pool(name: PoolId, **key: object) -> PoolSettings:
    return PoolSettings.model_validate({"name": name, "precision": name, "instances": ["http://127.0.0.1:9000"], **key})


def test_from_a_file_and_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{SECRET}\n")
    pools = [pool(BF16, engine_key_file=str(tmp_path / "key")), pool(FP8, engine_key_env="FP8_KEY")]
    keys = read_engine_keys(pools, {"FP8_KEY": "other"})
    assert keys.line(BF16) == f"authorization: Bearer {SECRET}\r\n".encode()
    assert keys.headers(FP8) == {"authorization": "Bearer other"}
    assert keys


def test_a_pool_without_a_key_sends_none() -> None:
    keys = read_engine_keys([pool(BF16), pool(FP8, engine_key_env="K")], {"K": "k"})
    assert (keys.line(BF16), keys.headers(BF16)) == (b"", {})
    assert not read_engine_keys([pool(BF16)], {"K": "k"})
    assert not NO_KEYS


def test_what_it_holds_is_not_shown() -> None:
    keys = read_engine_keys([pool(FP8, engine_key_env="K")], {"K": SECRET})
    assert repr(keys) == "EngineKeys(pools=['fp8'])"


@pytest.mark.parametrize(
    "text", ["", "  \n", f"{SECRET}\n{SECRET}", f"{SECRET} x", f"{SECRET}\r\nx-evil: 1", "schlüssel"]
)
def test_what_is_no_key_is_refused_and_not_shown(text: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(text.encode())
    for found, environment in (
        (pool(BF16, engine_key_file=str(tmp_path / "key")), {}),
        (pool(BF16, engine_key_env="K"), {"K": text}),
    ):
        with pytest.raises(SettingsError, match=r"pools: 'bf16': engine_key_.*holds no key") as caught:
            read_engine_keys([found], environment)
        assert SECRET not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_engine_keys([pool(BF16, engine_key_file=str(tmp_path / "absent"))], {})
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not text"):
        read_engine_keys([pool(BF16, engine_key_file=str(tmp_path / "binary"))], {})


def test_a_variable_that_is_not_set() -> None:
    with pytest.raises(SettingsError, match="engine_key_env ABSENT: is not set"):
        read_engine_keys([pool(BF16, engine_key_env="ABSENT")], {})


def test_file_and_variable_together_are_refused() -> None:
    with pytest.raises(ValueError, match="remove one of them"):
        pool(BF16, engine_key_env="K", engine_key_file="f")
