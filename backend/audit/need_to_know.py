"""Who may ask about sealed values: only those who may reveal one."""

from backend.audit.query import AuditFilter
from backend.audit.service import AuditDraft
from backend.context import Caller
from backend.errors import WatchfloorError
from contract.audit import AuditResult
from contract.errors import ErrorCode
from contract.permissions import Permission


def require_need_to_know(caller: Caller, asked: AuditFilter) -> None:
    """Refuse a search by a sealed value to those who may not reveal one: each answer would confirm a guess.

    Raises:
        WatchfloorError: NOT_ALLOWED.
    """
    if asked.ip is None or Permission.REVEAL_PERSONAL_DATA in caller.permissions:
        return
    needed = Permission.REVEAL_PERSONAL_DATA.value
    raise WatchfloorError(
        ErrorCode.NOT_ALLOWED,
        f"Searching by address needs the permission {needed}, which {caller.role} does not hold.",
        audit=AuditDraft(
            "auth.permission.denied", "search by address", "permission", needed, result=AuditResult.DENIED,
            error_message=f"{caller.role} lacks {needed}",
        ),
    )  # fmt: skip
