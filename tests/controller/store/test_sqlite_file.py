import contextlib
import functools
import sqlite3
import threading

import pytest

from controller.errors import StoreError
from controller.store.sqlite_file import SharedTables, Tables, open_tables, transaction

TABLES = Tables("CREATE TABLE IF NOT EXISTS notes (text TEXT PRIMARY KEY);", 3, "as a book of notes")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "notes.sqlite"


def notes(db):
    return [text for (text,) in db.execute("SELECT text FROM notes ORDER BY text")]


def test_what_is_written_is_there_when_it_is_opened_again(path):
    with contextlib.closing(open_tables(path, TABLES)) as db:
        db.execute("INSERT INTO notes VALUES ('a')")
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA user_version").fetchone() == (3,)
    with contextlib.closing(open_tables(path, TABLES)) as db:
        assert notes(db) == ["a"]


def test_a_file_that_is_none_is_refused_with_the_remedy(tmp_path):
    file = tmp_path / "notes.sqlite"
    file.write_text("no database, but long enough to be looked at as one" * 20)
    with pytest.raises(StoreError, match=r"notes\.sqlite: not usable as a book of notes: .*; move it away"):
        open_tables(file, TABLES)


def test_another_version_is_refused_and_left_as_it_is(path):
    with contextlib.closing(open_tables(path, TABLES)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="is of version 99, this one reads 3; move it away"):
        open_tables(path, TABLES)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)


def test_a_place_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be opened: .*; choose another controller\.data_dir"):
        open_tables(tmp_path / "file" / "notes.sqlite", TABLES)


def test_of_a_transaction_that_fails_nothing_stays_and_the_next_one_works(path):
    with contextlib.closing(open_tables(path, TABLES)) as db:
        with pytest.raises(sqlite3.IntegrityError), transaction(db):
            db.executemany("INSERT INTO notes VALUES (?)", [("a",), ("a",)])
        with transaction(db):
            db.execute("INSERT INTO notes VALUES ('b')")
        assert notes(db) == ["b"]


def test_a_commit_that_fails_leaves_no_transaction_open(path):
    with contextlib.closing(open_tables(path, TABLES)) as db:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("CREATE TABLE links (text TEXT REFERENCES notes DEFERRABLE INITIALLY DEFERRED)")
        with pytest.raises(sqlite3.IntegrityError), transaction(db):
            db.execute("INSERT INTO links VALUES ('nowhere')")
        with transaction(db):
            db.execute("INSERT INTO notes VALUES ('a')")
        assert notes(db) == ["a"]


def test_the_reason_is_told_where_sqlite_has_ended_the_transaction_itself(path):
    with contextlib.closing(open_tables(path, TABLES)) as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(sqlite3.OperationalError, match="full"), transaction(db):
            db.execute("INSERT INTO notes VALUES (?)", ("x" * 100_000,))
        db.execute(f"PRAGMA max_page_count = {pages + 100}")
        with transaction(db):
            db.execute("INSERT INTO notes VALUES ('a')")
        assert notes(db) == ["a"]


def test_threads_ask_one_at_a_time(path):
    shared = SharedTables(path, TABLES)

    def note(db, text):
        with transaction(db):
            db.execute("INSERT INTO notes VALUES (?)", (text,))

    def write(name):
        for number in range(20):
            shared.ask(functools.partial(note, text=f"{name}-{number}"))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shared.ask(notes)) == 80
    shared.close()


def test_a_fault_of_the_file_is_told_with_its_name_and_the_remedy(path):
    shared = SharedTables(path, TABLES)
    with pytest.raises(StoreError, match=r"notes\.sqlite: no such table: others; see that its disk has room"):
        shared.ask(lambda db: db.execute("SELECT * FROM others"))
    assert shared.ask(notes) == [], "it can be asked again"
    shared.close()
