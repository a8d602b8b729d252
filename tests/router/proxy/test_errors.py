import json

import pytest

from router.exchange import Refusal
from router.http1.chunked import ChunkDecoder
from router.proxy.errors import error_chunk, error_type, refusal_parts


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (404, "NotFoundError"),
        (429, "TooManyRequestsError"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailableError"),
        (499, "InternalError"),
    ],
)
def test_types_are_named_as_vllm_names_them(status: int, name: str) -> None:
    assert error_type(status) == name


def test_a_refusal_carries_reason_and_retry_after_in_whole_seconds() -> None:
    fields, body = refusal_parts(Refusal(503, "no_instance", "none", 1.2))
    assert fields == b"x-wattroute-reason: no_instance\r\nretry-after: 2\r\n"
    assert json.loads(body) == {
        "error": {"message": "none", "type": "ServiceUnavailableError", "param": None, "code": 503}
    }


def test_a_refusal_never_says_retry_at_once_and_says_nothing_where_nothing_is_known() -> None:
    assert b"retry-after: 1\r\n" in refusal_parts(Refusal(503, "r", "m", 0.0))[0]
    assert b"retry-after" not in refusal_parts(Refusal(404, "r", "m"))[0]


@pytest.mark.parametrize(("starts_line", "before"), [(True, b""), (False, b"\n\n")])
def test_an_error_within_a_stream_is_one_chunk_and_one_event(starts_line: bool, before: bytes) -> None:
    decoder = ChunkDecoder()
    payload = b"".join(decoder.feed(error_chunk("silent", starts_line=starts_line)))
    assert not decoder.is_complete
    assert payload.startswith(before + b"data: {")
    assert json.loads(payload.removeprefix(before + b"data: "))["error"]["message"] == "silent"
    assert payload.endswith(b"}\n\n")


def test_a_refusal_may_say_more_in_its_head_and_use_a_word_of_openais() -> None:
    refusal = Refusal(401, "no_api_key", "none", code="invalid_api_key", fields=b"www-authenticate: Bearer\r\n")
    fields, body = refusal_parts(refusal)
    assert fields == b"x-wattroute-reason: no_api_key\r\nwww-authenticate: Bearer\r\n"
    assert json.loads(body)["error"]["code"] == "invalid_api_key"
