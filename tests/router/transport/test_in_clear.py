"""What goes unencrypted to other machines: the environment's secrets never, the rest is told."""

from __future__ import annotations

from typing import Any

import pytest

from router.errors import SettingsError
from router.transport.in_clear import refuse_in_clear, told_in_clear
from tests.fakes.settings_files import load, pool

SECRETS = {"REDIS_PASSWORD": "hunter2", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=hunter2"}


def traced(endpoint: str) -> dict[str, Any]:
    return {"router": {"tracing": {"endpoint": endpoint}}}


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"])
def test_a_key_of_the_collector_is_not_sent_to_another_machine_over_http(name: str) -> None:
    settings = load(**traced("http://collector.example:4318"))
    with pytest.raises(
        SettingsError, match=rf"collector\.example.*tracing\.endpoint: {name} .*write https://"
    ) as caught:
        refuse_in_clear(settings, {name: "x-key=hunter2"})
    assert "hunter2" not in str(caught.value)
    refuse_in_clear(settings, {name: ""})


def test_a_password_is_not_sent_to_another_machine_without_tls() -> None:
    settings = load(table={"redis_url": "redis://redis.example:6379/0"})
    with pytest.raises(SettingsError, match=r"table\.redis_url: redis\.example: REDIS_PASSWORD .*write rediss://"):
        refuse_in_clear(settings, SECRETS)
    refuse_in_clear(settings, {})


@pytest.mark.parametrize(
    "over",
    [
        {},
        traced("https://collector.example"),
        traced("http://127.0.0.1:4318"),
        {"table": {"redis_url": "rediss://redis.example"}},
        {"table": {"redis_url": "redis://localhost:6379/0"}},
        {"table": {"redis_url": "unix:///run/redis.sock"}},
    ],
)
def test_tls_and_this_machine_are_fit_for_secrets(over: dict[str, Any]) -> None:
    refuse_in_clear(load(**over), SECRETS)


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({}, ()),
        ({"table": {"url": "http://controller.example:8090/v1/allocation"}}, ("table.url",)),
        ({"table": {"url": "http://127.0.0.1:8090/v1/allocation"}}, ()),
        ({"table": {"redis_url": "redis://redis.example"}}, ("table.redis_url",)),
        ({"table": {"redis_url": "rediss://redis.example"}}, ()),
        ({"pools": [pool(instances=["http://10.0.0.7:8000"])]}, ()),
        (
            {"pools": [pool(instances=["unix:/run/0.sock", "http://10.0.0.7:8000"], engine_key_env="KEY")]},
            ("pools.bf16.instances",),
        ),
        ({"pools": [pool(instances=["unix:/run/0.sock", "https://10.0.0.7:8000"], engine_key_env="KEY")]}, ()),
    ],
)
def test_tables_and_engines_keys_that_others_could_read_are_told(over: dict[str, Any], told: tuple[str, ...]) -> None:
    assert told_in_clear(load(**over)) == told


@pytest.mark.parametrize(("scheme", "told"), [("http", ("pools.bf16.discovery",)), ("https", ())])
def test_a_key_for_engines_that_are_found_is_told_where_they_speak_no_tls(scheme: str, told: tuple[str, ...]) -> None:
    discovery = {"kind": "dns", "name": "vllm", "port": 8000, "scheme": scheme}
    entry = {"name": "bf16", "precision": "bf16", "discovery": discovery, "engine_key_env": "KEY"}
    assert told_in_clear(load(pools=[entry])) == told
