"""Who acts on personal data: always a signed-in person, never the one it is about, never the same one twice."""

from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.service import AuditDraft, surrogate_of
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from contract.audit import AuditResult
from contract.errors import ErrorCode


def refused(code: ErrorCode, message: str, draft: AuditDraft, hint: str | None = None) -> WatchfloorError:
    """A refusal that is itself recorded."""
    denied = AuditDraft(
        draft.event_type, draft.action, draft.resource_type, draft.resource_id, result=AuditResult.DENIED,
        error_message=message, log=draft.log,
    )  # fmt: skip
    return WatchfloorError(code, message, hint=hint, audit=denied)


async def acting(session: AsyncSession, runtime: Runtime, caller: Caller, draft: AuditDraft) -> str:
    """The surrogate of a person who acts.

    Raises:
        WatchfloorError: NOT_ALLOWED for anything but a signed-in person.
    """
    if caller.kind != "user":
        raise refused(ErrorCode.NOT_ALLOWED, "Only a signed-in person may do this.", draft)
    return await surrogate_of(session, runtime, caller.subject)


def refuse_the_subject(pid: str, subject: str | None, draft: AuditDraft) -> None:
    """Keep people from deciding about their own data.

    Raises:
        WatchfloorError: SECOND_PERSON_REQUIRED.
    """
    if pid == subject:
        raise refused(ErrorCode.SECOND_PERSON_REQUIRED, "Nobody decides about their own data here.", draft)


def require_second(pid: str, first: str, draft: AuditDraft) -> None:
    """Have a second person decide.

    Raises:
        WatchfloorError: SECOND_PERSON_REQUIRED.
    """
    if pid == first:
        raise refused(ErrorCode.SECOND_PERSON_REQUIRED, "Whoever asked cannot approve it.", draft)
