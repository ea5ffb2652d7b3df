"""The provider of SSO that the settings name, or a line that says what is wrong with them."""

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from backend.context import Runtime
from backend.errors import ConfigurationError
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.auth.oidc_provider import Provider

_OTHERS = 0o077
_MAX_SECRET_BYTES = 4_096


def provider_of(runtime: Runtime) -> "Provider | None":
    """The provider; None where none is set. Asks it nothing yet: it may be away while backends start.

    Raises:
        ConfigurationError: the settings cannot be used, the extra is not installed, or the policy lets nobody in.
    """
    settings = runtime.settings
    if not settings.oidc_issuer:
        return None
    try:
        from backend.auth.oidc_line import Line, is_safe
        from backend.auth.oidc_provider import Provider
    except ImportError as error:
        raise ConfigurationError(
            "WATCHFLOOR_OIDC_ISSUER is set, and what SSO needs is not installed: pip install 'watchfloor[oidc]'"
        ) from error
    if not is_safe(settings.oidc_issuer) or "?" in settings.oidc_issuer:
        raise ConfigurationError("WATCHFLOOR_OIDC_ISSUER is no https address")
    if not settings.oidc_client_id:
        raise ConfigurationError("WATCHFLOOR_OIDC_CLIENT_ID is not set: the provider knows this installation by it")
    rules = runtime.policy.sso
    if not rules.roles:
        raise ConfigurationError(
            "WATCHFLOOR_OIDC_ISSUER is set, and the policy brings in nobody: [watchfloor.sso.roles] names no group"
        )
    line = Line(settings.oidc_client_id, _secret(settings), limit_s=rules.answer_seconds)
    return Provider(
        line,
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        rules=rules,
        monotonic=runtime.clock.monotonic,
    )


def _secret(settings: Settings) -> str:
    path = settings.oidc_client_secret_file
    return "" if path is None else _first_line(path)


def _first_line(path: Path) -> str:
    try:
        if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
            raise ConfigurationError(f"{path} can be read by others: chmod 600")
        with path.open("rb") as file:
            raw = file.read(_MAX_SECRET_BYTES)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    try:
        secret = raw.split(b"\n", 1)[0].strip().decode("ascii")
    except UnicodeDecodeError:
        secret = ""
    if not secret:
        raise ConfigurationError(f"{path} holds no secret in its first line")
    return secret
