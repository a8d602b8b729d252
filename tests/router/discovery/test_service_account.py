"""How the API is reached from a pod and from elsewhere, and what files of secrets come to."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from router.discovery.service_account import Credentials, ServiceAccount, service_account
from router.errors import DiscoveryError, SettingsError
from router.settings import KubernetesSettings
from tests.fakes.certificates import Authority

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def mounted(folder: Path) -> Path:
    (folder / "token").write_text("abc\n")
    (folder / "ca.crt").write_text("certificate")
    (folder / "namespace").write_text("llm\n")
    return folder


def test_a_pod_has_all_that_is_needed(tmp_path: Path) -> None:
    found = service_account(KubernetesSettings(), POD, mounted(tmp_path))
    assert found == ServiceAccount("https://10.96.0.1:443", tmp_path / "token", tmp_path / "ca.crt", "llm")


def test_an_ipv6_service_address_is_written_in_brackets(tmp_path: Path) -> None:
    found = service_account(KubernetesSettings(), {"KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path)
    assert found == ServiceAccount("https://[fd00::1]:443", None, None, None)


def test_settings_come_before_what_the_pod_has(tmp_path: Path) -> None:
    token, ca = tmp_path / "mine", tmp_path / "mine.pem"
    settings = KubernetesSettings(url="https://api.example:6443/", token_file=token, ca_file=ca)
    found = service_account(settings, POD, mounted(tmp_path))
    assert found == ServiceAccount("https://api.example:6443", token, ca, "llm")


def test_outside_of_a_pod_the_settings_have_to_say_where(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"KUBERNETES_SERVICE_HOST is not set; write kubernetes\.url"):
        service_account(KubernetesSettings(), {}, tmp_path)


def credentials(folder: Path, *, url: str = "https://h", ca: Path | None = None) -> Credentials:
    return Credentials(ServiceAccount(url, folder / "token", ca, None))


def test_a_token_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    some = credentials(mounted(tmp_path))
    assert some.headers() == {"Authorization": "Bearer abc"}
    # As the kubelet does it: a link is turned to another file.
    (tmp_path / "next").write_text("def")
    (tmp_path / "next").replace(tmp_path / "token")
    assert some.headers() == {"Authorization": "Bearer def"}


def test_a_refused_token_is_worth_another_try_only_if_the_file_has_another(tmp_path: Path) -> None:
    some = credentials(mounted(tmp_path))
    assert some.forget_token() is False, "none was shown yet"
    some.headers()
    assert some.forget_token() is False
    some.headers()
    (tmp_path / "token").write_text("def")
    assert some.forget_token() is True
    assert some.headers() == {"Authorization": "Bearer def"}


@pytest.mark.parametrize("text", ["", "  \n", "two words", "a\nb"])
def test_a_file_without_a_token_is_told_by_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(DiscoveryError, match=r"/token: holds no token"):
        credentials(tmp_path).headers()


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DiscoveryError, match="No such file"):
        credentials(tmp_path).headers()


def test_without_a_token_file_nothing_is_shown() -> None:
    assert Credentials(ServiceAccount("https://h", None, None, None)).headers() == {}


def test_authorities_are_read_again_and_the_old_ones_stay_where_they_cannot_be_used(tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_bytes(Authority(tmp_path, "one").file.read_bytes())
    some = credentials(tmp_path, ca=ca)
    first = some.tls()
    assert isinstance(first, ssl.SSLContext)
    assert first.verify_mode is ssl.CERT_REQUIRED
    assert some.tls() is first
    ca.write_text("not a certificate")
    assert some.tls() is first
    ca.write_bytes(Authority(tmp_path, "two").file.read_bytes())
    assert some.tls() is not first


def test_authorities_that_never_could_be_used_are_told(tmp_path: Path) -> None:
    ca = mounted(tmp_path) / "ca.crt"
    with pytest.raises(DiscoveryError, match=r"ca\.crt: no authorities can be read"):
        credentials(tmp_path, ca=ca).tls()
    assert credentials(tmp_path, url="http://127.0.0.1:8001", ca=ca).tls() is True
    assert credentials(tmp_path).tls() is True
