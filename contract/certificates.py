"""The name of a certificate, so that a token bound to one and the TLS connection that shows it speak of the same.

Must never judge whether a certificate is good: TLS does.
"""

import hashlib
import re
import ssl
from typing import Final

_BLOCK: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def fingerprint_of(der: bytes) -> str:
    """Name a certificate by its SHA-256, as `openssl x509 -fingerprint -sha256` does, without the colons."""
    return hashlib.sha256(der).hexdigest()


def fingerprint_in(pem: bytes) -> str:
    """Name the machine's own certificate in a file: the first one; what follows vouches for it (RFC 8446, 4.4.2).

    Raises:
        ValueError: the file has no certificate (PEM).
    """
    found = _BLOCK.search(pem)
    if found is None:
        raise ValueError("no certificate")
    return fingerprint_of(ssl.PEM_cert_to_DER_cert(found[0].decode("ascii")))
