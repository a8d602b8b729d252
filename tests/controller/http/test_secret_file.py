import pytest

from controller.errors import ConfigError
from controller.http.secret_file import MAX_BYTES, find_secret, read_line, read_secret


@pytest.fixture
def file(tmp_path):
    return tmp_path / "token"


@pytest.mark.parametrize("content", ["a secret", "a secret\n", "  a secret \r\n"])
def test_a_secret_is_read_without_the_white_space_around_it(file, content):
    file.write_text(content)
    assert read_secret(file, "token_file") == "a secret"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, r"token_file .*/token: cannot be read: .*No such file.*; correct the path or its rights"),
        (b"", "token_file .*/token: one line with the secret is expected"),
        (b" \n", "one line with the secret"),
        (b"hidden\nhidden", "one line with the secret"),
        (b"hid\x00den", "one line with the secret"),
        (b"hidden\xff", "cannot be read: .*utf-8"),
        (b"hidden" * MAX_BYTES, f"has more than {MAX_BYTES} bytes"),
        (b" " * (MAX_BYTES + 1), f"has more than {MAX_BYTES} bytes"),
    ],
)
def test_a_file_without_one_is_named_and_what_is_in_it_is_not_shown(file, content, told):
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=told) as caught:
        read_secret(file, "token_file")
    assert "hidden" not in str(caught.value)


def test_an_empty_line_is_the_callers_to_judge(file):
    file.write_text("\n")
    assert read_line(file, "token_file") == ""


def test_the_file_comes_before_the_environment(file):
    environment = {"TOKEN": " of the environment\n"}
    file.write_text("of the file")
    assert find_secret(file, "TOKEN", environment, "token_file") == "of the file"
    assert find_secret(None, "TOKEN", environment, "token_file") == "of the environment"
    assert find_secret(None, None, environment, "token_file") is None


@pytest.mark.parametrize("environment", [{}, {"TOKEN": ""}, {"TOKEN": " "}, {"TOKEN": "hidden\nhidden"}])
def test_a_variable_without_one_is_named_with_the_remedy(environment):
    with pytest.raises(ConfigError, match="no secret in TOKEN; set it, or write token_file") as caught:
        find_secret(None, "TOKEN", environment, "token_file")
    assert "hidden" not in str(caught.value)
