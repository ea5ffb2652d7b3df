"""One-time codes (RFC 6238). Pure: the instant and the last code used are handed in."""

import base64
import hmac
from datetime import datetime

import pyotp

STEP_SECONDS = 30
SECRET_BYTES = 20
"""160 bits, the length of the SHA-1 that authenticator apps use."""


def matching_step(secret: str, code: str, *, now: datetime, tolerance: int, after: int) -> int | None:
    """The time step a code belongs to, or None if it fits none or was used, or if there is no secret.

    `tolerance` is how many steps a clock may be off; `after` is the last step already used, so that a code works once.
    Every candidate is compared, in constant time, whichever fits.
    """
    if not secret:
        return None  # an erased person's, or the break-glass account's
    given = "".join(code.split()).encode()
    otp = pyotp.TOTP(secret)
    current = int(now.timestamp()) // STEP_SECONDS
    found: int | None = None
    for step in range(max(0, current - tolerance), current + tolerance + 1):
        fits = hmac.compare_digest(otp.generate_otp(step).encode(), given)
        if fits and step > after:
            found = step
    return found


def code_at(secret: str, now: datetime) -> str:
    """The code a person's authenticator shows at an instant."""
    return pyotp.TOTP(secret).generate_otp(int(now.timestamp()) // STEP_SECONDS)


def new_secret(random: bytes) -> str:
    """A secret for an authenticator, in base32, of `SECRET_BYTES` random bytes."""
    return base64.b32encode(random).decode()


def provisioning_uri(secret: str, username: str) -> str:
    """What an authenticator app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name="Watchfloor")
