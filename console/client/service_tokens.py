"""One function per route about machines' tokens. Contract models in and out. No rule lives here."""

from urllib.parse import quote

from console.client.api import Api
from console.client.signing_in import confirmed
from contract.base import Page
from contract.hardware import HardwareAct
from contract.service_tokens import IssuedToken, RotateRequest, ServiceToken, ServiceTokenRequest


async def issue(api: Api, request: ServiceTokenRequest) -> IssuedToken:
    """Make a machine a token."""

    async def make() -> IssuedToken:
        return await api.act("service-tokens", IssuedToken, request)

    return await confirmed(api, HardwareAct.ISSUE_TOKEN, request.about(), make)


async def rotate(api: Api, name: str, request: RotateRequest) -> IssuedToken:
    """Give a machine another secret."""

    async def change() -> IssuedToken:
        return await api.act(f"service-tokens/{_part(name)}/rotate", IssuedToken, request)

    return await confirmed(api, HardwareAct.ROTATE_TOKEN, request.about(name), change)


async def revoke(api: Api, name: str) -> ServiceToken:
    """End a machine's token."""
    return await api.act(f"service-tokens/{_part(name)}/revoke", ServiceToken)


async def tokens(api: Api, *, ended: bool, limit: int | None = None, cursor: str | None = None) -> Page[ServiceToken]:
    """Tokens by name; only those that work unless asked."""
    query = {"ended": "true" if ended else None, "limit": limit, "cursor": cursor}
    return await api.ask("service-tokens", Page[ServiceToken], query)


def _part(name: str) -> str:
    """One path segment: a name typed by a person must not reach another route."""
    return quote(name, safe="").replace(".", "%2E")
