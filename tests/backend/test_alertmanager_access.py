"""How APIs of Alertmanagers are accessed: secrets come from files, may be replaced, and are never shown."""

from pathlib import Path

import httpx
import pytest

from backend.alerts.alertmanager.access import Access
from backend.alerts.alertmanager.configured import alertmanagers_of
from backend.alerts.alertmanager.line import Line, SourceError
from backend.errors import ConfigurationError
from backend.settings import Settings
from tests.support.certificates import Authority

SECRET = "s3cret-of-ours"


def kept(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def configured(tmp_path: Path, toml: str, url: str = "https://am.example") -> Access:
    file = kept(tmp_path / "access.toml", toml, 0o644)
    settings = Settings(database_url="postgresql://x/y", alertmanagers=f"main={url}", alertmanagers_file=file)
    [one] = alertmanagers_of(settings)
    return one.access


async def seen_by(access: Access, status: int = 200) -> list[str]:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization", ""))
        return httpx.Response(200, json=[]) if status == 200 else httpx.Response(status, text=seen[-1])

    async with Line("https://am.example", httpx.MockTransport(answer), access=access) as line:
        await line.alerts()
        if access.bearer_token_file is not None:
            access.bearer_token_file.write_text("another\n")
        await line.alerts()
    return seen


async def test_a_token_is_shown_and_may_be_replaced(tmp_path: Path) -> None:
    token = kept(tmp_path / "token", f"{SECRET}\n")
    access = configured(tmp_path, f'[alertmanagers.main]\nbearer_token_file = "{token}"')
    assert await seen_by(access) == [f"Bearer {SECRET}", "Bearer another"]


async def test_a_name_and_a_password_are_shown(tmp_path: Path) -> None:
    word = kept(tmp_path / "word", "pä:ss")
    access = configured(tmp_path, f'[alertmanagers.main]\nusername = "wf"\npassword_file = "{word}"')
    assert await seen_by(access) == ["Basic d2Y6cMOkOnNz"] * 2
    assert await seen_by(Access()) == ["", ""]


@pytest.mark.parametrize("status", [401, 403])
async def test_who_is_not_let_in_is_told_so_without_the_secret(tmp_path: Path, status: int) -> None:
    access = Access(bearer_token_file=kept(tmp_path / "token", SECRET))
    with pytest.raises(SourceError, match=f"{status}: it does not take") as refused:
        await seen_by(access, status)
    assert SECRET not in str(refused.value)
    kept(tmp_path / "token", SECRET, 0o644)
    with pytest.raises(SourceError, match="can be read by others"):
        await seen_by(access)


def test_only_the_stated_authority_is_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path).path
    access = configured(tmp_path, f'[alertmanagers.main]\nca_file = "{authority}"')
    context = access.trust()
    assert not isinstance(context, bool)
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("toml", "url", "says"),
    [
        ("[alertmanagers.other]", "https://a", "names no 'other'"),
        ("[other]", "https://a", "states Alertmanagers only"),
        ("[", "https://a", "is not TOML"),
        ('[alertmanagers.main]\nbearer_token = "x"', "https://a", "takes the texts"),
        ('[alertmanagers.main]\nusername = "x"', "https://a", "together"),
        ('[alertmanagers.main]\nusername = "x:y"\npassword_file = "TOKEN"', "https://a", "no colon"),
        ('[alertmanagers.main]\nbearer_token_file = "TOKEN"', "http://a", "by https alone"),
        ('[alertmanagers.main]\nca_file = "TOKEN"', "http://127.0.0.1", "ca_file is for https"),
        ('[alertmanagers.main]\nca_file = "TOKEN"', "https://a", "no certificates"),
        ('[alertmanagers.main]\nbearer_token_file = "/nowhere"', "https://a", "cannot be read"),
        ('[alertmanagers.main]\nusername = "x"\npassword_file = "TOKEN"\nbearer_token_file = "TOKEN"', "https://a",
         "either a token or a password"),
    ],
)  # fmt: skip
def test_what_is_written_wrongly_refuses_to_start(tmp_path: Path, toml: str, url: str, says: str) -> None:
    token = kept(tmp_path / "token", SECRET)
    with pytest.raises(ConfigurationError, match=says) as refused:
        configured(tmp_path, toml.replace("TOKEN", str(token)), url)
    assert SECRET not in str(refused.value)


def test_secrets_go_to_this_machine_without_tls(tmp_path: Path) -> None:
    token = kept(tmp_path / "token", SECRET)
    for url in ("http://127.0.0.1:9093", "http://[::1]:9093", "http://localhost:9093"):
        assert configured(tmp_path, f'[alertmanagers.main]\nbearer_token_file = "{token}"', url).shows_secrets
