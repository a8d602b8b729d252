from router.http1.answers import answer


def test_an_answer_is_complete() -> None:
    assert answer(503, b"{}", close=False, fields=b"retry-after: 1\r\n") == (
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 2\r\n"
        b"retry-after: 1\r\n\r\n{}"
    )


def test_an_answer_may_close_the_connection() -> None:
    assert b"\r\nconnection: close\r\n\r\n" in answer(400, b"{}", close=True)


def test_an_answer_to_head_tells_the_length_without_the_body() -> None:
    raw = answer(200, b"{}", close=False, is_head=True)
    assert b"content-length: 2\r\n" in raw
    assert raw.endswith(b"\r\n\r\n")
