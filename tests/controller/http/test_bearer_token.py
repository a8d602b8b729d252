import pytest

from controller.errors import ConfigError
from controller.http.bearer_token import is_shown, load_token

TOKEN = "t" * 24
NAMES = {"key": "--token-file", "variable": "THE_TOKEN"}


def test_the_file_comes_before_the_environment_and_its_line_end_is_no_part_of_the_token(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert load_token(file, {"THE_TOKEN": "another-long-token"}, **NAMES) == TOKEN
    assert load_token(None, {"THE_TOKEN": TOKEN}, **NAMES) == TOKEN
    assert load_token(None, {}, **NAMES) is None


@pytest.mark.parametrize("token", ["", "short", "é" * 20, "with\nline ends in it"])
def test_a_token_that_protects_nothing_or_fits_no_header_is_refused_and_not_shown(tmp_path, token):
    file = tmp_path / "token"
    file.write_text(token)
    for asked in ((file, {}), (None, {"THE_TOKEN": token})):
        with pytest.raises(ConfigError, match="openssl rand") as caught:
            load_token(*asked, **NAMES)
        assert not token or token not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"--token-file .*absent: cannot be read"):
        load_token(tmp_path / "absent", {}, **NAMES)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff" * 24)
    with pytest.raises(ConfigError, match="binary: cannot be read"):
        load_token(binary, {}, **NAMES)


def test_a_header_shows_the_token_or_does_not_whatever_bytes_it_holds():
    assert is_shown(f"Bearer {TOKEN}", TOKEN)
    for other in ("", TOKEN, f"bearer {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü", "Bearer \udcff"):
        assert not is_shown(other, TOKEN)
