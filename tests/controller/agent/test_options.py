import ssl

import pytest
import trustme

from controller.agent.options import TOKEN_VARIABLE, AgentOptions, load_token, tls_context
from controller.errors import ConfigError

TOKEN = "t" * 24


def test_without_a_token_only_this_machine_is_listened_to():
    assert load_token(AgentOptions(), {}) is None
    assert load_token(AgentOptions(host="::1"), {}) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "gpu-node-1", ""])
def test_other_machines_need_a_token(host):
    with pytest.raises(ConfigError, match="only with a token; give --token-file"):
        load_token(AgentOptions(host=host), {})
    assert load_token(AgentOptions(host=host), {TOKEN_VARIABLE: TOKEN}) == TOKEN


def test_the_file_comes_before_the_environment_and_its_line_end_is_no_part_of_the_token(tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    assert load_token(AgentOptions(token_file=file), {TOKEN_VARIABLE: "x" * 24}) == TOKEN


@pytest.mark.parametrize("token", ["", "short", "é" * 20, "with\nline ends in it"])
def test_a_token_that_protects_nothing_or_fits_no_header_is_refused_and_not_shown(tmp_path, token):
    file = tmp_path / "token"
    file.write_text(token)
    with pytest.raises(ConfigError, match="openssl rand") as caught:
        load_token(AgentOptions(token_file=file), {})
    assert not token or token not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="absent"):
        load_token(AgentOptions(token_file=tmp_path / "absent"), {})


def test_tls_files_are_loaded_as_kubernetes_names_them(tmp_path):
    assert tls_context(AgentOptions()) is None
    certificate = trustme.CA().issue_cert("gpu-node-1")
    certificate.private_key_pem.write_to_path(tmp_path / "tls.key")
    with pytest.raises(ConfigError, match=r"tls\.crt and tls\.key cannot be used"):
        tls_context(AgentOptions(tls_dir=tmp_path))
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    assert tls_context(AgentOptions(tls_dir=tmp_path)).minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_key_with_a_password_is_an_error_and_no_question(tmp_path):
    certificate = trustme.CA().issue_cert("gpu-node-1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "tls.key").write_bytes(encrypted)
    with pytest.raises(ConfigError, match="without a password"):
        tls_context(AgentOptions(tls_dir=tmp_path))
