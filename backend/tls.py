"""The backend's own certificate: TLS 1.3 and nothing older, a private key that is private, and when it all ends.

Must never serve with a certificate that a client would refuse, and never drop a connection to take up a new one.
"""

import os
import ssl
import stat
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from backend.errors import ConfigurationError
from backend.settings import Settings

_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a backend shows to its clients, ready for use."""

    context: ssl.SSLContext
    until: datetime
    """When the first certificate of the chain to end does so."""

    def warning(self, now: datetime, days: int) -> str | None:
        """Say that it ends soon, or has ended; None while that is more than so many days off."""
        if now >= self.until:
            return f"The TLS certificate ended on {self.until:%Y-%m-%d}: clients refuse to connect."
        if self.until - now > timedelta(days=days):
            return None
        return f"The TLS certificate ends on {self.until:%Y-%m-%d}: renew it, then send the backend SIGHUP."


def certificate_of(settings: Settings, now: datetime) -> Certificate | None:
    """Read the certificate of the settings; None if they name none.

    Raises:
        ConfigurationError: a file is missing, others can read the key, the two do not belong together, or the
            certificate is not good now.
    """
    chain, key, authorities = settings.tls_certificate, settings.tls_key, settings.tls_client_ca
    if chain is None and key is None:
        if authorities is not None:
            raise ConfigurationError("WATCHFLOOR_TLS_CLIENT_CA is of no use without WATCHFLOOR_TLS_CERTIFICATE.")
        return None
    if chain is None or key is None:
        raise ConfigurationError("WATCHFLOOR_TLS_CERTIFICATE and WATCHFLOOR_TLS_KEY are set together or not at all.")
    _refuse_unless_private(key)
    until = _good_until(chain, now)
    return Certificate(_context(chain, key, authorities), until)


def _context(chain: Path, key: Path, authorities: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # a connection taken up again would not show its client's certificate again
    try:
        # an empty password: else the library asks the terminal for that of an encrypted key
        context.load_cert_chain(chain, key, password="")
    except ssl.SSLError as error:
        raise ConfigurationError(_mismatch(chain, key, error)) from error
    except OSError as error:
        raise ConfigurationError(f"{chain} or {key} cannot be read: {error.strerror}.") from error
    if authorities is not None:
        try:
            context.load_verify_locations(authorities)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"{authorities} holds no certificate of an authority (PEM).") from error
        context.verify_mode = ssl.CERT_OPTIONAL  # consoles have none; tokens say which of them need one
    return context


def _mismatch(chain: Path, key: Path, error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"{key} is not the key of the certificate in {chain}."
    return f"{key} is not a private key in PEM without a password."


def _refuse_unless_private(key: Path) -> None:
    try:
        status = key.stat()
    except OSError as error:
        raise ConfigurationError(f"{key} cannot be read: {error.strerror}.") from error
    if status.st_uid not in {os.geteuid(), 0}:
        raise ConfigurationError(f"{key} belongs to another account, which could read and replace it.")
    if status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise ConfigurationError(f"{key} can be read by others (mode {mode:04o}): chmod 600 {key}.")


def _good_until(chain: Path, now: datetime) -> datetime:
    try:
        certificates = x509.load_pem_x509_certificates(chain.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{chain} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigurationError(f"{chain} holds no certificate (PEM).") from error
    begins = max(one.not_valid_before_utc for one in certificates)
    until = min(one.not_valid_after_utc for one in certificates)
    if now >= until:
        raise ConfigurationError(f"The certificate in {chain} ended on {until:%Y-%m-%d}.")
    if now < begins:
        raise ConfigurationError(
            f"The certificate in {chain} begins on {begins:%Y-%m-%d}; is this machine's clock right?"
        )
    return until
