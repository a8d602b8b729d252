import ssl
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from router.errors import CertificateError
from router.settings import ClientTlsSettings, ServerTlsSettings
from router.transport.certificates import Loaded, client_context, server_context
from tests.fakes.certificates import Authority, Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def served(pair: Pair, now_s: float | None = None, **more: object) -> Loaded:
    tls = ServerTlsSettings.model_validate({**pair.settings(), **more})
    return server_context(tls, "router.tls", time.time() if now_s is None else now_s)


def shake(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A whole handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname=name)
    for side in (theirs, ours, theirs, ours):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return ours, theirs


def test_a_certificate_serves_until_it_expires(authority: Authority) -> None:
    until = datetime(2040, 1, 1, tzinfo=UTC)
    loaded = served(authority.issue("router", until=until))
    assert loaded.until_s == until.timestamp()
    ours, theirs = shake(loaded.context, authority.client())
    assert theirs.version() == "TLSv1.3"
    assert ours.getpeercert() is None


def test_only_http_1_1_is_spoken(authority: Authority) -> None:
    client = authority.client()
    client.set_alpn_protocols(["h2", "http/1.1"])
    _, theirs = shake(served(authority.issue("router")).context, client)
    assert theirs.selected_alpn_protocol() == "http/1.1"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_versions_before_1_2_are_not_spoken(authority: Authority) -> None:
    client = authority.client()
    client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    client.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        shake(served(authority.issue("router")).context, client)


def test_a_later_version_can_be_asked_for(authority: Authority) -> None:
    context = served(authority.issue("router"), minimum_version="TLSv1.3").context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    ("which", "mode"), [("required", ssl.CERT_REQUIRED), ("optional", ssl.CERT_OPTIONAL), (None, ssl.CERT_NONE)]
)
def test_clients_are_asked_for_a_certificate_where_their_authority_is_named(
    authority: Authority, which: str | None, mode: ssl.VerifyMode
) -> None:
    more = {} if which is None else {"client_ca_file": str(authority.file), "client_certificates": which}
    assert served(authority.issue("router"), **more).context.verify_mode is mode


def refusal(pair: Pair, now_s: float | None = None, **more: object) -> str:
    with pytest.raises(CertificateError) as caught:
        served(pair, now_s, **more)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_an_expired_certificate_is_named(authority: Authority) -> None:
    said = refusal(authority.expired("router"))
    assert said.startswith("router.tls.certificate_file: ")
    assert "router.pem: it expired on 2021-01-01 00:00:00Z; install a new one" in said


def test_a_certificate_of_the_future_is_named(authority: Authority) -> None:
    assert "not valid before" in refusal(authority.issue("router"), now_s=0.0)


def test_absent_files_are_named(authority: Authority) -> None:
    pair = authority.issue("router")
    pair.key_file.unlink()
    assert "router.tls.key_file: " in refusal(pair)
    pair.certificate_file.unlink()
    assert "no such file" in refusal(pair)


def test_a_key_that_belongs_to_another_certificate_is_named(authority: Authority) -> None:
    one, two = authority.issue("one"), authority.issue("two")
    said = refusal(Pair(one.certificate_file, two.key_file))
    assert "router.tls.key_file" in said
    assert "not the key of" in said


@pytest.mark.parametrize("text", ["", "words", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_that_holds_no_certificate_is_named(authority: Authority, text: str) -> None:
    pair = authority.issue("router")
    pair.certificate_file.write_text(text)
    assert "write a PEM file" in refusal(pair)


def test_a_file_that_holds_no_key_is_named(authority: Authority) -> None:
    pair = authority.issue("router")
    pair.key_file.write_text("words")
    assert "write both as PEM" in refusal(pair)


def test_an_encrypted_key_is_refused_and_no_password_asked_for(authority: Authority) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    pair = authority.issue("router")
    key = load_pem_private_key(pair.key_file.read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    pair.key_file.write_bytes(locked)
    assert "without a password" in refusal(pair)


def test_a_folder_in_the_place_of_a_file_is_named(authority: Authority, tmp_path: Path) -> None:
    pair = Pair(tmp_path, authority.issue("router").key_file)
    assert "cannot be read" in refusal(pair)


def test_a_file_that_may_not_be_read_is_named(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    assert "may not read it; allow that" in refusal(authority.issue("router"))


def test_authorities_that_are_none_are_named(authority: Authority, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    said = refusal(authority.issue("router"), client_ca_file=str(empty))
    assert "router.tls.client_ca_file" in said
    assert "PEM" in said


def as_client(**files: object) -> Loaded:
    return client_context(ClientTlsSettings.model_validate(files), "table.tls", time.time())


def test_a_client_believes_only_the_authorities_named(authority: Authority, tmp_path: Path) -> None:
    loaded = as_client(ca_file=authority.file)
    assert loaded.until_s is None
    shake(authority.issue("engine").server(), loaded.context)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"unable to get|self-signed"):
        shake(Authority(tmp_path, "other").issue("engine").server(), loaded.context)


def test_a_client_looks_at_the_name(authority: Authority) -> None:
    context = as_client(ca_file=authority.file).context
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for 'elsewhere'"):
        shake(authority.issue("engine").server(), context, "elsewhere")


def test_a_client_refuses_what_has_expired(authority: Authority) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake(authority.expired("engine").server(), as_client(ca_file=authority.file).context)


def test_a_client_shows_its_certificate(authority: Authority) -> None:
    loaded = as_client(ca_file=authority.file, **authority.issue("router", cn="wattroute").settings())
    assert loaded.until_s is not None
    engine, _ = shake(authority.issue("engine").server(clients=authority), loaded.context)
    shown = engine.getpeercert()
    assert shown is not None
    assert (("commonName", "wattroute"),) in shown["subject"]


def test_a_client_without_authorities_believes_the_systems() -> None:
    context = as_client().context
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
