"""What a backend says of a certificate before it listens with it."""

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from backend.errors import ConfigurationError
from backend.settings import Settings
from backend.tls import certificate_of
from tests.support.certificates import Authority, Issued

NOW = datetime.now(UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def _settings(issued: Issued | None, **others: Path) -> Settings:
    given = {} if issued is None else {"tls_certificate": issued.certificate, "tls_key": issued.key}
    return Settings(database_url="postgresql://nobody/nothing", **(given | others))  # type: ignore[arg-type]


def _refusal(issued: Issued | None, now: datetime = NOW, **others: Path) -> str:
    with pytest.raises(ConfigurationError) as refused:
        certificate_of(_settings(issued, **others), now)
    return str(refused.value)


def test_without_files_there_is_none() -> None:
    assert certificate_of(_settings(None), NOW) is None


def test_nothing_older_than_tls_1_3_and_no_resumption(authority: Authority) -> None:
    found = certificate_of(_settings(authority.issue("server")), NOW)
    assert found is not None
    assert found.context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert found.context.num_tickets == 0
    assert found.context.verify_mode is ssl.CERT_NONE


def test_certificate_and_key_belong_together(authority: Authority) -> None:
    one, other = authority.issue("one"), authority.issue("other")
    assert _refusal(Issued(one.certificate, other.key)).endswith("is not the key of the certificate in "
                                                                 f"{one.certificate}.")  # fmt: skip
    assert "together or not at all" in _refusal(None, tls_certificate=one.certificate)
    assert "together or not at all" in _refusal(None, tls_key=one.key)
    assert "of no use without" in _refusal(None, tls_client_ca=authority.path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused(authority: Authority, mode: int) -> None:
    issued = authority.issue("server")
    issued.key.chmod(mode)
    assert f"can be read by others (mode {mode:04o})" in _refusal(issued)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_of_another_account_is_refused(authority: Authority) -> None:
    issued = authority.issue("server")
    os.chown(issued.key, 65534, 65534)
    assert "belongs to another account" in _refusal(issued)


def test_files_that_are_no_certificate_or_key_are_told(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue("server")
    junk = tmp_path / "junk"
    junk.touch(mode=0o600)
    junk.write_text("no certificate")
    absent = tmp_path / "absent"
    assert f"{junk} holds no certificate" in _refusal(Issued(junk, issued.key))
    assert f"{junk} is not a private key" in _refusal(Issued(issued.certificate, junk))
    assert f"{absent} cannot be read: No such file" in _refusal(Issued(absent, issued.key))
    assert f"{absent} cannot be read: No such file" in _refusal(Issued(issued.certificate, absent))
    assert f"{junk} holds no certificate of an authority" in _refusal(issued, tls_client_ca=junk)


def test_a_certificate_is_good_now_or_refused(authority: Authority) -> None:
    ended = authority.issue("ended", begins=timedelta(days=-2), ends=timedelta(days=-1))
    early = authority.issue("early", begins=timedelta(days=1), ends=timedelta(days=2))
    assert "ended on" in _refusal(ended)
    assert "is this machine's clock right?" in _refusal(early)


def test_its_end_is_told_before_it_comes(authority: Authority) -> None:
    found = certificate_of(_settings(authority.issue("server", ends=timedelta(days=40))), NOW)
    assert found is not None
    assert found.warning(NOW, 30) is None
    assert found.warning(NOW, 39) is None
    assert "renew it" in (found.warning(found.until - timedelta(days=30), 30) or "")
    assert "clients refuse" in (found.warning(found.until, 30) or "")


def test_the_chain_ends_with_its_first_certificate_to_end(authority: Authority) -> None:
    long, short = authority.issue("long", ends=timedelta(days=40)), authority.issue("short", ends=timedelta(days=10))
    long.certificate.write_bytes(long.certificate.read_bytes() + short.certificate.read_bytes())
    found = certificate_of(_settings(long), NOW)
    assert found is not None
    assert found.until == x509.load_pem_x509_certificate(short.certificate.read_bytes()).not_valid_after_utc
