"""One function per route about personal data: typed arguments in, contract models out. No rule lives here."""

from typing import Literal
from urllib.parse import quote

from console.client.api import Api
from console.client.signing_in import confirmed
from contract.base import Page
from contract.hardware import HardwareAct
from contract.privacy import Erasure, ErasurePreview, ErasureRequest, LegalHold, LegalHoldRequest, Reasoned, Whose


async def preview_erasure(api: Api, subject: str) -> ErasurePreview:
    """What erasing a person, by name or surrogate, would destroy; does nothing."""
    return await api.act("privacy/erasures/preview", ErasurePreview, Whose(subject=subject))


async def request_erasure(api: Api, request: ErasureRequest) -> Erasure:
    """Ask for a person to be erased."""
    return await api.act("privacy/erasures", Erasure, request)


async def decide_erasure(api: Api, ident: str, decision: Literal["approve", "withdraw"]) -> Erasure:
    """Erase a person as the second one who wants it, or take the request back."""

    async def decide() -> Erasure:
        return await api.act(f"privacy/erasures/{_part(ident)}/{decision}", Erasure)

    if decision == "withdraw":
        return await decide()
    return await confirmed(api, HardwareAct.APPROVE_ERASURE, ident.strip().lower(), decide)


async def erasures(api: Api, *, limit: int | None = None, cursor: str | None = None) -> Page[Erasure]:
    """Requests to erase people, newest first."""
    return await api.ask("privacy/erasures", Page[Erasure], {"limit": limit, "cursor": cursor})


async def place_legal_hold(api: Api, request: LegalHoldRequest) -> LegalHold:
    """Keep a person's data or a part of a log."""
    return await api.act("privacy/legal-holds", LegalHold, request)


async def lift_legal_hold(api: Api, ident: str, request: Reasoned | None) -> LegalHold:
    """Ask for a legal hold to be lifted; without a reason: lift it as the second person."""
    where = f"privacy/legal-holds/{_part(ident)}/lift"
    return await api.act(where if request else f"{where}/approve", LegalHold, request)


async def legal_holds(
    api: Api, *, lifted: bool, limit: int | None = None, cursor: str | None = None
) -> Page[LegalHold]:
    """Legal holds, newest first; only those in force unless asked."""
    query = {"lifted": "true" if lifted else None, "limit": limit, "cursor": cursor}
    return await api.ask("privacy/legal-holds", Page[LegalHold], query)


async def legal_hold(api: Api, ident: str) -> LegalHold:
    """One legal hold, with how much it keeps."""
    return await api.ask(f"privacy/legal-holds/{_part(ident)}", LegalHold, {})


def _part(ident: str) -> str:
    """One path segment: an id typed by a person must not reach another route."""
    return quote(ident, safe="").replace(".", "%2E")
