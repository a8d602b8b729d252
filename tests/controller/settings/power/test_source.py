import pytest

from tests.fakes.power_settings import refusal


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{power: [{kind: dcgm, urls: ['10.0.0.7:9400']}]}", "write http://HOST:PORT"),
        ("{power: [{kind: agent, urls: ['http://me:s3cret@n1']}]}", "write user and token_file"),
        ("{power: [{kind: agent, urls: ['http://n1'], key_file: k}]}", "go together"),
        ("{power: [{kind: agent, urls: ['http://n1'], user: me}]}", "user needs token_file"),
        ("{power: [{kind: csv, path: a.csv, data_start: 2026-03-01T00:00:00}]}", "no time zone"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, told):
    assert told in refusal(text)
