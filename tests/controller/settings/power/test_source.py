import pytest

from tests.fakes.power_settings import refusal, signals


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{power: [{kind: dcgm, urls: ['10.0.0.7:9400']}]}", "write http://HOST:PORT"),
        ("{power: [{kind: dcgm, urls: ['http://n1:94OO/metrics']}]}", "'http://n1:94OO/metrics' is no address"),
        ("{power: [{kind: dcgm, urls: ['http://n1:0']}]}", "write http://HOST:PORT"),
        ("{power: [{kind: agent, urls: ['http://me:s3cret@n1']}]}", "write user and token_file"),
        ("{power: [{kind: agent, urls: ['http://n1'], key_file: k}]}", "go together"),
        ("{power: [{kind: agent, urls: ['http://n1'], user: me}]}", "user needs token_file"),
        (
            "{power: [{kind: agent, urls: ['https://n1', 'http://n2'], token_file: t}]}",
            "'http://n2': token_file would go",
        ),
        ("{power: [{kind: dcgm, urls: ['http://n1'], token_file: t}]}", "'http://n1': token_file would go"),
        (
            "{power: [{kind: zeusd, url: 'http://n1', gpu_uuids: [A], token_file: t}]}",
            "'http://n1': token_file would go",
        ),
        ("{power: [{kind: promql, url: 'http://n1', token_file: t, user: me}]}", "'http://n1': token_file would go"),
        (
            "{meter: [{kind: promql, url: 'http://n1', power_query: 'm[1m]', unit: MW, token_file: t}]}",
            "'http://n1': token_file would go",
        ),
        ("{power: [{kind: csv, path: a.csv, data_start: 2026-03-01T00:00:00}]}", "no time zone"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, told):
    assert told in refusal(text)


def test_a_token_may_go_to_this_machine_or_to_a_socket():
    signals("{power: [{kind: agent, urls: ['http://127.0.0.1:9410'], token_file: t}]}")
    signals("{power: [{kind: zeusd, url: 'unix:/run/zeusd.sock', gpu_uuids: [A], token_file: t}]}")
