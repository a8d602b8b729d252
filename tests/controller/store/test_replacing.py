import stat

import pytest

from controller.store.replacing import replace_file


def test_the_new_content_takes_the_place_of_the_former_and_nothing_is_left_beside(tmp_path):
    path = tmp_path / "kept.json"
    for body in (b"a longer one", b"short"):
        replace_file(path, body)
        assert path.read_bytes() == body
    assert list(tmp_path.iterdir()) == [path]


def test_a_secret_is_readable_by_its_owner_only_even_where_a_half_written_one_was_left(tmp_path):
    (tmp_path / "secret.new").write_bytes(b"left")
    (tmp_path / "secret.new").chmod(0o644)
    replace_file(tmp_path / "secret", b"new", mode=0o600)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_what_cannot_be_written_leaves_the_former_content_and_no_other_file(tmp_path):
    path = tmp_path / "a-folder"
    (path / "within").mkdir(parents=True)
    with pytest.raises(OSError, match="a-folder"):
        replace_file(path, b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["a-folder"]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "none" / "file", b"new")
