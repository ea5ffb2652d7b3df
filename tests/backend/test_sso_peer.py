"""A real provider of SSO: the package oidc-provider, driven over its own pages as a person's browser would."""

import asyncio
import re
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from tests.support.anvil import MODULES
from tests.support.app import App, started_app
from tests.support.provider import CLIENT, SECRET
from tests.support.sso import POLICY

PROGRAM = Path(__file__).resolve().parents[1] / "support" / "oidc_provider.mjs"
PATIENCE_S = 60.0
"""For a program of JavaScript on a busy machine."""
_FIELD = re.compile(r'<input[^>]*type="hidden"[^>]*name="(\w+)"[^>]*value="([^"]*)"')
_ACTION = re.compile(r'<form[^>]*action="([^"]+)"')


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[str]:
    """The address of a running provider."""
    if not (MODULES / "oidc-provider").exists() or shutil.which("node") is None:
        pytest.skip("no oidc-provider: run `make peers`")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    log = (tmp_path / "provider.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        "node", str(PROGRAM), str(MODULES), address, CLIENT, SECRET,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        assert said == b"listening\n", (tmp_path / "provider.log").read_text()
        yield address
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
        log.close()


@asynccontextmanager
async def _backend(database_url: str, issuer: str, directory: Path) -> AsyncIterator[App]:
    secret = directory / "client-secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    settings = {"oidc_issuer": issuer, "oidc_client_id": CLIENT, "oidc_client_secret_file": secret}
    policy = directory / "policy.toml"
    policy.write_text(f'extends = "{POLICY}"\n\n[watchfloor.sso]\nanswer_seconds = 60\n')
    async with started_app(database_url, policy=str(policy), settings=settings) as app:
        yield app


async def _submit(browser: httpx.AsyncClient, page: httpx.Response, **typed: str) -> httpx.Response:
    """Fill in the form of a page and go where it leads."""
    action = _ACTION.search(page.text)
    assert action is not None, page.text
    fields = dict(_FIELD.findall(page.text)) | typed
    return await browser.post(urljoin(str(page.url), action[1]), data=fields)


async def _sign_in_there(started: dict[str, Any], name: str) -> str:
    """What a person does in a browser: confirm the code, sign in, consent."""
    async with httpx.AsyncClient(follow_redirects=True, timeout=PATIENCE_S) as browser:
        page = await browser.get(started["page_with_code"])
        if "xsrf" in page.text and 'name="confirm"' not in page.text:
            page = await _submit(browser, page)
        page = await _submit(browser, page, confirm="yes")
        page = await _submit(browser, page, login=name, password="any")
        return (await _submit(browser, page)).text


async def _asked(app: App, started: dict[str, Any]) -> httpx.Response:
    """What comes of a sign-in, asked for as often as the provider allows."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            step = await app.http.post("/v1/auth/sso/ask", json={"ticket": started["ticket"]})
            if step.status_code != 200 or step.json()["ask_again_s"] is None:
                return step
            await asyncio.sleep(step.json()["ask_again_s"])


async def test_a_real_provider_brings_somebody_in(database_url: str, issuer: str, tmp_path: Path) -> None:
    async with _backend(database_url, issuer, tmp_path) as app:
        begun = await app.http.post("/v1/auth/login/sso", json={})
        assert begun.status_code == 200, begun.text
        assert begun.json()["page"] == f"{issuer}/device"
        waiting = (await app.http.post("/v1/auth/sso/ask", json={"ticket": begun.json()["ticket"]})).json()
        assert waiting["ask_again_s"] is not None
        assert "Sign-in Success" in await _sign_in_there(begun.json(), "nora")
        done = await _asked(app, begun.json())
        assert done.status_code == 200, done.text
        me = await app.with_token(done.json()["answer"]["token"]).get("/v1/auth/whoami")
        assert (me.json()["username"], me.json()["role"]) == ("nora", "mev_operator")


async def test_a_real_provider_brings_in_nobody_without_a_group(database_url: str, issuer: str, tmp_path: Path) -> None:
    async with _backend(database_url, issuer, tmp_path) as app:
        begun = (await app.http.post("/v1/auth/login/sso", json={})).json()
        await _sign_in_there(begun, "olaf")
        done = await _asked(app, begun)
        assert (done.status_code, "stands for a role" in done.json()["message"]) == (401, True)
