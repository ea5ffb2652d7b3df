"""One-time codes against the RFC's own vectors and against a clock that is off."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.auth import totp
from tests.support.shared_data import shared_data

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NOW = datetime(2025, 7, 11, 12, 0, 0, tzinfo=UTC)
STEP = int(NOW.timestamp()) // 30


def _vectors() -> list[dict[str, Any]]:
    text = shared_data("vectors/totp-rfc6238/vectors.json").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(text)["totp_rfc6238_appendix_b"]
    return [row for row in rows if row["algorithm"] == "SHA1"]


def test_the_rfcs_vectors() -> None:
    vectors = _vectors()
    assert vectors
    for row in vectors:
        at = datetime.fromtimestamp(row["time"], UTC)
        assert totp.code_at(row["secret_base32"], at) == row["otp6"]
        found = totp.matching_step(row["secret_base32"], row["otp6"], now=at, tolerance=0, after=0)
        assert found == row["time"] // 30


@given(off=st.integers(-5, 5), tolerance=st.integers(0, 3), used=st.integers(-5, 5))
def test_a_code_fits_within_the_tolerance_and_after_the_last_used(off: int, tolerance: int, used: int) -> None:
    code = totp.code_at(SECRET, NOW + timedelta(seconds=30 * off))
    found = totp.matching_step(SECRET, code, now=NOW, tolerance=tolerance, after=STEP + used)
    assert found == (STEP + off if abs(off) <= tolerance and off > used else None)


@pytest.mark.parametrize("code", ["", "0", "abcdef", "1234567", "１２３４５６", "\x00", "000000000000"])
def test_what_is_no_code_fits_nothing(code: str) -> None:
    assert totp.matching_step(SECRET, code, now=NOW, tolerance=1, after=0) is None


def test_without_a_secret_no_code_fits() -> None:
    assert totp.matching_step("", "123456", now=NOW, tolerance=1, after=0) is None
