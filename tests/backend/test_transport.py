"""How a real backend listens: TLS 1.3 alone, a Unix socket that says who calls, and machines' certificates."""

import asyncio
import hashlib
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pyotp
import pytest
from cryptography import x509

from console.client.transport import open_http
from tests.support.app import App
from tests.support.backends import START_LIMIT_S, Backend, backend, eventually
from tests.support.certificates import Authority, Issued
from tests.support.ledger import entries_of
from tests.support.people import OPERATOR, PASSWORD, TOTP_SECRET, sign_in

LIMIT_S = 30.0


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def _tls(issued: Issued, **others: Path) -> dict[str, str]:
    given = {"TLS_CERTIFICATE": issued.certificate, "TLS_KEY": issued.key} | others
    return {f"WATCHFLOOR_{name}": str(path) for name, path in given.items()}


@contextmanager
def _encrypted(database_url: str, tmp_path: Path, env: dict[str, str]) -> Iterator[Backend]:
    with backend(database_url, tmp_path / "backend.log", env=env) as running:
        assert running.url.startswith("https://127.0.0.1:")
        yield running


def _s_client(running: Backend, trusted: Path, *options: str) -> subprocess.CompletedProcess[str]:
    address = running.url.removeprefix("https://")
    return subprocess.run(
        ["openssl", "s_client", "-connect", address, "-CAfile", str(trusted), "-verify_return_error", *options],
        input="", capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip


def _shown(running: Backend, trusted: Path) -> str:
    """The fingerprint of the certificate that the backend shows to who connects now."""
    host, _, port = running.url.removeprefix("https://").rpartition(":")
    context = ssl.create_default_context(cafile=trusted)
    with (
        socket.create_connection((host, int(port)), timeout=LIMIT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as encrypted,
    ):
        return hashlib.sha256(encrypted.getpeercert(binary_form=True) or b"").hexdigest()


def test_tls_1_3_and_nothing_else(database_url: str, tmp_path: Path, authority: Authority) -> None:
    server = authority.issue("server", ends=timedelta(days=5))
    with _encrypted(database_url, tmp_path, _tls(server)) as running:
        new = _s_client(running, authority.path, "-tls1_3")
        assert new.returncode == 0, new.stderr
        assert "TLSv1.3" in new.stdout
        for version in ("-tls1_2", "-tls1_1"):
            old = _s_client(running, authority.path, version)
            assert old.returncode != 0
            assert "Cipher is (NONE)" in old.stdout
        in_the_clear = f"http://{running.url.removeprefix('https://')}/healthz"
        with pytest.raises(httpx.HTTPError):
            httpx.get(in_the_clear, timeout=LIMIT_S)
        trusting = ssl.create_default_context(cafile=authority.path)
        ready = httpx.get(f"{running.url}/readyz", verify=trusting, timeout=LIMIT_S)
        assert ready.headers["strict-transport-security"] == "max-age=31536000"
        told = ready.json()["tls"]
        assert "renew it" in told["warning"]
        assert told["certificate_until"].startswith(f"{_until(server):%Y-%m-%d}")


def _until(issued: Issued) -> datetime:
    return x509.load_pem_x509_certificate(issued.certificate.read_bytes()).not_valid_after_utc


def test_a_new_certificate_is_taken_up_without_dropping_a_connection(
    database_url: str, tmp_path: Path, authority: Authority
) -> None:
    server, later = authority.issue("server"), authority.issue("later")
    trusting = ssl.create_default_context(cafile=authority.path)
    with (
        _encrypted(database_url, tmp_path, _tls(server)) as running,
        httpx.Client(base_url=running.url, verify=trusting, timeout=LIMIT_S) as client,
    ):
        with client.stream("GET", "/healthz") as first:
            kept = first.extensions["network_stream"]
            first.read()
        assert _shown(running, authority.path) == server.fingerprint()
        for turn in (later, authority.issue("last")):
            server.certificate.write_bytes(turn.certificate.read_bytes())
            server.key.write_bytes(turn.key.read_bytes())
            running.send(signal.SIGHUP)
            wanted = turn.fingerprint()
            eventually(
                lambda wanted=wanted: _shown(running, authority.path) == wanted or None,  # type: ignore[misc]
                LIMIT_S, "the new certificate",
            )  # fmt: skip
            with client.stream("GET", "/healthz") as again:
                again.read()
                assert again.status_code == 200
                assert again.extensions["network_stream"] is kept, "the connection from before still stands"
        server.key.write_bytes(later.key.read_bytes())
        running.send(signal.SIGHUP)
        eventually(
            lambda: "certificate_not_reloaded" in running.log.read_text() or None, LIMIT_S, "the refusal in the log"
        )
        assert _shown(running, authority.path) == wanted, "the one before still serves"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104  to see it refused
def test_other_machines_are_listened_to_under_tls_only(database_url: str, host: str) -> None:
    env = {**os.environ, "WATCHFLOOR_DATABASE_URL": database_url, "WATCHFLOOR_HOST": host, "WATCHFLOOR_PORT": "0"}
    found = subprocess.run(
        [sys.executable, "-m", "watchfloor", "serve"],
        env=env, capture_output=True, text=True, timeout=START_LIMIT_S, check=False,
    )  # fmt: skip
    assert found.returncode == 3, found.stderr
    assert f"{host} can be reached from other machines: set WATCHFLOOR_TLS_CERTIFICATE" in found.stderr


async def test_a_unix_socket_says_who_calls(app: App, database_url: str, tmp_path: Path) -> None:
    await sign_in(app.runtime, OPERATOR)
    path = tmp_path / "wf.sock"
    env = {"WATCHFLOOR_SOCKET": str(path), "WATCHFLOOR_HOST": "none"}
    with backend(database_url, tmp_path / "backend.log", env=env) as running:
        assert running.url == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        async with open_http(running.url, None) as client:
            body = {"username": OPERATOR.name, "password": PASSWORD, "totp": pyotp.TOTP(TOTP_SECRET).now()}
            answer = await client.post("/v1/auth/login", json=body)
            assert answer.status_code == 200, answer.text
            assert "strict-transport-security" not in answer.headers
        entries = await entries_of(app, "auth.login.succeeded")
        told = [entry.entry_metadata for entry in entries if "socket_uid" in entry.entry_metadata]
        assert [(one["socket_uid"], one["socket_pid"]) for one in told] == [(os.geteuid(), os.getpid())]
        shown = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "watchfloor", "status", "--url", running.url, "--json"],
            env={**os.environ, "WATCHFLOOR_TOKEN": answer.json()["token"]},
            capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        assert shown.returncode == 0, shown.stderr
    assert not path.exists(), "it is removed in the end"


def test_a_dead_socket_is_replaced_and_a_live_one_is_not(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "wf.sock"
    env = {"WATCHFLOOR_SOCKET": str(path), "WATCHFLOOR_HOST": "127.0.0.1"}
    with backend(database_url, tmp_path / "first.log", env=env) as first:
        with (
            pytest.raises(RuntimeError, match="Another backend listens on"),
            backend(database_url, tmp_path / "second.log", env=env),
        ):
            pass
        first.send(signal.SIGKILL)
        first.wait()
    assert path.is_socket()
    with backend(database_url, tmp_path / "third.log", env=env) as third:
        assert third.url.startswith("http://127.0.0.1:"), "both at once"
        assert httpx.get(f"{third.url}/healthz", timeout=LIMIT_S).status_code == 200
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost") as client:
            assert client.get("/healthz", timeout=LIMIT_S).status_code == 200


def test_what_is_no_socket_is_left_alone(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("not ours")
    with (
        pytest.raises(RuntimeError, match="is there and not a socket"),
        backend(database_url, tmp_path / "backend.log", env={"WATCHFLOOR_SOCKET": str(path)}),
    ):
        pass
    assert path.read_text() == "not ours"


def test_only_named_accounts_may_use_the_socket(database_url: str, tmp_path: Path) -> None:
    policy, path = tmp_path / "own.toml", tmp_path / "wf.sock"
    policy.write_text(f'extends = "mev"\n[transport.watchfloor]\nsocket_uids = [{os.geteuid() + 1}]\n')
    env = {"WATCHFLOOR_SOCKET": str(path), "WATCHFLOOR_POLICY": str(policy)}
    with backend(database_url, tmp_path / "backend.log", env=env) as running:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost") as client:
            refused = client.get("/healthz", timeout=LIMIT_S)
        assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
        assert httpx.get(f"{running.url}/healthz", timeout=LIMIT_S).status_code == 200
