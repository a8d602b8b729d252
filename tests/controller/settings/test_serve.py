import pytest
from pydantic import ValidationError

from controller.settings.serve import ServeSettings


def test_by_default_vllm_serves_and_can_sleep():
    assert ServeSettings(model="m").command == ("vllm", "serve")
    assert ServeSettings(model="m").sleep


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"arguments": ["--port=9001"]}, "--port is not written here: it comes from pools"),
        ({"arguments": ["--host", "0.0.0.0"]}, "--host is not written here"),
        ({"arguments": ["--enable-sleep-mode"]}, "write sleep: true"),
        ({"arguments": ["--api-key", "k"]}, "set engine_key_file or engine_key_env"),
        ({"env": {"CUDA_VISIBLE_DEVICES": "0"}}, "it comes from plan.pools.NAME.gpu_uuids"),
        ({"env": {"VLLM_API_KEY": "k"}}, "set engine_key_file or engine_key_env"),
        ({"env": {"A B": "k"}}, "should match pattern"),
        ({"command": []}, "at least 1 item"),
        ({"command": ["a\0b"]}, "should match pattern"),
        ({"initially_on": -1}, "greater than or equal to 0"),
    ],
)
def test_what_is_known_from_elsewhere_and_what_cannot_be_is_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        ServeSettings.model_validate(given)
