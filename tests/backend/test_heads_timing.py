"""When the keeper of heads first compares everything, and which parties are spoken to over TLS."""

import asyncio
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backend.audit.heads import http, keeping
from backend.audit.heads.http import HttpWitness, SignerClient
from backend.audit.heads.keeping import HeadKeeper
from ledger.note import KeyType, VerifierKey
from tests.support.app import AloneLead, started_app

LIMIT_S = 60.0
KEY = VerifierKey("witness.example/w", b"\x01" * 32, KeyType.COSIGNATURE)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long the keeper waited for something, in turn; every such wait is cut short."""
    waits: list[float] = []
    genuine = asyncio.timeout

    def timeout(delay: float | None) -> asyncio.Timeout:
        assert delay is not None
        waits.append(delay)
        return genuine(0.01)

    monkeypatch.setattr(keeping, "asyncio", SimpleNamespace(**(vars(asyncio) | {"timeout": timeout})))
    return waits


class CheckedError(Exception):
    """The keeper has compared."""


async def checked(keeper: HeadKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the keeper's checks until the first one."""

    async def check() -> None:
        raise CheckedError

    monkeypatch.setattr(keeper, "check", check)
    with pytest.raises(CheckedError):
        async with asyncio.timeout(LIMIT_S):
            await keeper._check_at_times(3_600.0)


async def test_a_new_keeper_compares_once_entries_have_had_a_minute(
    database_url: str, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started_app(database_url, sequence=False) as app:
        await checked(HeadKeeper(app.runtime, AloneLead()), monkeypatch)
    assert slept == [keeping.FIRST_CHECK_AFTER_S]
    assert keeping.FIRST_CHECK_AFTER_S >= 60.0


async def test_a_doubt_has_everything_compared_at_once(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "FIRST_CHECK_AFTER_S", 10 * LIMIT_S)
    async with started_app(database_url, sequence=False) as app:
        keeper = HeadKeeper(app.runtime, AloneLead())
        keeper._doubted.set()
        await checked(keeper, monkeypatch)


@pytest.mark.parametrize("url", ["https://witness.example", "http://127.0.0.1:1"])
def test_certificates_are_loaded_for_a_witness_over_https_only(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert certificates_loaded(HttpWitness(url, KEY), monkeypatch) == url.startswith("https:")


def test_the_signers_socket_needs_no_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not certificates_loaded(SignerClient(tmp_path / "signer.sock"), monkeypatch)


def certificates_loaded(peer: http._Peer, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether opening its client reads who is trusted, and then insists on it."""
    made: list[ssl.SSLContext] = []
    genuine = ssl.SSLContext.load_verify_locations

    def load(context: ssl.SSLContext, *arguments: Any, **options: Any) -> None:
        made.append(context)
        genuine(context, *arguments, **options)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", load)
    client = peer._open()
    asyncio.run(client.aclose())
    assert all(one.verify_mode is ssl.CERT_REQUIRED and one.check_hostname for one in made)
    return bool(made)
