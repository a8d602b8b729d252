import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import MessageError
from controller.openadr import answers_read as read


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"title": "Forbidden", "status": 403, "detail": "wrong role"}', "Forbidden: wrong role"),
        (b'{"error": "invalid_client", "error_description": "no"}', "invalid_client: no"),
        (b"<html>gone</html>", "<html>gone</html>"),
        (b"\xff\xfe", "��"),
        (b"", "no reason given"),
        (b'{"title": 7}', '{"title": 7}'),
    ],
)
def test_problems_are_told_whatever_their_form(body, said):
    assert str(read.read_problem(body)) == said


def test_words_of_a_stranger_stay_on_their_line():
    body = json.dumps({"title": "no\nERROR all is lost\x1b[2J", "detail": "x" * 4000})
    told = str(read.read_problem(body))
    assert told.isprintable()
    assert len(told) < 700


def test_a_token_is_read_and_never_told():
    token = read.read_token(b'{"access_token": "abc", "token_type": "bearer", "expires_in": 60}')
    assert (token.access_token, token.expires_in_s) == ("abc", 60.0)
    with pytest.raises(MessageError, match=r"token.access_token: it is not a text") as caught:
        read.read_token(json.dumps({"access_token": "se\ncret"}).encode())
    assert "cret" not in str(caught.value)
    with pytest.raises(MessageError, match="'MAC' is not Bearer"):
        read.read_token(b'{"access_token": "abc", "token_type": "MAC"}')


def test_the_token_endpoint_must_be_told():
    assert read.read_token_url(b'{"tokenURL": "https://auth/token"}') == "https://auth/token"
    with pytest.raises(MessageError, match=r"auth\.server\.tokenURL: it is missing"):
        read.read_token_url(b"{}")


@given(st.binary(max_size=200))
def test_any_bytes_in_place_of_an_answer_raise_its_own_error_alone(body):
    assert isinstance(str(read.read_problem(body)), str)
    for reader in (read.read_token, read.read_token_url):
        with pytest.raises(MessageError):
            reader(body)
