"""The name of a certificate: the same from a file and from a connection, of a chain the machine's own."""

import hashlib
import ssl
from pathlib import Path

import pytest

from contract.certificates import fingerprint_in, fingerprint_of
from tests.support.certificates import Authority


def test_of_a_chain_the_first_is_named_whatever_stands_around_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("bot-1")
    own, above = issued.certificate.read_bytes(), authority.path.read_bytes()
    der = ssl.PEM_cert_to_DER_cert(own.decode())
    assert fingerprint_in(own) == fingerprint_of(der) == hashlib.sha256(der).hexdigest()
    assert fingerprint_in(b"subject=CN = bot-1\n" + own + above) == fingerprint_of(der)
    assert fingerprint_in(above + own) != fingerprint_of(der)


@pytest.mark.parametrize(
    "text", [b"", b"-----BEGIN CERTIFICATE-----", b"\xff\xfe", b"-----BEGIN PRIVATE KEY-----\nAA=="]
)
def test_a_file_without_one_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="no certificate"):
        fingerprint_in(text)
