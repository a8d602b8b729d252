import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from router.errors import CertificateError
from router.settings import ClientTlsSettings, ServerTlsSettings
from router.transport.credentials import Credentials
from tests.fakes.certificates import Authority, Pair

UNTIL = datetime(2041, 1, 1, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def credentials(pair: Pair) -> Credentials:
    return Credentials("router.tls", ServerTlsSettings.model_validate(pair.settings()), time.time)


def test_what_cannot_be_used_at_the_start_is_an_error(authority: Authority) -> None:
    with pytest.raises(CertificateError, match="expired"):
        credentials(authority.expired("router"))


def test_files_that_stay_as_they_are_leave_the_context_alone(authority: Authority) -> None:
    held = credentials(authority.issue("router"))
    before = held.context
    held.refresh()
    assert held.context is before
    assert (held.renewed, held.refused) == (0, 0)


def test_changed_files_are_taken_and_their_end_is_told(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    held = credentials(authority.issue("router"))
    before = held.context
    authority.issue("router", until=UNTIL)
    with caplog.at_level(logging.INFO):
        held.refresh()
    assert vars(caplog.records[-1])["expires"] == "2041-01-01 00:00:00Z"
    assert held.context is not before
    assert held.until_s == UNTIL.timestamp()
    assert (held.renewed, held.refused) == (1, 0)


def test_what_is_broken_is_refused_once_and_the_old_stays(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    held = credentials(authority.issue("router"))
    before = held.context
    authority.expired("router")
    with caplog.at_level(logging.ERROR):
        held.refresh()
        held.refresh()
    assert held.context is before
    assert held.refused == 1
    assert len(caplog.records) == 1
    assert "expired" in caplog.records[0].__dict__["reason"]
    authority.issue("router", until=UNTIL)
    held.refresh()
    assert held.until_s == UNTIL.timestamp()


def test_a_file_that_vanishes_for_a_moment_does_no_harm(authority: Authority) -> None:
    pair = authority.issue("router")
    held = credentials(pair)
    pair.key_file.rename(pair.key_file.with_suffix(".away"))
    held.refresh()
    assert held.refused == 1
    pair.key_file.with_suffix(".away").rename(pair.key_file)
    held.refresh()
    assert held.renewed == 1


def test_a_link_that_is_swapped_is_followed(tmp_path: Path) -> None:
    """As Kubernetes mounts a secret: the files are links through ..data, which is replaced as a whole."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
    authority = Authority(tmp_path)
    first = Authority(tmp_path / "one", issuer=authority.issuer).issue("tls")
    second = Authority(tmp_path / "two", issuer=authority.issuer).issue("tls", until=UNTIL)
    for old, new in zip(
        (first.certificate_file, first.key_file), (second.certificate_file, second.key_file), strict=True
    ):
        state = old.stat()
        os.utime(new, ns=(state.st_atime_ns, state.st_mtime_ns))
    (tmp_path / "..data").symlink_to("one")
    for name in ("tls.pem", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    held = credentials(Pair(tmp_path / "tls.pem", tmp_path / "tls.key"))
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").rename(tmp_path / "..data")
    held.refresh()
    assert held.until_s == UNTIL.timestamp()


def test_a_file_whose_mode_is_put_right_is_taken(authority: Authority) -> None:
    pair = authority.issue("router")
    held = credentials(pair)
    pair.key_file.chmod(0o600)
    held.refresh()
    assert held.renewed == 1


def test_the_authorities_of_a_client_are_followed(authority: Authority, tmp_path: Path) -> None:
    held = Credentials("table.tls", ClientTlsSettings(ca_file=authority.file), time.time)
    before = held.context
    Authority(tmp_path)
    held.refresh()
    assert held.context is not before
    assert held.until_s is None
