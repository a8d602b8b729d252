import os
from pathlib import Path

from router.file_marks import marks_of


def test_files_that_stay_as_they_are_keep_their_marks(tmp_path: Path) -> None:
    file = tmp_path / "tls.crt"
    file.write_text("one")
    assert marks_of([file]) == marks_of([file])
    assert file.read_text() == "one"
    assert marks_of([file]) == marks_of([file]), "reading is no change"


def test_other_content_of_the_same_length_and_time_is_another_state(tmp_path: Path) -> None:
    file = tmp_path / "tls.crt"
    file.write_text("one")
    os.utime(file, ns=(10**18, 10**18))
    before = marks_of([file])
    file.write_text("two")
    os.utime(file, ns=(10**18, 10**18))
    assert marks_of([file]) != before


def test_a_link_that_is_turned_elsewhere_is_another_state(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tls.crt").write_text("same")
    (tmp_path / "..data").symlink_to("one")
    before = marks_of([tmp_path / "..data" / "tls.crt"])
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").replace(tmp_path / "..data")
    assert marks_of([tmp_path / "..data" / "tls.crt"]) != before


def test_a_mode_that_is_put_right_is_another_state(tmp_path: Path) -> None:
    file = tmp_path / "tls.key"
    file.write_text("key")
    before = marks_of([file])
    file.chmod(0o600)
    assert marks_of([file]) != before


def test_a_file_that_is_absent_has_none_and_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("x")
    there, absent = marks_of([tmp_path / "there", tmp_path / "absent"])
    assert there is not None
    assert absent is None
